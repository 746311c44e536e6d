"""The page: tabs, in the visitor's language.

Owns the frame around the tabs: the language, what the browser keeps, and which tab takes over what another
one opens. Handlers call the service, in threads, and nothing else: jobs live in the store and outlive the
window, so the page only ever watches, and keeps nothing of its visitors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from html import escape
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
from gradio.events import Dependency

from i2v.core.schema import Language
from i2v.core.users import acting_as, current_user
from i2v.web.context import AppContext
from i2v.web.guard.access import USER
from i2v.web.page.endpoint import add_endpoint
from i2v.web.page.tabs.batch import BatchTab
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.gallery import GalleryTab
from i2v.web.page.tabs.generate import GenerateTab
from i2v.web.page.tabs.queue import QueueTab
from i2v.web.page.tabs.system import SystemTab
from i2v.web.page.tabs.widgets import (
    QUIET,
    Labels,
    Opened,
    Remembered,
    Shared,
    Updates,
    Values,
    Wired,
    merged,
)
from i2v.web.page.tips import tips
from i2v.web.texts import LANGUAGES, preferred_language, text

_KEPT_SECONDS = 24 * 3600  # an uploaded picture, for whoever comes back to the window
_MAKING = ("i2v-go", "i2v-four", "i2v-batch-go")  # buttons that ask for clips
_MAX_EVENTS = 400  # that may be under way: one for each open window, and those of what is pressed in it

# The tab that the address names (`page.js` writes it there): once the page has its language and its form.
_OPEN_TAB = """() => {
  const name = location.hash.slice(1);
  if (/^[a-z]+$/.test(name)) document.getElementById(`i2v-tab-${name}-button`)?.click();
  setTimeout(() => document.dispatchEvent(new Event("i2v-open")), 100);
}"""


class Tab(Protocol):
    """What stands under one title besides the first, made where this is called within a `gr.Tab`."""

    def wire(self, title: gr.Tab, switched: Dependency) -> Wired:
        """Attach its events; after `switched` it has to show its texts in another language."""
        ...


_OTHERS: dict[str, Callable[[Shared, Form], Tab]] = {
    "queue": lambda shared, _: QueueTab(shared),
    "gallery": lambda shared, _: GalleryTab(shared),
    "batch": BatchTab,
    "system": lambda shared, _: SystemTab(shared),
}


class _Blocks(gr.Blocks):
    """Gradio's, but each event is handled for the user who sent it: Gradio runs it in a task of its own."""

    async def call_function(self, *given: Any) -> Any:
        request: gr.Request = given[3]  # as Gradio calls it; it keeps the one by which the event came
        assert request.request is not None
        with acting_as(request.request.scope.get(USER)):
            return await super().call_function(*given)


