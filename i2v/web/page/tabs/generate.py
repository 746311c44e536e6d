"""The first tab: drop a picture, write a sentence, press the button, watch it become a clip.

Owns which event of its widgets calls what. A job lives in the store: what is shown here is the one that this
browser saw last.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync
from gradio.events import Dependency

from i2v.core.errors import I2VError, InvalidRequest
from i2v.jobs.model import Job, JsonObject
from i2v.web.api.events import POLL_SECONDS, is_final
from i2v.web.page import panels
from i2v.web.page.gallery_panels import ENHANCEMENTS, LONGER
from i2v.web.page.tabs.filling import Filling
from i2v.web.page.tabs.form import NUMBERS, Form, draw_seed
from i2v.web.page.tabs.live import DISK_SECONDS, follow
from i2v.web.page.tabs.outlook import Outlook
from i2v.web.page.tabs.screen import Screen
from i2v.web.page.tabs.showing import Showing, place_of
from i2v.web.page.tabs.widgets import MAX_TAKES, QUIET, Action, Shared, Updates, Values, looked_at
from i2v.web.texts import text

# On a phone the clip stands below the form; where it is in sight, this does nothing. The frame takes the
# clip's shape when the job is accepted, which may push it out of sight again. Without a picture there will be
# no clip, and that is said at the picture.
_SHOW_CLIP = """() => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const picture = document.querySelector("#i2v-picture");
  const goal = picture?.querySelector("img") ? document.querySelector("#i2v-now") : picture;
  if (!goal) return;
  const show = () => goal.scrollIntoView({block: "nearest", behavior: calm ? "auto" : "smooth"});
  show();
  const watch = new ResizeObserver(show);
  watch.observe(goal);
  setTimeout(() => watch.disconnect(), 5000);
}"""


class GenerateTab:
    """Its widgets, made where this is called within a `gr.Tab`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._context = shared.context
        self._service = shared.context.service
        labels = shared.labels
        self.view = gr.State(Showing())
        # The id of the job that the form was filled from when the page opened.
        self.brought_back = gr.State("")
        with gr.Row(elem_id="i2v-studio"):
            with gr.Column(scale=5, min_width=300):
                self.form = Form(
                    labels,
                    self._service.engines,
                    self._devices,
                    self._service.models.added_names,
                    self._service.models.voice_names,
                )
                self.outlook = Outlook(shared, self.view, self.form)
                with gr.Row(elem_id="i2v-ask"):
                    self.go = labels.of(
                        gr.Button(variant="primary", size="lg", scale=3, min_width=160, elem_id="i2v-go"),
                        value="generate",
                    )
                    self.four = labels.of(
                        gr.Button(size="lg", scale=1, min_width=90, elem_id="i2v-four"), value="generate.four"
                    )
                self.form.with_seed.append(self.four)
                self.outlook.below_button()
                with labels.of(gr.Accordion(open=False, elem_id="i2v-advanced"), label="advanced"):
                    self.form.advanced(labels)
                self.form.further(labels)
                self.outlook.at_the_end()
            with gr.Column(scale=7, min_width=300, elem_id="i2v-outcome"):
                self.form.beginnings()
                self.screen = Screen(labels, self._service.engines)
                labels.follow(gr.HTML(elem_id="i2v-notify"), panels.notify)
        self.filling = Filling(shared, self.view, self.brought_back, self.form, self.outlook)

    def watched(self) -> list[Any]:
        """Return the widgets that `live` changes."""
        outlook = self.outlook
        return [*self.screen.widgets(), *outlook.errors().values(), outlook.fetched, outlook.arrived]

    # --- which event calls what

    def wire(self, loaded: Dependency, switched: Dependency, title: gr.Tab) -> None:
        """Attach the events; the page was `loaded` and restored, its language `switched`."""
        self._wire_clips()
        self._wire_beginnings(loaded, switched)
        self._wire_outlook(loaded, switched, title)
        self._wire_pictures()

    def _wire_clips(self) -> None:
        """Attach what makes clips, and what can be done with one."""
        screen, shared = self.screen, self._shared
        here, everything = shared.here() | {self.view}, self.outlook.inputs()
        asked = (
            (self.go, self.generate),
            (self.four, self.generate_four),
            (screen.same_seed, self.generate_same_seed),
            (screen.variation, self.generate_variation),
        )
        for button, handler in asked:
            button.click(None, js=_SHOW_CLIP)
            button.click(handler, everything, shared.remembered, **QUIET)
        screen.smoother.click(self.smoother, here, shared.remembered, **QUIET)
        screen.larger.click(self.larger, here, shared.remembered, **QUIET)
        screen.longer.click(self.longer, here | {self.form.prompt}, shared.remembered, **QUIET)
        screen.takes.click(self.act_on_take, {self.view}, **QUIET)
        screen.status.click(self.star, {self.view}, **QUIET)
        screen.carry_on.click(self.carry_on, {self.view, self.form.picture}, self.form.picture, **QUIET)
        screen.cancel.click(self.cancel, {self.view}, screen.status, **QUIET)

    def _wire_beginnings(self, loaded: Dependency, switched: Dependency) -> None:
        """Attach what fills the form by a click: examples, motions, own presets, seeds."""
        form, filling, shared = self.form, self.filling, self._shared
        here, everything = shared.here() | {self.view}, self.outlook.inputs()
        picked = [form.picture, form.prompt]
        form.examples.click(filling.begin_with, here | {form.picture}, picked, **QUIET)
        form.motions.click(filling.add_motion, here | {form.prompt, form.engine}, form.prompt, **QUIET)
        own = form.own
        for event in (loaded.then, switched.then, own.stored.change):
            event(filling.show_own, here | {own.stored}, own.list, **QUIET)
        gr.on(
            [own.save.click, own.name.submit],
            filling.save_own,
            everything | {own.stored, own.name},
            [own.stored, own.name],
            **QUIET,
        )
        form.dice.click(draw_seed, None, form.seed, **QUIET)
        form.reuse.click(self.last_seed, self.view, form.seed, **QUIET)
        self.wire_opened(
            own.list.click(filling.use_own, everything | {own.stored}, [own.stored, shared.opened], **QUIET)
        )

    def _wire_outlook(self, loaded: Dependency, switched: Dependency, title: gr.Tab) -> None:
        """Attach what tells, before anything is made, what the clip will be."""
        form, screen, filling = self.form, self.screen, self.filling
        here = self._shared.here() | {self.view}
        everything, seen = self.outlook.inputs(), self.outlook.widgets()
        # When the tab is looked at, since a model may have been fetched meanwhile.
        # Also when the page has loaded: meanwhile somebody may have chosen another language.
        named = [form.fit, form.preset, form.device, *form.added.groups(), *form.sound.groups()]
        spoken = [
            event.then(self.switch, here | {form.fit, form.preset}, named, **QUIET)
            for event in (switched, loaded)
        ]
        for event in (*spoken, looked_at(title)):
            event.then(self.outlook.look, everything, seen, **QUIET)
        # A result, since what was finished tells what the next one will take. Not the preset and the engine:
        # another one's bounds must be in the browser before its values are sent again.
        now = [widget for widget in form.settings() if widget not in (form.preset, form.engine)]
        now += [form.negative_prompt, form.seed, form.sound.narration, form.sound.voice, screen.result]
        changes = [widget.change for widget in now]
        gr.on(changes, self.outlook.look, everything, seen, trigger_mode="always_last", **QUIET)
        chosen = gr.on(
            [form.preset.input, form.engine.input],
            filling.apply_preset,
            everything,
            form.shaped(),
            **QUIET,
        )
        reshaped = self.outlook.reshapes.change(filling.reshape, everything, form.shaped(), **QUIET)
        for event in (chosen, reshaped):
            event.then(self.outlook.look, everything, seen, **QUIET)
        for offer in (self.outlook.missing, self.outlook.about):
            acted = offer.click(self.outlook.act, here, [self._shared.tabs, self.outlook.fetched], **QUIET)
            acted.then(self.outlook.look, everything, seen, **QUIET)
        self.outlook.arrived.change(self.outlook.look, everything, seen, **QUIET)

    def _wire_pictures(self) -> None:
        """Attach what happens when a picture, or another file, is put in or brought back."""
        form, filling, shared = self.form, self.filling, self._shared
        here, everything, seen = shared.here() | {self.view}, self.outlook.inputs(), self.outlook.widgets()
        self.brought_back.change(
            filling.bring_back_picture,
            shared.here() | {self.brought_back, form.picture, *form.pictures.widgets(), form.sound.file},
            [form.picture, *form.pictures.fields(), form.sound.file],
            **QUIET,
        )
        gr.on(
            [each.change for each in form.added.chosen()],
            self.tell_words,
            here | set(form.added.chosen()),
            form.added.words,
            **QUIET,
        )
        form.picture.input(self.begin_anew, {self.view}, **QUIET)
        form.cut.click(lambda: "pad", None, form.fit, **QUIET)
        examined = form.picture.change(self.outlook.examine, {form.picture, self.view}, **QUIET)
        examined.then(self.outlook.look, everything, seen, **QUIET)

    def wire_opened(self, opened: Dependency) -> None:
        """Attach what happens after another tab's event, which has put something into `Shared.opened`."""
        shared = self._shared
        form = self.form
        files = {form.picture, *form.pictures.widgets(), form.sound.file}
        inputs = shared.here() | {shared.opened, self.view, *files}
        pictures = [form.picture, *form.pictures.fields(), form.sound.file]
        outputs = [shared.opened, shared.remembered, shared.tabs, *pictures, *form.kept()]
        taken = opened.then(self.filling.take_over, inputs, outputs, **QUIET)
        taken.then(self.outlook.look, self.outlook.inputs(), self.outlook.widgets(), **QUIET)

    def _devices(self) -> list[str]:
        return [state.id for state in self._service.devices()]

    # --- handlers: what is asked for

    async def carry_on(self, values: Values) -> Updates:
        """Put the last frame of the clip into the form, to go on from there."""
        view: Showing = values[self.view]
        try:
            frame = await self._context.heavy(lambda: self._service.last_frame(view.job))
        except I2VError as error:  # the clip was deleted
            view.turn_to(view.job, error=error.to_dict())
            return self.form.placed(values, None)
        return await run_sync(self.form.placed, values, frame)

    async def begin_anew(self, values: Values) -> None:
        """Turn from a finished clip to the picture that was put in."""
        view: Showing = values[self.view]
        job = await self.filling.find(view.job)
        if job is not None and is_final(job):
            view.turn_to()

    async def tell_words(self, values: Values) -> str:
        """Show the trigger words of the LoRAs that are chosen."""
        language = self._shared.language_of(values)
        return await run_sync(self.form.added.said, values, self._service.models.describe_added, language)

    # --- handlers: jobs

    async def live(self, values: Values) -> AsyncIterator[Updates]:
        """Show what the window looks at, as long as it is open."""
        view: Showing = values[self.view]
        show = partial(self._show, view)
        version = partial(self._version, view)
        async for updates in follow(view, show, self._context.closing, POLL_SECONDS, version):
            yield updates

    def _version(self, view: Showing) -> object:
        return self._service.revision(), time.time() // DISK_SECONDS, self.outlook.task(view)

    def _show(self, view: Showing) -> Updates:
        if view.is_sending:
            shown = self.screen.sending(view.framing, view.language)
        else:
            shown = self.screen.of(self.filling.get(view.job), view.language, view.framing)
        takes = [job for take in view.takes if (job := self.filling.get(take)) is not None]
        shown |= self.screen.strip(takes, view.job, view.beside, view.language) | self.outlook.fetching(view)
        places = {**self.outlook.errors(), "result": self.screen.status}
        for place, widget in places.items():
            error = view.said_at(place)
            shown.setdefault(widget, "")
            if error is not None:
                shown[widget] = panels.error(error, view.language)
        return shown

    async def switch(self, values: Values) -> Any:
        """Take over the page's language."""
        view: Showing = values[self.view]
        view.language = self._shared.language_of(values)
        spec = self._service.engines.get(view.shaped or "")
        if spec is None:
            return gr.skip()
        chosen = values[self.form.fit], values[self.form.preset]
        return self.form.choices(spec, view.language, *chosen)

    async def generate(self, values: Values) -> Any:
        return await self._submit(values, {})

    async def generate_same_seed(self, values: Values) -> Any:
        """Run the form as it is now with the last job's seed."""
        last = await self.filling.find(values[self.view].job)
        seed = {} if last is None or last.generation is None else {"seed": last.generation.seed}
        return await self._submit(values, seed)

    async def generate_variation(self, values: Values) -> Any:
        """Run the form as it is now with a new seed."""
        return await self._submit(values, {"seed": draw_seed()})

    async def generate_four(self, values: Values) -> Any:
        """Run the form as it is now four times, with a new seed each."""
        return await self._submit(values, *({"seed": draw_seed()} for _ in range(4)))

    async def star(self, values: Values, event: gr.EventData) -> None:
        """Give the clip a star, or take it away."""
        view: Showing = values[self.view]
        action, job = Action.of(event), await self.filling.find(view.job)
        if action.act == "star" and job is not None:
            try:
                await run_sync(self._service.library.star, job.id, not job.starred)
            except I2VError as error:  # it is somebody else's, or was deleted
                view.turn_to(view.job, error=error.to_dict())

    async def act_on_take(self, values: Values, event: gr.EventData) -> None:
        """Look at another take, or at two of them beside each other."""
        view: Showing = values[self.view]
        action = Action.of(event)
        if action.id not in view.takes:
            return
        if action.act == "take":
            view.turn_to(action.id)
        elif action.act == "compare":
            view.beside = "" if view.beside == action.id else action.id

    async def _submit(self, values: Values, *seeds: Mapping[str, object]) -> Any:
        """Ask for a clip with each of the seeds; return what the browser is to keep.

        Nothing for the second click of a double click.
        """
        view: Showing = values[self.view]
        if view.is_pressed_again():
            return gr.skip()
        before, jobs = view.job, list[str]()
        view.turn_to(is_sending=True)
        error: JsonObject | None = None
        try:
            async for job in self._asked(values, seeds):
                jobs.append(job)
                view.takes = (*view.takes, job)[-MAX_TAKES:]
        except I2VError as refusal:
            error = refusal.to_dict()
            view.wrong = self.form.value_at(place_of(error), values)
        finally:
            view.end_sending()
        view.turn_to(jobs[0] if jobs else before, error=error)
        if not jobs:
            return gr.skip()
        return asdict(replace(self._shared.remembered_of(values), job=jobs[0], takes=view.takes))

    async def _asked(self, values: Values, seeds: Iterable[Mapping[str, object]]) -> AsyncIterator[str]:
        """Yield the job that each of the seeds became; raise `I2VError` where one is refused."""
        picture = await run_sync(self.form.picture_bytes, values)
        if picture is None:
            label = text("picture.label", self._shared.language_of(values))
            raise InvalidRequest("request.missing_field", field=label)
        spec = await self._context.engine(self.form.engine_named(values))
        fields = self.form.fields(values, spec) | await self.outlook.cropped(values)
        others = await run_sync(self.form.pictures.files, values, spec)
        others += await run_sync(self.form.sound.files, values)
        if values[self.view].shaped is None:  # pressed before the form was filled: the preset has the numbers
            fields = {name: value for name, value in fields.items() if name not in NUMBERS}
        path = self.form.picture_path(values)
        name = "" if path is None else path.name
        for seed in seeds:
            asked = {**fields, **(seed if spec.capabilities.seed else {})}
            yield (await self._context.submit(asked, picture, others=others, picture_name=name)).id

    async def smoother(self, values: Values) -> Any:
        """Ask for frames in between in a new clip of the one that is shown."""
        return await self._enhance(
            values, partial(self._context.enhance, fields=dict(ENHANCEMENTS["smoother"]))
        )

    async def larger(self, values: Values) -> Any:
        """Ask for a larger clip of the one that is shown."""
        return await self._enhance(
            values, partial(self._context.enhance, fields=dict(ENHANCEMENTS["larger"]))
        )

    async def longer(self, values: Values) -> Any:
        """Ask for more of the clip that is shown; what happens there, the prompt in the form says."""
        job, fields = await self.filling.find(values[self.view].job), dict(LONGER)
        prompt = str(values[self.form.prompt] or "")
        is_new = bool(prompt.strip()) and job is not None and prompt != job.request.get("prompt")
        if job is not None and is_new and self._reads_prompts(job):
            fields["prompt"] = prompt
        return await self._enhance(values, partial(self._context.extend, fields=fields))

    def _reads_prompts(self, job: Job) -> bool:
        """Tell whether the job's engine does: the form may keep a prompt for another one."""
        spec = None if job.generation is None else self._service.engines.get(job.generation.engine)
        return spec is not None and spec.capabilities.prompt != "none"

    async def _enhance(self, values: Values, ask: Callable[[str], Awaitable[Job]]) -> Any:
        """Turn to the job that makes the better clip; return what the browser is to keep."""
        view: Showing = values[self.view]
        try:
            job = await ask(view.job)
        except I2VError as error:  # the clip was deleted, or the queue is full
            view.turn_to(view.job, error=error.to_dict())
            return gr.skip()
        view.takes = (*view.takes, job.id)[-MAX_TAKES:]
        view.turn_to(job.id)
        return asdict(replace(self._shared.remembered_of(values), job=job.id, takes=view.takes))

    async def cancel(self, values: Values) -> str:
        view: Showing = values[self.view]
        try:
            job = await run_sync(self._service.cancel, view.job)
        except I2VError as error:  # it has just finished
            return panels.error(error.to_dict(), view.language)
        return panels.status(job, view.language)

    async def last_seed(self, view: Showing) -> Any:
        job = await self.filling.find(view.job)
        return gr.skip() if job is None or job.generation is None else str(job.generation.seed)
