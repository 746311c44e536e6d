"""The first tab: drop a picture, write a sentence, press the button, watch it become a clip.

Owns which event of its widgets calls what. A job lives in the store: what is shown here is the one that this
browser saw last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from html import escape
from typing import Any, cast

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.advice import advise
from i2v.errors import I2VError, InvalidRequest, Notice
from i2v.jobs import Job, JsonObject
from i2v.schema import Language
from i2v.service import Plan
from i2v.web import panels
from i2v.web.events import watch
from i2v.web.tabs.form import Form, draw_seed
from i2v.web.tabs.screen import Screen
from i2v.web.tabs.widgets import QUIET, Opened, Remembered, Shared, Updates, Values
from i2v.web.texts import text, translate


class GenerateTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared, tabs: gr.Tabs) -> None:
        self._shared = shared
        self._tabs = tabs
        self._front = shared.front
        self._service = shared.front.service
        labels = shared.labels
        # Whether the last submission was accepted: only then there is more to show.
        self._accepted = gr.State(False)
        self.about = gr.HTML(elem_id="i2v-about")
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

    def wire(self, loaded: Dependency, switched: Dependency) -> None:
        """Attach the events; the page was `loaded` and restored, its language `switched`."""
        form, screen, shared = self.form, self.screen, self._shared
        here = shared.here()
        everything = form.inputs() | here
        outputs = [shared.remembered, self._accepted, *screen.widgets()]
        seen = [self.about, self.plan, self.advice]

        asked = [
            button.click(handler, everything, outputs, **QUIET)
            for button, handler in (
                (self.go, self.generate),
                (screen.same_seed, self.generate_same_seed),
                (screen.variation, self.generate_variation),
            )
        ]
        watched = screen.widgets()
        self._follow = [event.then(self.follow, here, watched, **QUIET) for event in (loaded, switched)]
        self._follow += [
            event.then(self.follow_accepted, here | {self._accepted}, watched, **QUIET) for event in asked
        ]
        gr.on(
            [shared.language.input, self.go.click, screen.same_seed.click, screen.variation.click],
            cancels=self._follow,
        )
        for event in (loaded, switched, *self._follow):  # what was finished tells what the next one will take
            event.then(self.look, everything, seen, **QUIET)
        changes = [widget.change for widget in form.settings()]
        gr.on(changes, self.look, everything, seen, trigger_mode="always_last", **QUIET)
        gr.on([form.preset.input, form.engine.input], self.apply_preset, everything, form.sized(), **QUIET)
        screen.carry_on.click(self.carry_on, here | {form.picture}, [form.picture, screen.status], **QUIET)
        screen.cancel.click(self.cancel, here, screen.status, **QUIET)
        form.dice.click(draw_seed, None, form.seed, **QUIET)
        form.reuse.click(self.last_seed, shared.remembered, form.seed, **QUIET)

    def wire_opened(self, opened: Dependency) -> None:
        """Attach what happens after another tab's event, which has put something into `Shared.opened`."""
        shared = self._shared
        outputs = [shared.opened, shared.remembered, self._tabs, *self.form.kept()]
        inputs = shared.here() | {shared.opened, self.form.picture}
        taken = opened.then(self.take_over, inputs, outputs, **QUIET)
        shown = taken.then(self.follow, shared.here(), self.screen.widgets(), cancels=self._follow, **QUIET)
        self._follow.append(shown)

    # --- handlers: what is asked for

    async def restored(self, values: Values) -> Updates:
        """Return the form as it was when this browser's last job was asked for, or as the preset has it."""
        job = await self._find(self._shared.remembered_of(values).job)
        if job is None:
            return self.form.placed(values, None) | await self._sized({})
        return await run_sync(self._of_job, values, job)

    def _of_job(self, values: Values, job: Job) -> Updates:
        placed = self.form.placed(values, self._service.picture(job))
        return placed | self.form.filled(job.request) | self.form.numbers(job.generation)

    async def take_over(self, values: Values) -> Updates:
        """Show the job, or the settings, that another tab has opened."""
        opened: Opened = values[self._shared.opened]
        job = await self._find(opened.job)
        updates = {self._shared.opened: Opened(), **self.form.placed(values, None)}
        if job is None and not opened.fields:
            return updates
        updates[self._tabs] = gr.update(selected="generate")
        if job is not None:
            kept = replace(self._shared.remembered_of(values), job=job.id)
            filled = await run_sync(self._of_job, values, job)
            return updates | filled | {self._shared.remembered: asdict(kept)}
        sized = await self._sized(opened.fields | {"prompt": "any"})
        return updates | sized | self.form.filled(opened.fields)

    async def carry_on(self, values: Values) -> Updates:
        """Put the last frame of the clip into the form, to go on from there."""
        job_id = self._shared.remembered_of(values).job
        try:
            frame = await self._front.heavy(lambda: self._service.last_frame(job_id))
        except I2VError as error:  # the clip was deleted
            told = panels.error(error.to_dict(), self._shared.language_of(values))
            return {self.screen.status: told, **self.form.placed(values, None)}
        return self.form.placed(values, frame)

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

    async def look(self, values: Values) -> Updates:
        """Say what the request would take here, and what might disappoint."""
        language = self._shared.language_of(values)
        fields = self.form.fields(values)
        size = await run_sync(self.form.picture_size, values)
        try:
            plan = await self._plan(fields, size)
        except I2VError as error:
            return {self.plan: panels.error(error.to_dict(), language), self.advice: ""}
        spec = self._service.engines[str(plan.options["engine"])]
        guidance, fps = (cast("float", plan.options[name]) for name in ("guidance_scale", "fps"))
        advice = advise(str(fields["prompt"]), size, guidance, fps, spec)
        return {
            self.about: _subdued(text("demo.about", language)) if spec.embedded else "",
            self.plan: _subdued(_forecast(plan, language)),
            self.advice: panels.notices((notice.to_dict() for notice in advice), language),
        }

    async def _plan(self, fields: JsonObject, size: tuple[int, int] | None = None) -> Plan:
        # A prompt, so that a page without one gets numbers and not an error: it changes no number.
        asked = fields | {"prompt": "any"}
        return await self._front.heavy(lambda: self._service.plan(asked, size or (512, 512)))

    # --- handlers: jobs

    async def generate(self, values: Values) -> AsyncIterator[Updates]:
        async for updates in self._submit(values, self.form.fields(values)):
            yield updates

    async def generate_same_seed(self, values: Values) -> AsyncIterator[Updates]:
        """Run the form as it is now with the last job's seed."""
        last = await self._find(self._shared.remembered_of(values).job)
        seed = {} if last is None else {"seed": last.generation["seed"]}
        async for updates in self._submit(values, self.form.fields(values) | seed):
            yield updates

    async def generate_variation(self, values: Values) -> AsyncIterator[Updates]:
        """Run the form as it is now with a new seed."""
        async for updates in self._submit(values, self.form.fields(values) | {"seed": draw_seed()}):
            yield updates

    async def _submit(self, values: Values, fields: JsonObject) -> AsyncIterator[Updates]:
        language = self._shared.language_of(values)
        yield {self._accepted: False, **self.screen.line(text("sending", language), language)}
        try:
            picture = await run_sync(self.form.picture_bytes, values)
            if picture is None:
                raise InvalidRequest("request.missing_field", field=text("picture.label", language))
            job = await self._front.submit(fields, picture)
        except I2VError as error:
            yield self.screen.error(error.to_dict(), language)
            return
        kept = replace(self._shared.remembered_of(values), job=job.id)
        changes = self.screen.changes(None, job, language)
        yield {self._shared.remembered: asdict(kept), self._accepted: True, **changes}

    async def follow_accepted(self, values: Values) -> AsyncIterator[Updates]:
        if not values[self._accepted]:
            yield {self.screen.status: gr.skip()}  # a generator that yields nothing empties its widgets
            return
        async for updates in self.follow(values):
            yield updates

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show the browser's job until it is finished."""
        language = self._shared.language_of(values)
        job_id = self._shared.remembered_of(values).job
        shown: Job | None = None
        async for job in watch(self._service, job_id, self._front.closing):
            if job is not None and job != shown:
                yield self.screen.changes(shown, job, language)
                shown = job
        if shown is None:  # none yet, or it was deleted
            yield self.screen.empty(language)

    async def cancel(self, values: Values) -> str:
        language = self._shared.language_of(values)
        try:
            job = await run_sync(self._service.cancel, self._shared.remembered_of(values).job)
        except I2VError as error:  # it has just finished
            return panels.error(error.to_dict(), language)
        return panels.status(job, language)

    async def last_seed(self, kept: object) -> Any:
        job = await self._find(Remembered.of(kept).job)
        return gr.skip() if job is None else str(job.generation["seed"])

    async def _find(self, job_id: str) -> Job | None:
        try:
            return await run_sync(self._service.get, job_id) if job_id else None
        except InvalidRequest:  # deleted
            return None


def _forecast(plan: Plan, language: Language) -> str:
    if plan.seconds is None:
        return translate(Notice("plan.unknown", {}).to_dict(), language)
    return translate(Notice("plan.seconds", {"seconds": round(plan.seconds)}).to_dict(), language)


def _subdued(line: str) -> str:
    return f'<p class="i2v-subdued">{escape(line)}</p>'
