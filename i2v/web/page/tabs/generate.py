"""The first tab: drop a picture, write a sentence, press the button, watch it become a clip.

Owns which event of its widgets calls what. A job lives in the store: what is shown here is the one that this
browser saw last.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from html import escape
from typing import Any, cast

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InvalidRequest, Notice
from i2v.core.schema import Language
from i2v.jobs.model import Job, JsonObject
from i2v.media.picture_facts import PictureFacts
from i2v.pipeline.choice import best_engine
from i2v.service.advice import advise
from i2v.service.service import Plan
from i2v.web.api.events import POLL_SECONDS
from i2v.web.page import models_panels, panels
from i2v.web.page.inspected import Inspected
from i2v.web.page.tabs.form import Form, draw_seed
from i2v.web.page.tabs.live import DISK_SECONDS, View, follow
from i2v.web.page.tabs.screen import Screen
from i2v.web.page.tabs.widgets import QUIET, Opened, Shared, Updates, Values, looked_at
from i2v.web.texts import model_title, sentences, text, translate

DOUBLE_CLICK_SECONDS = 0.5  # the browser lets two clicks through that come at once

# On a phone the frame stands below the form; where it is in sight, this does nothing. The frame takes the
# clip's shape when the job is accepted, which may push it out of sight again.
_SHOW_FRAME = """() => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const frame = document.querySelector("#i2v-frame");
  if (!frame) return;
  const show = () => frame.scrollIntoView({block: "nearest", behavior: calm ? "auto" : "smooth"});
  show();
  const watch = new ResizeObserver(show);
  watch.observe(frame);
  setTimeout(() => watch.disconnect(), 5000);
}"""


@dataclass
class Showing(View):
    """What a window shows beside the form.

    Attributes:
        job: the id of one; "" for none.
        is_sending: something was asked for, and is not a job yet.
        error: what went wrong with what was asked for last.
        asked_at: when the button was pressed last (`time.monotonic`).
        examined: the path of the picture that was looked at last, and what was found, or is wrong with it.
    """

    job: str = ""
    is_sending: bool = False
    error: JsonObject | None = None
    asked_at: float = field(default=0.0, compare=False)
    examined: tuple[str, PictureFacts | InvalidRequest] | None = field(default=None, compare=False)

    def turn_to(self, job: str = "", is_sending: bool = False, error: JsonObject | None = None) -> None:
        self.job, self.is_sending, self.error = job, is_sending, error


class GenerateTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._front = shared.front
        self._service = shared.front.service
        labels = shared.labels
        self._inspected = Inspected(shared.front.inspect)
        self.view = gr.State(Showing())
        # The id of the job that the form was filled from when the page opened.
        self.brought_back = gr.State("")
        self.about = gr.HTML(elem_id="i2v-about")
        self.get_model = gr.Button(visible=False, size="sm", elem_id="i2v-get-model")
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                self.form = Form(labels, self._service.engines)
                self.go = labels.of(
                    gr.Button(variant="primary", size="lg", elem_id="i2v-go"), value="generate"
                )
                self.plan = gr.HTML(elem_id="i2v-plan")
                self.advice = gr.HTML(elem_id="i2v-advice")
                with labels.of(gr.Accordion(open=False, elem_id="i2v-advanced"), label="advanced"):
                    self.form.advanced(labels)
            with gr.Column(scale=6, min_width=300):
                self.screen = Screen(labels)

    # --- which event calls what

    def wire(self, loaded: Dependency, switched: Dependency, title: gr.Tab) -> None:
        """Attach the events; the page was `loaded` and restored, its language `switched`."""
        form, screen, shared = self.form, self.screen, self._shared
        here = shared.here() | {self.view}
        everything = form.inputs() | here
        asked = (
            (self.go, self.generate),
            (screen.same_seed, self.generate_same_seed),
            (screen.variation, self.generate_variation),
        )
        for button, handler in asked:
            button.click(None, js=_SHOW_FRAME)
            button.click(handler, everything, shared.remembered, **QUIET)
        screen.carry_on.click(self.carry_on, {self.view, form.picture}, form.picture, **QUIET)
        screen.cancel.click(self.cancel, {self.view}, screen.status, **QUIET)

        seen = [self.about, self.get_model, self.plan, self.advice]
        # When the tab is looked at, since a model may have been fetched meanwhile.
        for event in (loaded, switched.then(self.switch, here, **QUIET), looked_at(title)):
            event.then(self.look, everything, seen, **QUIET)
        # A result, since what was finished tells what the next one will take.
        changes = [widget.change for widget in (*form.settings(), screen.result)]
        gr.on(changes, self.look, everything, seen, trigger_mode="always_last", **QUIET)
        self.brought_back.change(
            self.bring_back_picture, {self.brought_back, form.picture}, form.picture, **QUIET
        )
        examined = form.picture.change(self.examine, {form.picture, self.view}, **QUIET)
        examined.then(self.look, everything, seen, **QUIET)
        gr.on([form.preset.input, form.engine.input], self.apply_preset, everything, form.sized(), **QUIET)
        form.dice.click(draw_seed, None, form.seed, **QUIET)
        form.reuse.click(self.last_seed, self.view, form.seed, **QUIET)
        self.get_model.click(lambda: gr.update(selected="system"), None, shared.tabs, **QUIET)

    def wire_opened(self, opened: Dependency) -> None:
        """Attach what happens after another tab's event, which has put something into `Shared.opened`."""
        shared = self._shared
        inputs = shared.here() | {shared.opened, self.form.picture, self.view}
        outputs = [shared.opened, shared.remembered, shared.tabs, self.form.picture, *self.form.kept()]
        opened.then(self.take_over, inputs, outputs, **QUIET)

    # --- handlers: what is asked for

    async def restored(self, values: Values, language: Language) -> Updates:
        """Return the form as it was when this browser's last job was asked for, or as the preset has it.

        All but the picture: on a slow line one may have been dropped already, and an answer, even one that
        leaves the picture as it was when the page asked, would take it away again.
        """
        view: Showing = values[self.view]
        job = await self._find(self._shared.remembered_of(values).job)
        view.language = language
        view.turn_to("" if job is None else job.id)
        if job is None:
            return await self._sized({})
        return {self.brought_back: job.id} | self._of_job(job)

    async def bring_back_picture(self, values: Values) -> Updates:
        """Put the picture of that job into the form, unless there is one already."""
        job = await self._find(values[self.brought_back])
        if job is None or self.form.picture_path(values):
            return self.form.placed(values, None)
        return await self._picture_of(values, job)

    async def _picture_of(self, values: Values, job: Job) -> Updates:
        picture = None
        with suppress(I2VError):  # it cannot be read now: the form stays without it
            picture = await self._front.look(lambda: self._service.picture(job))
        return await run_sync(self.form.placed, values, picture)

    def _of_job(self, job: Job) -> Updates:
        numbers = {} if job.generation is None else self.form.numbers(asdict(job.generation))
        return self.form.filled(job.request) | numbers

    async def take_over(self, values: Values) -> Updates:
        """Show the job, or the settings, that another tab has opened."""
        opened: Opened = values[self._shared.opened]
        job = await self._find(opened.job)
        updates = {self._shared.opened: Opened(), **self.form.placed(values, None)}
        if job is None and not opened.fields:
            return updates
        updates[self._shared.tabs] = gr.update(selected="generate")
        if job is not None:
            values[self.view].turn_to(job.id)
            kept = replace(self._shared.remembered_of(values), job=job.id)
            filled = await self._picture_of(values, job) | self._of_job(job)
            return updates | filled | {self._shared.remembered: asdict(kept)}
        sized = await self._sized(opened.fields | {"prompt": "any"})
        return updates | sized | self.form.repeated(opened.fields)

    async def carry_on(self, values: Values) -> Updates:
        """Put the last frame of the clip into the form, to go on from there."""
        view: Showing = values[self.view]
        try:
            frame = await self._front.heavy(lambda: self._service.last_frame(view.job))
        except I2VError as error:  # the clip was deleted
            view.turn_to(view.job, error=error.to_dict())
            return self.form.placed(values, None)
        return await run_sync(self.form.placed, values, frame)

    async def apply_preset(self, values: Values) -> Updates:
        fields = self.form.fields(values)
        return await self._sized({name: fields[name] for name in ("preset", "engine") if name in fields})

    async def _sized(self, fields: JsonObject) -> Updates:
        """Return the widgets that say how large and how long a clip is, as a preset has them."""
        try:
            plan = await self._plan(fields)
        except I2VError:  # `look` tells it
            return {}
        return {self.form.resolution: "", **self.form.numbers(plan.options)}

    async def examine(self, values: Values) -> None:
        """Have a new picture looked at. It takes a second, so `look` does not wait for it."""
        view: Showing = values[self.view]
        with suppress(I2VError):  # not now: there is no advice then, and `submit` is asked again anyway
            picture = await run_sync(self.form.picture_bytes, values)
            if picture is None:
                return
            found: PictureFacts | InvalidRequest
            try:
                found = await self._front.look(lambda: self._service.examine(picture))
            except InvalidRequest as error:
                found = error
            view.examined = (values[self.form.picture], found)

    async def look(self, values: Values) -> Updates:
        """Say what the request would take here and what might disappoint, or why it would be refused."""
        language = self._shared.language_of(values)
        fields = self.form.fields(values)
        path = self.form.picture_path(values)
        try:
            facts = self._facts(values)
            header = None if path is None else await self._inspected.of(path)
            plan = await self._plan(fields, None if header is None else header.size)
        except I2VError as error:
            return {self.plan: panels.error(error.to_dict(), language), self.advice: ""}
        spec = self._service.engines[str(plan.options["engine"])]
        guidance, fps = (cast("float", plan.options[name]) for name in ("guidance_scale", "fps"))
        size = None if header is None else header.size
        advice = advise(str(fields["prompt"]), facts or size, guidance, fps, spec)
        told = (*(() if header is None else header.notices), *advice)
        reason = None if "engine" in fields else await self._front.heavy(self._service.explain_choice)
        return {
            self.about: _about(spec, reason, language),
            self.get_model: _way_to_get_model(self._service.engines, reason, language),
            self.plan: _forecast(plan, None if header is None else header.source_size, language),
            self.advice: panels.notices(told, language),
        }

    def _facts(self, values: Values) -> PictureFacts | None:
        """Return what was found in the picture so far; raise `InvalidRequest` if it cannot be used."""
        examined = values[self.view].examined
        found = examined[1] if examined and examined[0] == values[self.form.picture] else None
        if isinstance(found, InvalidRequest):
            raise InvalidRequest.rebuilt(found.to_dict())
        return found

    async def _plan(self, fields: JsonObject, size: tuple[int, int] | None = None) -> Plan:
        # A prompt, so that a page without one gets numbers and not an error: it changes no number.
        asked = fields | {"prompt": "any"}
        return await self._front.plan(asked, size or (512, 512))

    # --- handlers: jobs

    async def live(self, values: Values) -> AsyncIterator[Updates]:
        """Show what the window looks at, as long as it is open."""
        view: Showing = values[self.view]
        show = partial(self._show, view)
        async for updates in follow(view, show, self._front.closing, POLL_SECONDS, self._version):
            yield updates

    def _version(self) -> object:
        return self._service.revision(), time.time() // DISK_SECONDS

    def _show(self, view: Showing) -> Updates:
        if view.is_sending:
            return self.screen.line(text("sending", view.language), view.language)
        shown = self.screen.of(self._get(view.job), view.language)
        return shown if view.error is None else shown | self.screen.error(view.error, view.language)

    async def switch(self, values: Values) -> None:
        """Take over the page's language."""
        values[self.view].language = self._shared.language_of(values)

    async def generate(self, values: Values) -> Any:
        return await self._submit(values, self.form.fields(values))

    async def generate_same_seed(self, values: Values) -> Any:
        """Run the form as it is now with the last job's seed."""
        last = await self._find(values[self.view].job)
        seed = {} if last is None or last.generation is None else {"seed": last.generation.seed}
        return await self._submit(values, self.form.fields(values) | seed)

    async def generate_variation(self, values: Values) -> Any:
        """Run the form as it is now with a new seed."""
        return await self._submit(values, self.form.fields(values) | {"seed": draw_seed()})

    async def _submit(self, values: Values, fields: JsonObject) -> Any:
        """Return what the browser is to keep; nothing for the second click of a double click."""
        view: Showing = values[self.view]
        if view.is_sending or time.monotonic() - view.asked_at < DOUBLE_CLICK_SECONDS:
            return gr.skip()
        before = view.job
        view.asked_at = time.monotonic()
        view.turn_to(is_sending=True)
        try:
            picture = await run_sync(self.form.picture_bytes, values)
            if picture is None:
                label = text("picture.label", self._shared.language_of(values))
                raise InvalidRequest("request.missing_field", field=label)
            job = await self._front.submit(fields, picture)
        except I2VError as error:
            view.turn_to(before, error=error.to_dict())
            return gr.skip()
        finally:
            view.is_sending = False
        view.turn_to(job.id)
        return asdict(replace(self._shared.remembered_of(values), job=job.id))

    async def cancel(self, values: Values) -> str:
        view: Showing = values[self.view]
        try:
            job = await run_sync(self._service.cancel, view.job)
        except I2VError as error:  # it has just finished
            return panels.error(error.to_dict(), view.language)
        return panels.status(job, view.language)

    async def last_seed(self, view: Showing) -> Any:
        job = await self._find(view.job)
        return gr.skip() if job is None or job.generation is None else str(job.generation.seed)

    async def _find(self, job_id: str) -> Job | None:
        return await run_sync(self._get, job_id)

    def _get(self, job_id: str) -> Job | None:
        try:
            return self._service.get(job_id) if job_id else None
        except InvalidRequest:  # deleted
            return None