class Page:
    """One `gr.Blocks` for all visitors."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._labels = Labels()
        self._titles: dict[str, gr.Tab] = {}
        with _Blocks(title="i2v", analytics_enabled=False, delete_cache=(3600, _KEPT_SECONDS)) as self.blocks:
            self._lay_out()
            # First: an event takes its handler's name, unless that is taken.
            add_endpoint(context, Path(self.generate.form.picture.GRADIO_CACHE))
            self._wire()
        self.blocks.max_threads = _MAX_EVENTS  # Gradio's name for it; our handlers take no threads of its own
        self.blocks.queue(api_open=False, default_concurrency_limit=None)

    def _lay_out(self) -> None:
        labels = self._labels
        with gr.Row(elem_id="i2v-head"):
            self.title = gr.HTML(self._title("en"))
            self.language = labels.of(
                gr.Radio(
                    [(title, name) for name, title in LANGUAGES.items()],
                    value="en",
                    show_label=False,
                    container=False,
                    scale=0,
                    min_width=230,
                    elem_id="i2v-language",
                ),
                label="page.language",
            )
        # In this browser, under a fixed key: neither value is a secret.
        self.remembered = gr.BrowserState(asdict(Remembered()), storage_key="i2v", secret="i2v")
        opened = gr.State(Opened())
        with gr.Tabs(elem_id="i2v-tabs") as self.tabs:
            shared = Shared(self._context, labels, self.language, self.remembered, opened, self.tabs)
            with self._titled("generate"):
                self.generate = GenerateTab(shared)
            self._others: dict[str, Tab] = {}
            for name, make in _OTHERS.items():
                with self._titled(name):
                    self._others[name] = make(shared, self.generate.form)

    def _titled(self, name: str) -> gr.Tab:
        tab = self._labels.of(gr.Tab(id=name, elem_id=f"i2v-tab-{name}"), label=f"tab.{name}")
        self._titles[name] = tab
        return tab

    # --- which event calls what

    def _wire(self) -> None:
        texts = [self.title, *self._labels.widgets()]
        form = self.generate.form
        loaded = self.blocks.load(
            self.restore,
            {self.remembered, self.generate.view, self.language},
            [self.language, self.remembered, *texts, *form.kept(), self.generate.brought_back],
            **QUIET,
        )
        # Under way as long as the window is open, and so is its stream of answers: Gradio closes it when
        # nothing is, and what is asked for at that very moment is never answered.
        self.blocks.load(self.generate.live, {self.generate.view}, self.generate.watched(), **QUIET)
        # Not `input`: a tab that is opened before `restore` has answered hears of the language, too.
        switched = self.language.change(
            self.switch, {self.language, self.remembered}, [self.remembered, *texts], **QUIET
        )
        loaded.then(None, js=_OPEN_TAB)
        self.generate.wire(loaded, switched, self._titles["generate"])
        for name, tab in self._others.items():
            wired = tab.wire(self._titles[name], switched)
            for event in wired.opens:
                self.generate.wire_opened(event)
            if wired.live:
                elsewhere = [title.select for other, title in self._titles.items() if other != name]
                gr.on(elsewhere, None, cancels=list(wired.live))

    async def restore(self, values: Values, request: gr.Request) -> Updates:
        """Bring back the language, and the settings of a job: of the link's, or the last in this browser."""
        remembered = Remembered.of(values[self.remembered])
        language = remembered.language or preferred_language(request.headers.get("accept-language", ""))
        linked = str(request.query_params.get("job", ""))
        restored = await self.generate.filling.restored(values, language, linked or remembered.job)
        kept = {self.remembered: asdict(replace(remembered, job=linked))} if linked else {}
        if language == values[self.language]:
            return merged(restored, kept, self._allowed())  # whoever chooses another one meanwhile keeps it
        return merged(self._texts(language), restored, {self.language: language}, kept, self._allowed())

    def _allowed(self) -> Updates:
        """Take away the buttons that whoever only looks has no use for."""
        user = current_user()
        if user is None or user.may("make"):
            return {}
        buttons = [each for each in self._labels.widgets() if getattr(each, "elem_id", None) in _MAKING]
        return {button: gr.update(visible=False) for button in buttons}

    def switch(self, values: Values, request: gr.Request) -> Updates:
        """Speak the language that is chosen, and remember it where the browser would ask for another one."""
        language: Language = values[self.language]
        preferred = preferred_language(request.headers.get("accept-language", ""))
        chosen = None if language == preferred else language
        kept = replace(Remembered.of(values[self.remembered]), language=chosen)
        return {**self._texts(language), self.remembered: asdict(kept)}

    def _title(self, language: Language) -> str:
        security, user = self._context.settings.security, current_user()
        has_visits = bool(security.token.get_secret_value() or security.users)
        who = "" if user is None else f"{user.name}: {text(f'role.{user.role}', language)}"
        return _title(language, has_visits, who)

    def _texts(self, language: Language) -> Updates:
        return {**self._labels.updates(language), self.title: self._title(language)}


def _title(language: Language, has_visits: bool, who: str = "") -> str:
    links = {"docs": "page.api"} | ({"login": "page.visit"} if has_visits else {})
    parts = [f'<a href="{path}">{escape(text(key, language))}</a>' for path, key in links.items()]
    parts += [escape(who)] if who else []
    line = " ".join((escape(text("page.title", language)), *(f"<span>· {part}</span>" for part in parts)))
    names = ("drop", "upload", "webcam", "paste", "remove")
    words = " ".join(f'data-{name}="{escape(text(f"upload.{name}", language))}"' for name in names)
    # What Gradio says in its own language, `page.js` says in the page's.
    hidden = f'<span id="i2v-words-of-uploads" hidden {words}></span>'
    return f"<h1>i2v <small>{line}</small></h1>{hidden}{tips(language)}"
