"""The first tab: drop a picture, write a sentence, press the button, watch it become a clip.

Owns which event of its widgets calls what. A job lives in the store: what is shown here is the one that this
browser saw last.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.schema import Language
from i2v.jobs.model import Job, JsonObject
from i2v.web.api.events import POLL_SECONDS
from i2v.web.page import panels
from i2v.web.page.tabs.form import Form, draw_seed
from i2v.web.page.tabs.live import DISK_SECONDS, follow
from i2v.web.page.tabs.outlook import Outlook
from i2v.web.page.tabs.screen import Screen
from i2v.web.page.tabs.showing import Showing
from i2v.web.page.tabs.widgets import QUIET, Opened, Shared, Updates, Values, looked_at, merged
from i2v.web.texts import text

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


class GenerateTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._front = shared.front
        self._service = shared.front.service
        labels = shared.labels
        self.view = gr.State(Showing())
        # The id of the job that the form was filled from when the page opened.
        self.brought_back = gr.State("")
        self.outlook = Outlook(shared, self.view)
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                self.form = Form(labels, self._service.engines)
                self.go = labels.of(
                    gr.Button(variant="primary", size="lg", elem_id="i2v-go"), value="generate"
                )
                self.outlook.below(self.form)
                with labels.of(gr.Accordion(open=False, elem_id="i2v-advanced"), label="advanced"):
                    self.form.advanced(labels)
            with gr.Column(scale=6, min_width=300):
                self.screen = Screen(labels, self._service.engines)

    # --- which event calls what

    def wire(self, loaded: Dependency, switched: Dependency, title: gr.Tab) -> None:
        """Attach the events; the page was `loaded` and restored, its language `switched`."""
        form, screen, shared = self.form, self.screen, self._shared
        here = shared.here() | {self.view}
        everything, seen = self.outlook.inputs(), self.outlook.widgets()
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

        # When the tab is looked at, since a model may have been fetched meanwhile.
        spoken = switched.then(self.switch, here | {form.fit}, form.fit, **QUIET)
        for event in (loaded, spoken, looked_at(title)):
            event.then(self.outlook.look, everything, seen, **QUIET)
        # A result, since what was finished tells what the next one will take. Not the preset and the engine:
        # another one's bounds must be in the browser before its values are sent again.
        now = [widget for widget in form.settings() if widget not in (form.preset, form.engine)]
        changes = [widget.change for widget in (*now, screen.result)]
        gr.on(changes, self.outlook.look, everything, seen, trigger_mode="always_last", **QUIET)
        chosen = gr.on(
            [form.preset.input, form.engine.input], self.apply_preset, everything, form.shaped(), **QUIET
        )
        reshaped = self.outlook.reshapes.change(self.reshape, everything, form.shaped(), **QUIET)
        for event in (chosen, reshaped):
            event.then(self.outlook.look, everything, seen, **QUIET)
        self.brought_back.change(
            self.bring_back_picture, {self.brought_back, form.picture}, form.picture, **QUIET
        )
        examined = form.picture.change(self.outlook.examine, {form.picture, self.view}, **QUIET)
        examined.then(self.outlook.look, everything, seen, **QUIET)
        form.dice.click(draw_seed, None, form.seed, **QUIET)
        form.reuse.click(self.last_seed, self.view, form.seed, **QUIET)
        self.outlook.get_model.click(lambda: gr.update(selected="system"), None, shared.tabs, **QUIET)

    def wire_opened(self, opened: Dependency) -> None:
        """Attach what happens after another tab's event, which has put something into `Shared.opened`."""
        shared = self._shared
        inputs = shared.here() | {shared.opened, self.form.picture, self.view}
        outputs = [shared.opened, shared.remembered, shared.tabs, self.form.picture, *self.form.kept()]
        taken = opened.then(self.take_over, inputs, outputs, **QUIET)
        taken.then(self.outlook.look, self.outlook.inputs(), self.outlook.widgets(), **QUIET)

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
            spec, sized = await self._sized(view, {})
            return sized if spec is None else sized | self.form.fits(spec, language)
        return {self.brought_back: job.id} | await self._of_job(view, job)

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

    async def _of_job(self, view: Showing, job: Job) -> Updates:
        """Return the form as the job was asked for, with the numbers that were run."""
        asked, ran = job.request, job.generation
        engine = str(asked.get("engine", "auto"))
        if engine not in self._service.engines or engine == self._front.settings.engine.name:
            engine = "auto"  # whatever that is by now
        chosen = {"preset": asked.get("preset", "standard"), "engine": engine}
        spec, updates = await self._sized(view, chosen)
        if spec is None:  # nobody knows yet what "auto" is
            return updates
        if ran is not None and ran.engine == spec.name:
            updates = merged(updates, self.form.shape(spec, asdict(ran)))
        fits = self.form.fits(spec, view.language, asked.get("fit"))
        return merged(updates, self.form.filled(asked, spec), fits, {self.form.engine: engine})

    async def take_over(self, values: Values) -> Updates:
        """Show the job, or the settings, that another tab has opened."""
        opened: Opened = values[self._shared.opened]
        view: Showing = values[self.view]
        job = await self._find(opened.job)
        updates = {self._shared.opened: Opened(), **self.form.placed(values, None)}
        if job is None and not opened.fields:
            return updates
        updates[self._shared.tabs] = gr.update(selected="generate")
        if job is not None:
            view.turn_to(job.id)
            kept = replace(self._shared.remembered_of(values), job=job.id)
            filled = await self._picture_of(values, job) | await self._of_job(view, job)
            return updates | filled | {self._shared.remembered: asdict(kept)}
        spec, sized = await self._sized(view, opened.fields)
        if spec is None:
            return updates | sized
        fits = self.form.fits(spec, view.language, opened.fields.get("fit"))
        return updates | merged(sized, self.form.repeated(opened.fields, spec), fits)

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
        """Show the controls of the engine that is chosen, with the numbers of the preset."""
        view: Showing = values[self.view]
        chosen = {"preset": values[self.form.preset], "engine": self.form.engine_named(values)}
        spec, sized = await self._sized(view, chosen)
        if spec is None:
            return sized
        return sized | self.form.fits(spec, view.language, values[self.form.fit])

    async def reshape(self, values: Values) -> Updates:
        """Do the same where another engine's controls are shown: they may have been replaced by now."""
        with suppress(I2VError):  # `look` tells it
            spec = await self._front.engine(self.form.engine_named(values))
            if spec.name != values[self.view].shaped:
                return await self.apply_preset(values)
        return {}

    async def _sized(self, view: Showing, fields: JsonObject) -> tuple[EngineSpec | None, Updates]:
        """Return the engine, and the controls that it has a use for with the numbers of `fields`."""
        named = {name: value for name, value in fields.items() if (name, value) != ("engine", "auto")}
        try:
            spec = await self._front.engine(str(fields.get("engine", "auto")))
            plan = await self.outlook.planned(named, spec)
        except I2VError:  # `look` tells it
            view.shaped = view.shaped or ""
            return None, {}
        view.shaped = spec.name
        return spec, merged({self.form.resolution: ""}, self.form.shape(spec, plan.options))

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

    async def switch(self, values: Values) -> Updates:
        """Take over the page's language."""
        view: Showing = values[self.view]
        view.language = self._shared.language_of(values)
        spec = self._service.engines.get(view.shaped or "")
        return {} if spec is None else self.form.fits(spec, view.language, values[self.form.fit])

    async def generate(self, values: Values) -> Any:
        return await self._submit(values, {})

    async def generate_same_seed(self, values: Values) -> Any:
        """Run the form as it is now with the last job's seed."""
        last = await self._find(values[self.view].job)
        seed = {} if last is None or last.generation is None else {"seed": last.generation.seed}
        return await self._submit(values, seed)

    async def generate_variation(self, values: Values) -> Any:
        """Run the form as it is now with a new seed."""
        return await self._submit(values, {"seed": draw_seed()})

    async def _submit(self, values: Values, seed: Mapping[str, object]) -> Any:
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
            spec = await self._front.engine(self.form.engine_named(values))
            fields = {**self.form.fields(values, spec), **(seed if spec.capabilities.seed else {})}
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
