"""One tab on a page of its own, over a real service and store, and its handlers called without a browser."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import gradio as gr
import pytest

from i2v.core.schema import Language
from i2v.core.settings import Settings
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.web.context import AppContext
from i2v.web.page.tabs.live import View
from i2v.web.page.tabs.widgets import Labels, Opened, Remembered, Shared, Updates
from tests.rehearsal import ENGINES, stage, submit
from tests.web.house import HeldExecutor

TabType = TypeVar("TabType")
T = TypeVar("T")


@dataclass
class Bench(Generic[TabType]):
    """The tab, and what is behind it. `view`: what one window shows of it."""

    tab: TabType
    view: View
    shared: Shared
    context: AppContext
    service: Service
    store: JobStore
    executor: HeldExecutor
    settings: Settings

    def submit(self, prompt: str = "", **fields: object) -> Job:
        return submit(self.store, self.settings, prompt, **fields)

    def values(self, language: Language = "en") -> dict[Any, Any]:
        return {self.shared.language: language, self.tab.view: self.view, self.shared.remembered: {}}  # type: ignore[attr-defined]


@contextmanager
def open_bench(
    folder: Path, make: Callable[[Shared], TabType], view: View, log: Path | None = None, **flags: object
) -> Iterator[Bench[TabType]]:
    settings = stage(folder, **flags)
    store = JobStore(settings.database, settings.service.max_queued)
    executor = HeldExecutor(settings, store)
    service = Service(settings, store, executor, ENGINES)
    context = AppContext(service, settings, threading.Event(), log)

    async def build() -> Bench[TabType]:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False), gr.Tabs() as tabs, gr.Tab():
            language, remembered = gr.Radio(["en", "zh-CN"]), gr.BrowserState(vars(Remembered()))
            shared = Shared(context, Labels(), language, remembered, gr.State(Opened()), tabs)
            return Bench(make(shared), view, shared, context, service, store, executor, settings)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("batch", "gallery", "models", "queue", "system"):
            patch.setattr(f"i2v.web.page.tabs.{name}.POLL_SECONDS", 0.02)
        yield asyncio.run(build())
    service.stop()


def run(handler: Awaitable[T]) -> T:
    async def wait() -> T:
        return await handler

    return asyncio.run(wait())


async def next_of(updates: AsyncIterator[Updates]) -> Updates:
    """Return the next updates of a handler that follows something."""
    return await asyncio.wait_for(anext(updates), 60)


def clicked(act: str, value: str = "", picked: object = (), text: object = "") -> gr.EventData:
    return gr.EventData(None, {"act": act, "id": value, "picked": picked, "text": text})
