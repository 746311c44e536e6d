"""Showing what changes, as long as the window is open or the tab is looked at. Knows no tab.

A generator of Gradio's can be given nothing new while it runs, and is not told that its window was closed: it
is let go at its next answer. So what a window looks at is an object that handlers change in place, and
something is answered every few seconds, if it is nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import anyio
import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError
from i2v.core.schema import Language
from i2v.web.page.tabs.widgets import QUIET, Updates, looked_at

STAY_SECONDS = 5.0
DOUBLE_CLICK_SECONDS = 0.5
DISK_SECONDS = 10  # so soon a video that somebody has moved away is no longer promised

log = logging.getLogger(__name__)


@dataclass
class View:
    """What one window shows of a tab; kept in a `gr.State`, which gives each window one of its own.

    Changed in place, and read anew by `follow` each time: so that need not begin again when somebody turns a
    page or changes the language.
    """

    language: Language = "en"
    follower: object | None = field(default=None, compare=False)  # the newest one; older ones end


@dataclass
class SendingView(View):
    """A view with a button that asks for jobs.

    Attributes:
        is_sending: something was asked for, and is not a job yet.
        sent_at: when the last press was dealt with (`time.monotonic`).
    """

    is_sending: bool = False
    sent_at: float = field(default=-DOUBLE_CLICK_SECONDS, compare=False)

    def is_pressed_again(self) -> bool:
        """Say whether this press is the second one of a double click: the browser lets both through."""
        return self.is_sending or time.monotonic() - self.sent_at < DOUBLE_CLICK_SECONDS

    def end_sending(self) -> None:
        self.is_sending = False
        self.sent_at = time.monotonic()


async def follow(
    view: View,
    show: Callable[[], Updates],
    closing: threading.Event,
    seconds: float,
    version: Callable[[], object] | None = None,
) -> AsyncIterator[Updates]:
    """Yield what `show` returns, asked in a thread every so many `seconds`, but only what is new of it.

    Args:
        version: where it is given, `show` is asked again only when this, or the view, is another.
    """
    shown: Updates = {}
    seen: tuple[object, View] | None = None
    spoke = time.monotonic()
    me = view.follower = object()
    try:
        while view.follower is me and not closing.is_set():
            try:
                now = (await run_sync(version), copy(view)) if version else None
                found = await run_sync(show) if now is None or now != seen else shown
            except I2VError as error:  # of the database: it may be better the next time
                log.warning("A view could not be shown: %s", error)
                now, found = seen, shown
            changed = {widget: value for widget, value in found.items() if shown.get(widget) != value}
            if changed or (shown and time.monotonic() - spoke > STAY_SECONDS):
                spoke = time.monotonic()
                yield changed or {next(iter(shown)): gr.skip()}
            shown, seen = shown | changed, now
            await anyio.sleep(seconds)
    finally:
        if view.follower is me:
            view.follower = None


def live(
    title: gr.Tab, handler: Callable[..., AsyncIterator[Updates]], inputs: set[Any], outputs: list[Any]
) -> Dependency:
    """Run `handler`, which follows something, when the tab is selected."""
    # "multiple": who leaves the tab and comes back at once comes before the browser has ended the last one.
    started: Dependency = looked_at(title).then(handler, inputs, outputs, trigger_mode="multiple", **QUIET)
    return started
