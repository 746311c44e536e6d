"""What is said of a request before it is made: which engine would run, what it takes, what might disappoint.

Owns these widgets and what is asked for them; whether the form shows the controls of that engine is told by
`reshapes`. Which event asks is the tab's business.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import gradio as gr
from anyio.to_thread import run_sync

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.schema import Language
from i2v.jobs.model import JsonObject
from i2v.media.picture_facts import PictureFacts
from i2v.pipeline.choice import best_engine
from i2v.service.advice import advise
from i2v.service.service import Plan
from i2v.web.page import models_panels, panels, plan_panels
from i2v.web.page.inspected import Inspected
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.showing import Showing
from i2v.web.page.tabs.widgets import Shared, Updates, Values
from i2v.web.texts import model_title, text


class Outlook:
    """The widgets, made where this and `below` are called within a `gr.Blocks`; `view` holds a `Showing`."""

    def __init__(self, shared: Shared, view: gr.State) -> None:
        self._shared = shared
        self._front = shared.front
        self._service = shared.front.service
        self._inspected = Inspected(shared.front.inspect)
        self._view = view
        # Another number each time that the form has to show another engine's controls.
        self.reshapes = gr.State(0)
        self.about = gr.HTML(elem_id="i2v-about")
        self.get_model = gr.Button(visible=False, size="sm", elem_id="i2v-get-model")

    def below(self, form: Form) -> None:
        """Make the widgets that stand below the button, and take the `form` that they are about."""
        self._form = form
        self.plan = gr.HTML(elem_id="i2v-plan")
        self.advice = gr.HTML(elem_id="i2v-advice")

    def inputs(self) -> set[Any]:
        """Return what has to be known of the page to say what a request would be, or to make it."""
        return self._form.inputs() | self._shared.here() | {self._view}

    def widgets(self) -> list[Any]:
        """Return what `look` changes."""
        return [self.about, self.get_model, self.plan, self.advice, self.reshapes]

    async def examine(self, values: Values) -> None:
        """Have a new picture looked at. It takes a second, so `look` does not wait for it."""
        view: Showing = values[self._view]
        with suppress(I2VError):  # not now: there is no advice then, and `submit` is asked again anyway
            picture = await run_sync(self._form.picture_bytes, values)
            if picture is None:
                return
            found: PictureFacts | InvalidRequest
            try:
                found = await self._front.look(lambda: self._service.examine(picture))
            except InvalidRequest as error:
                found = error
            view.examined = (values[self._form.picture], found)

    async def look(self, values: Values) -> Updates:
        """Say what the request would take here and what might disappoint, or why it would be refused."""
        language, view = self._shared.language_of(values), values[self._view]
        said: Updates = {}
        try:
            name = self._form.engine_named(values)
            spec = await self._front.engine(name)
            said = await self._of_engine(spec, is_named=name != "auto", language=language)
            if view.shaped not in (None, spec.name):
                view.reshapes += 1
                said[self.reshapes] = view.reshapes
            facts = self._facts(values)
            path = self._form.picture_path(values)
            header = None if path is None else await self._inspected.of(path)
            fields = self._form.fields(values, spec)
            plan = await self.planned(fields, spec, None if header is None else header.size)
        except I2VError as error:
            if self.reshapes in said and view.shaped:
                return said  # of values that another engine's controls left
            return said | {self.plan: panels.error(error.to_dict(), language), self.advice: ""}
        guidance, fps = (cast("float", plan.options[name]) for name in ("guidance_scale", "fps"))
        size = None if header is None else header.size
        advice = advise(str(fields["prompt"]), facts or size, guidance, fps, spec)
        told = (*(() if header is None else header.notices), *advice)
        return said | {
            self.plan: plan_panels.forecast(plan, None if header is None else header.source_size, language),
            self.advice: panels.notices(told, language),
        }

    async def _of_engine(self, spec: EngineSpec, is_named: bool, language: Language) -> Updates:
        """Return what there is to say of the engine that would run, and why it is that one."""
        missing = await self._front.heavy(lambda: self._service.models.missing(spec))
        reason = None if is_named else await self._front.heavy(self._service.explain_choice)
        best = best_engine(self._service.engines)
        wanted = spec if missing else best if reason and reason.code == "engine.auto_no_weights" else None
        return {
            self.about: plan_panels.about(spec, best, missing, reason, language),
            self.get_model: _way_to_get(wanted, language),
        }

    def _facts(self, values: Values) -> PictureFacts | None:
        """Return what was found in the picture so far; raise `InvalidRequest` if it cannot be used."""
        examined = values[self._view].examined
        found = examined[1] if examined and examined[0] == values[self._form.picture] else None
        if isinstance(found, InvalidRequest):
            raise InvalidRequest.rebuilt(found.to_dict())
        return found

    async def planned(
        self, fields: JsonObject, spec: EngineSpec, size: tuple[int, int] | None = None
    ) -> Plan:
        """Return what a request to `spec` would take, also where it lacks the prompt that it needs."""
        prompt = str(fields.get("prompt", ""))
        if spec.capabilities.prompt == "required" and not prompt.strip():
            prompt = "any"  # so that a page without one gets numbers and not an error: it changes no number
        return await self._front.plan(fields | {"prompt": prompt}, size or (512, 512))


def _way_to_get(wanted: EngineSpec | None, language: Language) -> Any:
    """Return an update of the button that leads to a model which is wanted here, and can be fetched."""
    if wanted is None or not wanted.published:
        return gr.update(visible=False)
    size = models_panels.size(wanted.published_bytes)
    title = model_title(wanted.title, language)
    return gr.update(visible=True, value=text("models.get", language, title=title, size=size))
