"""The tab for many pictures: a batch of the service, with one prompt or one for each.

Owns which event of its widgets calls what, and what is to become a batch. All other settings are those of the
first tab's form. Once the button was pressed, the service has the batch: a window that is closed, or a
restart, changes nothing, and whoever opens the tab sees it again. So the browser keeps nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.schema import GenerationRequest
from i2v.jobs.batches import Batch
from i2v.jobs.model import Job, JsonObject
from i2v.service.batch_files import FILES, Listed, parse_rows
from i2v.service.batches import Picture
from i2v.web.page import batch_panels, panels
from i2v.web.page.batch_panels import Draft
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.live import SendingView, follow, live
from i2v.web.page.tabs.widgets import (
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
MAX_ROWS = 1000  # of a file

# All prompts are told at once, a moment after the last key, so that a late event cannot undo a newer one.
_WRITING = """let waiting;
const tell = () => {
  clearTimeout(waiting);
  const texts = Array.from(element.querySelectorAll("[data-row]"), box => box.value);
  trigger("click", {act: "prompts", id: "", texts});
};
element.addEventListener("input", event => {
  if (!event.target.closest("[data-row]")) return;
  clearTimeout(waiting);
  waiting = setTimeout(tell, 200);
});
element.addEventListener("change", tell);
"""


@dataclass
class BatchView(SendingView):
    """What one window shows: the batch that it made, and what is to become the next one.

    batch: "": the newest one of the service. listed: rows of a file.
    """

    batch: str = ""
    drafts: tuple[Draft, ...] = ()
    listed: tuple[Listed, ...] = ()


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
                self.file = dropped_files("i2v-batch-file", "batch.list", labels, *FILES)
                self.table = acting_html("i2v-batch-table", _WRITING)
                labels.of(gr.HTML(elem_id="i2v-batch-about", elem_classes="i2v-label"), value="batch.about")
                self.go = labels.of(
                    gr.Button(variant="primary", size="lg", elem_id="i2v-batch-go"), value="batch.go"
                )
                self.plan = gr.HTML(elem_id="i2v-batch-plan")
            with gr.Column(scale=6, min_width=300):
                self.message = gr.HTML(elem_id="i2v-batch-message")
                self.list = acting_html("i2v-batch")
        self.view = gr.State(BatchView())

    def wire(self, title: gr.Tab, switched: Dependency) -> Wired:
        """See `page.Tab`."""
        shared = self._shared
        here = shared.here() | {self.view}
        looked = live(title, self.follow, here, [self.list])
        switched.then(self.speak, here, self.table, **QUIET)
        asked = self._form.inputs() | here | {self.pictures, self.prompt}
        self.go.click(self.submit, asked, self.message, **QUIET)
        given = gr.on(
            [self.pictures.change, self.file.change],
            self.arrange,
            here | {self.pictures, self.file},
            [self.table, self.message],
            trigger_mode="always_last",
            **QUIET,
        )
        given.then(self.forecast, asked, self.plan, **QUIET)
        changes = [title.select, self.prompt.change]
        gr.on(changes, self.forecast, asked, self.plan, trigger_mode="always_last", **QUIET)
        self.table.click(self.write, {self.view}, trigger_mode="always_last", **QUIET)
        acted = self.list.click(
            self.act, here, [shared.opened, shared.tabs, self.message], trigger_mode="multiple", **QUIET
        )
        return Wired(opens=(acted,), live=(looked,))

    # --- what is to become a batch

    async def arrange(self, values: Values) -> Updates:
        """List the pictures that were dropped: first what the file says of them, then the others."""
        view: BatchView = values[self.view]
        language = self._shared.language_of(values)
        paths: list[Path] = values[self.pictures] or []
        message = ""
        try:
            view.listed = await run_sync(_read_file, values[self.file])
        except I2VError as error:
            view.listed = ()
            message = panels.error(error.to_dict(), language)
        found, missing = _matched(view.listed, paths)
        written = {draft.path: draft.prompt for draft in view.drafts}
        used = {draft.path for draft in found}
        view.drafts = (*found, *(Draft(path, written.get(path, "")) for path in paths if path not in used))
        if missing and paths:
            message = batch_panels.no_pictures(missing, language)
        return {self.table: batch_panels.drafts(view.drafts, language), self.message: message}

    async def write(self, values: Values, event: gr.EventData) -> None:
        """Take over the prompts as they stand in the table; they come from the browser, as anything may."""
        view: BatchView = values[self.view]
        texts = event._data.get("texts") if isinstance(event._data, dict) else None
        if isinstance(texts, list) and len(texts) == len(view.drafts):
            view.drafts = tuple(
                Draft(draft.path, prompt if isinstance(prompt, str) else draft.prompt, draft.fields)
                for draft, prompt in zip(view.drafts, texts, strict=True)
            )

    async def speak(self, values: Values) -> str:
        """Take over the page's language."""
        view: BatchView = values[self.view]
        view.language = self._shared.language_of(values)
        return batch_panels.drafts(view.drafts, view.language)

    async def submit(self, values: Values) -> Updates:
        """Make a batch of the pictures, but for the second click of a double click."""
        view: BatchView = values[self.view]
        if view.is_pressed_again():
            return {self.message: gr.skip()}
        view.is_sending = True
        try:
            drafts = self._drafts(values)
            fields = await self._fields(values)
            await self._check(fields, drafts, values)
            view.batch = await run_sync(self._made, fields, drafts)
        except I2VError as error:
            return {self.message: panels.error(error.to_dict(), self._shared.language_of(values))}
        finally:
            view.end_sending()
        return {self.message: ""}

    def _made(self, fields: JsonObject, drafts: Sequence[Draft]) -> str:
        """Hand the pictures over to the service; return the batch that it has made of them."""
        batch = self._service.batches.create("", fields).id
        try:
            self._service.batches.add(batch, _read(drafts))
        except I2VError:
            self._service.batches.delete(batch)
            raise
        return batch

    def _drafts(self, values: Values) -> Sequence[Draft]:
        """Return what is listed; pictures that were dropped this very moment may not be yet."""
        view: BatchView = values[self.view]
        paths: list[Path] = values[self.pictures] or []
        listed = [draft for draft in view.drafts if draft.path in paths]
        known = {draft.path for draft in listed}
        return [*listed, *(Draft(path) for path in paths if path not in known)]

    async def _fields(self, values: Values) -> JsonObject:
        spec = await self._context.engine(self._form.engine_named(values))
        fields = self._form.fields(values, spec)
        for name in ("inputs", "sound", "narration"):  # they go with the first tab's picture
            fields.pop(name, None)
        if spec.capabilities.prompt != "none":
            fields["prompt"] = values[self.prompt] or ""
        return fields

    async def _check(self, fields: JsonObject, drafts: Sequence[Draft], values: Values) -> None:
        """Raise now what would be wrong with requests."""
        if not drafts:
            label = text("picture.label", self._shared.language_of(values))
            raise InvalidRequest("request.missing_field", field=label)
        asked = {}  # most ask for the same but for their words
        for draft in drafts:
            asked[f"{bool(draft.prompt)} {sorted(draft.fields.items())}"] = draft
        for draft in asked.values():
            await self._context.plan(fields | _own(draft))

    async def forecast(self, values: Values) -> str:
        """Return how long the pictures will take, by the first one; "" where that is not known."""
        drafts = self._drafts(values)
        language = self._shared.language_of(values)
        if not drafts:
            return ""
        try:
            header = await self._context.inspect(await run_sync(read_upload, drafts[0].path))
            fields = await self._fields(values)
            plan = await self._context.plan(fields | _own(drafts[0]), header.size)
        except I2VError:  # said of the picture that it is about, or when the button is pressed
            return ""
        return batch_panels.forecast(len(drafts), plan.seconds, language)

    # --- the batch that is shown

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show how the batch is."""
        view: BatchView = values[self.view]
        view.language = self._shared.language_of(values)
        news = follow(
            view, lambda: self._shown(view), self._context.closing, POLL_SECONDS, self._service.revision
        )
        async for updates in news:
            yield updates

    def _shown(self, view: BatchView) -> Updates:
        batch = self._batch(view)
        if batch is None:
            return {self.list: ""}
        jobs: dict[str, Job] = {}
        rows = self._service.batches.rows(batch.id)
        for row in rows:
            if row.job:
                with suppress(InvalidRequest):  # it was deleted
                    jobs[row.job] = self._service.get(row.job)
        left = self._service.batches.seconds_left(batch)
        return {self.list: batch_panels.batch(batch, rows, jobs, left, view.language)}

    def _batch(self, view: BatchView) -> Batch | None:
        """Return the batch that this window made; without one, the newest that is not finished, or is."""
        with suppress(InvalidRequest):  # it was deleted
            if view.batch:
                return self._service.batches.get(view.batch)
        batches = self._service.batches.page(limit=20)
        return next((each for each in batches if not each.is_finished), batches[0] if batches else None)

    async def act(self, values: Values, event: gr.EventData) -> Updates:
        """Do what a button of the list says."""
        action = Action.of(event)
        opened = Opened(job=action.id) if action.act == "open" else Opened()
        to_queue = gr.update(selected="queue") if action.act == "queue" else gr.skip()
        message = ""
        try:
            if action.act == "cancel":
                await run_sync(self._service.batches.cancel, action.id)
            elif action.act == "retry":
                await run_sync(self._service.batches.retry, action.id)
        except I2VError as error:
            message = panels.error(error.to_dict(), self._shared.language_of(values))
        return {self._shared.opened: opened, self._shared.tabs: to_queue, self.message: message}


def _own(draft: Draft) -> JsonObject:
    """Return the fields that a draft has of its own."""
    return draft.fields | ({"prompt": draft.prompt} if draft.prompt else {})


def _read(drafts: Iterable[Draft]) -> Iterator[Picture]:
    for draft in drafts:
        data: bytes | I2VError
        try:
            data = read_upload(draft.path)
        except InvalidRequest as error:  # it was tidied up since it was uploaded
            data = error
        yield Picture(draft.path.name, data, _own(draft))


def _read_file(dropped: Sequence[Path] | None) -> tuple[Listed, ...]:
    """Return the rows of the file that was dropped; raise `InvalidRequest` for what is wrong with one."""
    if not dropped:
        return ()
    path = dropped[0]
    name = shown(path.name, limit=80)
    if path.suffix.lower() not in FILES:
        raise InvalidRequest("batch.bad_source", path=name)
    try:
        content = read_upload(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8; save the file as UTF-8"
        raise InvalidRequest("batch.unreadable", path=name, reason=reason) from error
    rows = parse_rows(name, path.suffix.lower(), content)
    if len(rows) > MAX_ROWS:
        raise InvalidRequest("batch.unreadable", path=name, reason=f"more than {MAX_ROWS} rows")
    for row in rows:
        try:
            GenerationRequest.parse(row.fields)
        except InvalidRequest as error:
            raise InvalidRequest("batch.bad_row", place=row.place, reason=error.message) from error
    return tuple(rows)


def _matched(listed: Iterable[Listed], paths: Iterable[Path]) -> tuple[list[Draft], list[str]]:
    """Return the rows with their pictures, then names of pictures that are not there.

    Names of uploads lose letters that some systems do not take, so only letters and digits are compared.
    """
    by_name = {_plain(path.name): path for path in paths}
    found, missing = [], []
    for row in listed:
        name = re.split(r"[/\\]", row.picture)[-1]
        path = by_name.get(_plain(name))
        if path is None:
            missing.append(name)
        else:
            others = {field: value for field, value in row.fields.items() if field != "prompt"}
            found.append(Draft(path, str(row.fields.get("prompt", "")), others))
    return found, missing


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
