"""Models on the System tab: each one's state, and buttons to fetch, check, remove or add one.

Owns which event of its widgets calls what. What is under way belongs to the service: every window shows it,
and it goes on without any.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError
from i2v.web.page import models_panels, panels
from i2v.web.page.tabs.live import View, follow, live
from i2v.web.page.tabs.widgets import QUIET, Action, Shared, Updates, Values, acting_html
from i2v.web.texts import text

POLL_SECONDS = 0.5


@dataclass
class ModelsView(View):
    """`message`: what came of the last thing that was pressed, as markup."""

    message: str = ""


class ModelsSection:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._context = shared.context
        self._models = shared.context.service.models
        labels = shared.labels
        self.progress = gr.HTML(elem_id="i2v-models-progress")
        self.list = acting_html("i2v-models")
        specs = self._models.can_be_added()
        example = f"/mnt/usb/{specs[0].name}" if specs else ""
        with gr.Row(elem_id="i2v-models-add", visible=bool(specs), equal_height=True):
            self.model = labels.of(
                gr.Dropdown(
                    choices=[(spec.title, spec.name) for spec in specs],
                    value=specs[0].name if specs else None,
                    visible=len(specs) > 1,
                    scale=2,
                    elem_id="i2v-models-which",
                ),
                label="models.add.which",
            )
            self.path = labels.of(
                gr.Textbox(max_lines=1, scale=4, elem_id="i2v-models-path", placeholder=example),
                label="models.add.label",
            )
            self.add = labels.of(
                gr.Button(scale=1, min_width=100, elem_id="i2v-models-add-go"), value="models.add"
            )
        self.message = gr.HTML(elem_id="i2v-models-message")
        self.view = gr.State(ModelsView())

    def wire(self, title: gr.Tab, switched: Dependency) -> Dependency:
        """Attach its events; return what lives as long as the tab is looked at."""
        here = self._shared.here() | {self.view}
        switched.then(self.speak, here, **QUIET)
        self.list.click(self.act, here, **QUIET)
        given = here | {self.path, self.model}
        gr.on([self.add.click, self.path.submit], self.add_folder, given, self.path, **QUIET)
        return live(title, self.follow, here, [self.list, self.progress, self.message])

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show how things are, and again what has changed."""
        view: ModelsView = values[self.view]
        view.language, view.message = self._shared.language_of(values), ""
        async for updates in follow(view, lambda: self._show(view), self._context.closing, POLL_SECONDS):
            yield updates

    async def speak(self, values: Values) -> None:
        """Take over the page's language."""
        view: ModelsView = values[self.view]
        view.language, view.message = self._shared.language_of(values), ""

    async def act(self, values: Values, event: gr.EventData) -> None:
        """Do what a button of the list says; `follow` shows what comes of it."""
        action = Action.of(event)
        models = self._models
        begins = {"download": models.download, "verify": models.verify, "cancel": models.cancel}

        def do() -> str:
            if begin := begins.get(action.act):
                begin(action.id)
            elif action.act == "accept":  # the button has asked for it, and names the licences
                models.download(action.id, accept_licences=True)
            elif action.act == "convert":  # the button has said that they go
                models.convert(action.id, remove_originals=True)
            elif action.act == "remove":
                path = models.remove(action.id).path
                return panels.plain(text("models.removed", self._shared.language_of(values), path=path))
            return ""

        await self._do(values, do)

    async def add_folder(self, values: Values) -> Any:
        """Use the folder that is named; the field is emptied if that can be done."""
        language, path = self._shared.language_of(values), str(values[self.path] or "")
        name = str(values[self.model] or "")

        def add() -> str:
            used = self._models.add(name, path)
            return panels.plain(text("models.added", language, path=used))

        return "" if await self._do(values, add) else gr.skip()

    async def _do(self, values: Values, call: Callable[[], str]) -> bool:
        """Do it in a thread and keep what it says to be shown; return whether it could be done."""
        view: ModelsView = values[self.view]
        try:
            view.message = await run_sync(call)
        except I2VError as error:
            view.message = panels.error(error.to_dict(), self._shared.language_of(values))
            return False
        return True

    def _show(self, view: ModelsView) -> Updates:
        found = self._models.all()
        return {
            self.list: models_panels.models(found, view.language),
            self.progress: models_panels.under_way(found, view.language),
            self.message: view.message,
        }
