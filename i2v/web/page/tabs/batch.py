"""The tab for many pictures and one prompt: a job for each picture, in their order.

Owns which event of its widgets calls what. All other settings are those of the first tab's form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError, InvalidRequest, QueueFull
from i2v.core.schema import Language, shown
from i2v.jobs.model import Job, JsonObject
from i2v.web.page import batch_panels, panels
from i2v.web.page.batch_panels import Entry
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.live import View, follow, live
from i2v.web.page.tabs.widgets import (
    MAX_BATCH,
    QUIET,
    Action,
    Opened,
    Shared,
    Updates,
    Values,
    Wired,
    acting_html,
    dropped_files,
)
from i2v.web.page.uploads import read_upload
from i2v.web.texts import text

POLL_SECONDS = 0.5


@dataclass
class Batch(View):
    """The last batch of one window: `submit` changes it, and `follow` shows that."""

    entries: tuple[Entry, ...] = ()
    sending: bool = False

    def settle(self, number: int, job: str = "", error: JsonObject | None = None) -> None:
        """Say what became of one picture."""
        settled = replace(self.entries[number], job=job, error=error)
        self.entries = (*self.entries[:number], settled, *self.entries[number + 1 :])

    def leave(self, number: int) -> None:
        """Say that this picture and those after it were not submitted."""
        rest = (replace(entry, left=True) for entry in self.entries[number:])
        self.entries = (*self.entries[:number], *rest)


class BatchTab:
    """Its widgets, made where this is called within a `gr.Tab`; `form` is the first tab's."""

    def __init__(self, shared: Shared, form: Form) -> None:
        self._shared = shared
        self._form = form
        self._context = shared.context
        self._service = shared.context.service
        labels = shared.labels
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                self.pictures = dropped_files("i2v-batch-drop", "batch.pictures", labels, "image", many=True)
                self.prompt = labels.of(
                    gr.Textbox(lines=2, max_lines=6, elem_id="i2v-batch-prompt"),
                    label="prompt.label",
                    placeholder="prompt.placeholder",
                )
                form.prompts.append(self.prompt)  # shown and hidden like the first tab's
                labels.of(gr.HTML(elem_id="i2v-batch-about", elem_classes="i2v-label"), value="batch.about")
                self.go = labels.of(
                    gr.Button(variant="primary", size="lg", elem_id="i2v-batch-go"), value="batch.go"
                )
                self.plan = gr.HTML(elem_id="i2v-batch-plan")
            with gr.Column(scale=6, min_width=300):
                self.message = gr.HTML(elem_id="i2v-batch-message")
                self.list = acting_html("i2v-batch")
        self.view = gr.State(Batch())

    def wire(self, title: gr.Tab, switched: Dependency) -> Wired:
        """See `page.Tab`."""
        shared = self._shared
        here = shared.here() | {self.view}
        looked = live(title, self.follow, here, [self.list])
        switched.then(self.speak, here, **QUIET)
        asked = self._form.inputs() | here | {self.pictures, self.prompt}
        self.go.click(self.submit, asked, [self.message, shared.remembered], **QUIET)
        changes = [title.select, self.pictures.change, self.prompt.change]
        gr.on(changes, self.forecast, asked, self.plan, trigger_mode="always_last", **QUIET)
        acted = self.list.click(self.act, None, [shared.opened, shared.tabs], **QUIET)
        return Wired(opens=(acted,), live=(looked,))

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show how the last batch is."""
        last: Batch = values[self.view]
        last.language = self._shared.language_of(values)
        if not last.entries:  # the window was reloaded
            kept = self._shared.remembered_of(values).batch
            last.entries = tuple(Entry(name, job=job, left=not job) for name, job in kept)
        news = follow(
            last, lambda: self._rows(last), self._context.closing, POLL_SECONDS, self._service.revision
        )
        async for updates in news:
            yield updates

    def _rows(self, last: Batch) -> Updates:
        jobs: dict[str, Job] = {}
        for entry in last.entries:
            if entry.job:
                with suppress(InvalidRequest):  # it was deleted
                    jobs[entry.job] = self._service.get(entry.job)
        return {self.list: batch_panels.batch(last.entries, jobs, last.language)}

    async def speak(self, values: Values) -> None:
        """Take over the page's language."""
        values[self.view].language = self._shared.language_of(values)

    async def submit(self, values: Values) -> AsyncIterator[Any]:
        """Submit a job for each picture, but for the second click of a double click."""
        last: Batch = values[self.view]
        if last.sending:  # the browser lets two clicks through that come at once
            yield gr.skip()
            return
        last.sending = True
        try:
            async for markup in self._send(last, values):
                kept = tuple((shown(each.name, limit=80), each.job) for each in last.entries[:MAX_BATCH])
                remembered = replace(self._shared.remembered_of(values), batch=kept)
                yield {self.message: markup, self._shared.remembered: asdict(remembered)}
        except I2VError as error:
            yield {self.message: panels.error(error.to_dict(), self._shared.language_of(values))}
        finally:
            last.sending = False

    async def _send(self, last: Batch, values: Values) -> AsyncIterator[str]:
        """Yield what is shown meanwhile: a bad picture is passed over, a full queue ends the batch."""
        language = self._shared.language_of(values)
        paths: list[Path] = values[self.pictures] or []
        fields = await self._fields(values)
        await self._check(fields, paths, language)
        last.entries = tuple(Entry(path.name) for path in paths)
        for number, path in enumerate(paths):
            line = text("batch.sending", language, number=number + 1, total=len(paths))
            yield panels.plain(line)
            try:
                job = await self._context.submit(fields, await run_sync(read_upload, path))
            except QueueFull as error:
                last.leave(number)
                yield panels.error(error.to_dict(), language) + batch_panels.left(last.entries, language)
                return
            except I2VError as error:
                last.settle(number, error=error.to_dict())
            else:
                last.settle(number, job=job.id)
        yield ""

    async def _fields(self, values: Values) -> JsonObject:
        spec = await self._context.engine(self._form.engine_named(values))
        fields = self._form.fields(values, spec)
        fields.pop("inputs", None)  # keyframes and a last frame go with the first tab's picture
        if spec.capabilities.prompt != "none":
            fields["prompt"] = values[self.prompt] or ""
        return fields

    async def forecast(self, values: Values) -> str:
        """Return how long the pictures will take, by the first one; "" where that is not known."""
        paths: list[Path] = values[self.pictures] or []
        language = self._shared.language_of(values)
        if not paths:
            return ""
        try:
            header = await self._context.inspect(await run_sync(read_upload, paths[0]))
            plan = await self._context.plan(await self._fields(values), header.size)
        except I2VError:  # said of the picture that it is about, or when the button is pressed
            return ""
        return batch_panels.forecast(len(paths), plan.seconds, language)

    async def _check(self, fields: JsonObject, paths: list[Path], language: Language) -> None:
        """Raise now what would be wrong with every picture's request."""
        if not paths:
            raise InvalidRequest("request.missing_field", field=text("picture.label", language))
        await self._context.plan(fields)

    async def act(self, event: gr.EventData) -> Updates:
        """Do what a button of the list says."""
        action = Action.of(event)
        opened = Opened(job=action.id) if action.act == "open" else Opened()
        to_queue = gr.update(selected="queue") if action.act == "queue" else gr.skip()
        return {self._shared.opened: opened, self._shared.tabs: to_queue}
