"""The first tab's form, filled: from a job, from another tab, from a preset or another engine.

Owns what is put into the widgets of `Form` and when they show another engine's controls; which event asks for
it is the tab's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.schema import Language
from i2v.jobs.model import Job, JsonObject
from i2v.web.page.starting_points import PACES, example, motions_of, prompt_of, with_motion, with_pace
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.outlook import Outlook
from i2v.web.page.tabs.showing import Showing
from i2v.web.page.tabs.widgets import Action, Opened, Shared, Updates, Values, merged


class Filling:
    """Handlers that fill the form. `view` holds a `Showing`; `brought_back` the id of a job."""

    def __init__(
        self, shared: Shared, view: gr.State, brought_back: gr.State, form: Form, outlook: Outlook
    ) -> None:
        self._shared = shared
        self._context = shared.context
        self._service = shared.context.service
        self._view = view
        self._brought_back = brought_back
        self._form = form
        self._outlook = outlook

    async def restored(self, values: Values, language: Language, job_id: str) -> Updates:
        """Return the form as it was when that job was asked for, or, without one, as the preset has it.

        All but the picture: on a slow line one may have been dropped already, and an answer, even one that
        leaves the picture as it was when the page asked, would take it away again.
        """
        view: Showing = values[self._view]
        job = await self.find(job_id)
        view.language, view.takes = language, self._shared.remembered_of(values).takes
        view.turn_to("" if job is None else job.id)
        if job is None:
            spec, sized = await self._sized(view, {})
            return sized if spec is None else merged(sized, self._form.choices(spec, language))
        return {self._brought_back: job.id} | await self._of_job(view, job)

    async def bring_back_picture(self, values: Values) -> Updates:
        """Put the picture of that job into the form, unless there is one already."""
        job = await self.find(values[self._brought_back])
        if job is None or self._form.picture_path(values):
            return self._left(values)
        return await self._pictures_of(values, job)

    def _left(self, values: Values) -> Updates:
        """Return the form with the files that are in it."""
        placed = self._form.placed(values, None) | self._form.pictures.placed(values, None)
        return placed | self._form.sound.placed(values, None, keep=True)

    async def _pictures_of(self, values: Values, job: Job) -> Updates:
        """Return the form with the job's picture, keyframes, last frame and sound; the form stays without any
        that cannot be read now."""
        picture, others = None, []
        with suppress(I2VError):
            picture = await self._context.look(lambda: self._service.picture(job))
        for asked, name in zip(_inputs_of(job), job.other_inputs, strict=False):
            with suppress(I2VError):
                file = await self._context.look(partial(self._service.picture, job, name))
                others += [] if file is None else [(asked, file)]
        placed = await run_sync(self._form.placed, values, picture, job.picture_name)
        sound = await run_sync(self._service.sound, job)
        placed |= await run_sync(self._form.sound.placed, values, sound)
        language = self._shared.language_of(values)
        return placed | await run_sync(self._form.pictures.placed, values, others, language)

    async def _of_job(self, view: Showing, job: Job) -> Updates:
        """Return the form as the job was asked for, with the numbers that were run."""
        asked, ran = job.request, job.generation
        engine = str(asked.get("engine", "auto"))
        if engine not in self._service.engines or engine == self._context.settings.engine.name:
            engine = "auto"  # whatever that is by now
        chosen = {"preset": asked.get("preset", "standard"), "engine": engine}
        spec, updates = await self._sized(view, chosen)
        if spec is None:  # nobody knows yet what "auto" is
            return updates
        if ran is not None and ran.engine == spec.name:
            updates = merged(updates, self._form.shape(spec, asdict(ran)))
        choices = self._form.choices(spec, view.language, asked.get("fit"), chosen["preset"])
        return merged(updates, self._form.filled(asked, spec), choices, {self._form.engine: engine})

    async def take_over(self, values: Values) -> Updates:
        """Show the job, or the settings, that another tab has opened."""
        opened: Opened = values[self._shared.opened]
        view: Showing = values[self._view]
        job = await self.find(opened.job)
        updates = {self._shared.opened: Opened(), **self._left(values)}
        if job is None and not opened.fields:
            return updates
        updates[self._shared.tabs] = gr.update(selected="generate")
        if job is not None:
            view.turn_to(job.id)
            kept = replace(self._shared.remembered_of(values), job=job.id)
            filled = await self._pictures_of(values, job) | await self._of_job(view, job)
            return updates | filled | {self._shared.remembered: asdict(kept)}
        spec, sized = await self._sized(view, opened.fields)
        if spec is None:
            return updates | sized
        if (source := await self.find(opened.picture_of)) is not None:
            updates |= await self._pictures_of(values, source)
        fields = opened.fields
        choices = self._form.choices(spec, view.language, fields.get("fit"), fields.get("preset", "standard"))
        return updates | merged(sized, self._form.repeated(fields, spec), choices)

    async def begin_with(self, values: Values, event: gr.EventData) -> Updates:
        """Put an example picture and its prompt into the form."""
        name, language = Action.of(event).id, self._shared.language_of(values)
        picture = example(name)
        placed = await run_sync(self._form.placed, values, picture, name)
        return placed if picture is None else placed | {self._form.prompt: prompt_of(name, language)}

    async def add_motion(self, values: Values, event: gr.EventData) -> Any:
        """Write a motion into the prompt."""
        name, language = Action.of(event).id, self._shared.language_of(values)
        try:
            spec = await self._context.engine(self._form.engine_named(values))
        except I2VError:  # `look` tells it
            return gr.skip()
        if name in PACES and motions_of(spec):
            return with_pace(values[self._form.prompt] or "", name, language)
        if name not in motions_of(spec):
            return gr.skip()
        return with_motion(values[self._form.prompt] or "", name, spec, language)

    def show_own(self, values: Values) -> Updates:
        """Show the presets that this browser keeps."""
        return self._form.own.shown(values, self._shared.language_of(values))

    async def save_own(self, values: Values) -> Updates:
        """Keep the settings of the form under the name that was typed."""
        try:
            spec = await self._context.engine(self._form.engine_named(values))
        except I2VError:  # `look` tells it
            return {}
        return self._form.own.saved(values, self._form.fields(values, spec))

    async def use_own(self, values: Values, event: gr.EventData) -> Updates:
        """Open one of them, with the prompt, part and seed that are in the form; or delete it."""
        chosen, updates = self._form.own.pressed(values, event)
        if chosen is None:
            return updates
        form = self._form
        part = form.cropping.field(values)
        moved = values[form.cropping.place] if part else None  # where the box was put
        now = {"prompt": values[form.prompt], "seed": values[form.seed], "crop": moved or part}
        given = {name: value for name, value in now.items() if value}
        return updates | {self._shared.opened: Opened(fields={**chosen.fields, **given})}

    async def apply_preset(self, values: Values) -> Any:
        """Show the controls of the engine that is chosen, with the numbers of the preset."""
        view: Showing = values[self._view]
        name, preset = self._form.engine_named(values), values[self._form.preset]
        with suppress(I2VError):  # `look` tells it
            offered = (await self._context.engine(name)).offered
            preset = preset if preset in offered else "standard"
        spec, sized = await self._sized(view, {"preset": preset, "engine": name})
        if spec is None:
            return sized or gr.skip()
        return merged(sized, self._form.choices(spec, view.language, values[self._form.fit], preset))

    async def reshape(self, values: Values) -> Any:
        """Do the same where another engine's controls are shown: they may have been replaced by now."""
        with suppress(I2VError):  # `look` tells it
            spec = await self._context.engine(self._form.engine_named(values))
            if spec.name != values[self._view].shaped:
                return await self.apply_preset(values)
        return gr.skip()  # an empty answer is an error to Gradio

    async def _sized(self, view: Showing, fields: JsonObject) -> tuple[EngineSpec | None, Updates]:
        """Return the engine, and the controls that it has a use for with the numbers of `fields`."""
        named = {name: value for name, value in fields.items() if (name, value) != ("engine", "auto")}
        try:
            spec = await self._context.engine(str(fields.get("engine", "auto")))
            plan = await self._outlook.planned(named, spec)
        except I2VError:  # `look` tells it
            view.shaped = view.shaped or ""
            return None, {}
        view.shaped = spec.name
        return spec, merged({self._form.resolution: ""}, self._form.shape(spec, plan.options))

    async def find(self, job_id: str) -> Job | None:
        return await run_sync(self.get, job_id)

    def get(self, job_id: str) -> Job | None:
        """Return the job, `None` if there is none, or none any more."""
        try:
            return self._service.get(job_id) if job_id else None
        except InvalidRequest:  # deleted
            return None


def _inputs_of(job: Job) -> Sequence[JsonObject]:
    """Return what was asked of each picture besides the image."""
    inputs = job.request.get("inputs")
    return [each for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
