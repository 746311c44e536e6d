"""What is said of a request before it is made: which engine would run, what it takes, what might disappoint.

Owns these widgets and what is asked for them; whether the form shows the controls of that engine is told by
`reshapes`. Which event asks is the tab's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from i2v.service.advice import advise, prompts_of
from i2v.service.service import PlanSummary
from i2v.web.page import camera_panel, models_panels, panels, plan_panels
from i2v.web.page.framing import Framing, on_picture
from i2v.web.page.inspected import Inspected
from i2v.web.page.starting_points import chips, examples
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.showing import Place, Showing, place_of
from i2v.web.page.tabs.widgets import Action, Shared, Updates, Values, acting_html


class Outlook:
    """The widgets, made where this and the next two are called in a `gr.Blocks`; `view` holds a `Showing`."""

    def __init__(self, shared: Shared, view: gr.State, form: Form) -> None:
        self._shared = shared
        self._context = shared.context
        self._service = shared.context.service
        self._inspected = Inspected(shared.context.inspect)
        self._view = view
        self._form = form
        # Another number each time that the form has to show another engine's controls.
        self.reshapes = gr.State(0)
        # A model that is missing, its download, and its state: when that is another, all is looked at anew.
        self.missing = acting_html("i2v-missing")
        self.fetched = gr.HTML(elem_id="i2v-fetched")
        self.arrived = gr.State("")
        self.plan = gr.HTML(elem_id="i2v-plan")

    def below_button(self) -> None:
        self.refused = gr.HTML(elem_id="i2v-refused")

    def at_the_end(self) -> None:
        self.about = acting_html("i2v-about")
        self.advice = gr.HTML(elem_id="i2v-advice")

    def inputs(self) -> set[Any]:
        """Return what has to be known of the page to say what a request would be, or to make it."""
        return self._form.inputs() | self._shared.here() | {self._view}

    def widgets(self) -> list[Any]:
        """Return what `look` changes."""
        form = self._form
        return [
            self.missing, self.about, self.plan, self.advice, self.reshapes, form.cut, form.motions,
            form.examples, form.engine,
        ]  # fmt: skip

    def errors(self) -> dict[Place, Any]:
        """Return where it is said what is wrong with a request, by what is wrong."""
        return {**self._form.errors(), "form": self.refused}

    async def examine(self, values: Values) -> None:
        """Have a new picture looked at. It takes a second, so `look` does not wait for it."""
        view: Showing = values[self._view]
        with suppress(I2VError):  # not now: there is no advice then, and `submit` is asked again anyway
            picture = await run_sync(self._form.picture_bytes, values)
            if picture is None:
                return
            found: PictureFacts | InvalidRequest
            try:
                found = await self._context.look(lambda: self._service.examine(picture))
            except InvalidRequest as error:
                found = error
            view.examined = (values[self._form.picture], found)

    async def look(self, values: Values) -> Updates:
        """Say what the request would take here and what might disappoint, or why it would be refused."""
        language, view = self._shared.language_of(values), values[self._view]
        has_picture = self._form.picture_path(values) is not None
        said: Updates = {self._form.examples: "" if has_picture else examples(language)}
        if view.error and view.wrong != self._form.value_at(place_of(view.error), values):
            view.error = None  # it is mended
        try:
            name = self._form.engine_named(values)
            spec = await self._context.engine(name)
            said[self._form.motions] = chips(spec, language)
            said |= await self._of_engine(values, view, spec, is_named=name != "auto", language=language)
            if view.shaped not in (None, spec.name):
                view.reshapes += 1
                said[self.reshapes] = view.reshapes
            facts = self._facts(values)
            path = self._form.picture_path(values)
            header = None if path is None else await self._inspected.of(path)
            size = None if header is None else header.size
            preset = str(values[self._form.preset])
            said |= await self._form.cards.look(self._context, view, preset, size)
            fields = self._form.fields(values, spec) | await self.cropped(values)
            plan = await self.planned(fields, spec, size)
        except I2VError as error:
            if self.reshapes in said and view.shaped:
                return said  # of values that another engine's controls left
            wrong = error.to_dict()
            is_of_field = place_of(wrong) in self._form.errors()
            view.noticed, view.framing = wrong if is_of_field else None, None
            is_said = bool(view.wanted) and str(wrong["code"]).startswith("weights.missing_")
            line = "" if is_of_field or is_said else panels.error(wrong, language)
            return said | {self.plan: line, self.advice: "", self._form.cut: ""}
        view.noticed = None
        guidance, fps = (cast("float", plan.options[name]) for name in ("guidance_scale", "fps"))
        listed = [] if header is None else list(header.notices)
        scenes = cast("Sequence[Mapping[str, object]]", plan.options["story"])
        for prompt in prompts_of(str(fields["prompt"]), (str(scene["prompt"]) for scene in scenes)):
            advice = advise(prompt, facts or size, guidance, fps, spec)
            listed += (notice for notice in advice if notice not in listed)
        view.framing = None
        if header is not None:
            view.framing = Framing.of(str(path), header.source_size, plan.options)
        return said | {
            self.plan: plan_panels.forecast(plan, view.framing, language),
            self.advice: panels.notices(listed, language),
            self._form.cut: self._cut(values, view.framing, spec, plan, language),
        }

    def _cut(
        self, values: Values, framing: Framing | None, spec: EngineSpec, plan: PlanSummary, language: Language
    ) -> str:
        """Return what is said of what is cut, with what crop box and camera's path are drawn from."""
        if framing is None:
            return ""
        box = self._form.cropping.box(values, framing.crop, language)
        path = camera_panel.mark(framing, plan.options, spec)
        return on_picture(framing, "pad" in spec.capabilities.fits, language) + box + path

    async def cropped(self, values: Values) -> JsonObject:
        """Return the `crop` of a request for the picture in the form, where a part of it is chosen.

        Raises as `Inspected.of` does.
        """
        path = self._form.picture_path(values)
        if path is None or self._form.cropping.field(values) is None:
            return {}
        crop = self._form.cropping.crop(values, (await self._inspected.of(path)).size)
        return {"crop": None if crop is None else str(crop)}

    async def _of_engine(
        self, values: Values, view: Showing, spec: EngineSpec, is_named: bool, language: Language
    ) -> Updates:
        """Return what there is to say of the engine that would run, and why it is that one.

        Of models that are missing, its own or one that a picture needs, only the first is offered.
        """
        models = self._service.models
        roles = [picture["role"] for picture in self._form.pictures.given(values, spec)]
        needed = [spec, *(model for role, model in spec.input_models.items() if role in roles)]
        missing = await self._context.heavy(lambda: next(filter(models.missing, needed), None))
        view.wanted = missing.name if missing else ""
        if missing:
            model = await self._context.heavy(lambda: models.get(missing.name))
            return {self.missing: plan_panels.missing(model, language), self.about: ""}
        reason = None if is_named else await self._context.heavy(self._service.explain_choice)
        best = best_engine(self._service.engines)
        return {self.missing: "", self.about: plan_panels.about(spec, best, reason, language)}

    def task(self, view: Showing) -> object:
        """Return what is under way of a model that is missing here."""
        return self._service.models.get(view.wanted).task if view.wanted else None

    def fetching(self, view: Showing) -> Updates:
        """Return how a download of a model is that is missing here."""
        if not view.wanted:
            return {self.fetched: "", self.arrived: ""}
        model = self._service.models.get(view.wanted)
        return {self.fetched: models_panels.progress(model, view.language), self.arrived: model.state}

    async def act(self, values: Values, event: gr.EventData) -> Updates:
        """Do what a button of the engine's says: fetch it, stop that, or show all models."""
        action, models = Action.of(event), self._service.models
        if action.act == "models":
            return {self._shared.tabs: gr.update(selected="system")}
        deeds: dict[str, Callable[[], object]] = {
            "download": lambda: models.download(action.id),
            "accept": lambda: models.download(action.id, accept_licences=True),  # the button has named them
            "cancel": lambda: models.cancel(action.id),
        }
        try:
            if deed := deeds.get(action.act):
                await run_sync(deed)
        except I2VError as error:
            return {self.fetched: panels.error(error.to_dict(), self._shared.language_of(values))}
        return {}

    def _facts(self, values: Values) -> PictureFacts | None:
        """Return what was found in the picture so far; raise `InvalidRequest` if it cannot be used."""
        examined = values[self._view].examined
        found = examined[1] if examined and examined[0] == values[self._form.picture] else None
        if isinstance(found, InvalidRequest):
            raise InvalidRequest.rebuilt(found.to_dict())
        return found

    async def planned(
        self, fields: JsonObject, spec: EngineSpec, size: tuple[int, int] | None = None
    ) -> PlanSummary:
        """Return what a request to `spec` would take, also where it lacks the prompt that it needs."""
        prompt = str(fields.get("prompt", ""))
        if spec.capabilities.prompt == "required" and not prompt.strip():
            prompt = "any"  # so that a page without one gets numbers and not an error: it changes no number
        return await self._context.plan(fields | {"prompt": prompt}, size or (512, 512))