def _about(spec: EngineSpec, reason: Notice | None, language: Language) -> str:
    """Return what the model that would run is, if it is the demo, and why it is that one."""
    told = [text("demo.about", language)] if spec.embedded else []
    if reason is not None:
        told.append(translate(reason.to_dict(), language))
    return _subdued(sentences(told, language)) if told else ""


def _way_to_get_model(engines: Mapping[str, EngineSpec], reason: Notice | None, language: Language) -> Any:
    """Return an update of the button that leads to the model which this machine could run, and lacks."""
    if reason is None or reason.code != "engine.auto_no_weights":
        return gr.update(visible=False)
    best = best_engine(engines)
    if not best.published:
        return gr.update(visible=False)
    size = models_panels.size(best.published_bytes)
    return gr.update(
        visible=True, value=text("models.get", language, title=model_title(best.title, language), size=size)
    )


def _forecast(plan: Plan, size: tuple[int, int] | None, language: Language) -> str:
    """Return what the clip will be and what becomes of the picture for it; then how long it takes."""
    made = plan.options
    clip = {name: made[name] for name in ("width", "height", "num_frames")}
    parts = [text("forecast.clip", language, **clip, seconds=f"{_playing_seconds(made):.1f}")]
    if size is not None:
        parts.append(_framing(made, size, language))
    told = (translate(notice.to_dict(), language) for notice in (*plan.memory, plan.notice))
    return _subdued(" · ".join(parts)) + _subdued(sentences(told, language))


def _framing(made: Mapping[str, object], size: tuple[int, int], language: Language) -> str:
    """Return what becomes of a picture of that size; where it is cut only a little, how much."""
    width, height = (cast("int", made[name]) for name in ("width", "height"))
    scale = max(width / size[0], height / size[1])
    percent = round(100 - 100 * width * height / (scale**2 * size[0] * size[1]))
    name = "forecast.keep_cut" if made["fit"] == "keep" and percent else f"forecast.{made['fit']}"
    return text(name, language, size=f"{size[0]} x {size[1]}", percent=percent)


def _playing_seconds(made: Mapping[str, object]) -> float:
    num_frames, fps = (cast("float", made[name]) for name in ("num_frames", "fps"))
    return num_frames / fps


def _subdued(line: str) -> str:
    return f'<p class="i2v-subdued">{escape(line)}</p>'
