"""The page: drop a picture, write a sentence, press the button, watch it become a clip.

Owns the layout and which event calls what. Handlers call the service, in threads, and nothing else: jobs live
in the store and outlive the tab, so the page only ever watches one, and keeps nothing of its visitors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any, cast, get_args

import gradio as gr
from anyio.to_thread import run_sync

from i2v.advice import advise
from i2v.errors import I2VError, InvalidRequest, Notice
from i2v.jobs import Job, JsonObject
from i2v.schema import Language
from i2v.service import Plan
from i2v.web import panels
from i2v.web.events import watch
from i2v.web.form import Form, Labels, Updates, Values, draw_seed
from i2v.web.front import Front
from i2v.web.screen import Screen
from i2v.web.texts import LANGUAGES, preferred_language, text, translate

_KEPT_SECONDS = 24 * 3600  # an uploaded picture, for whoever comes back to the tab
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Remembered:
    """What the browser keeps. It comes from there, so it may be anything."""

    job: str = ""
    language: Language | None = None

    @classmethod
    def of(cls, value: object) -> Remembered:
        known = value if isinstance(value, dict) else {}
        job, language = known.get("job"), known.get("language")
        return cls(job if isinstance(job, str) else "", language if language in get_args(Language) else None)


class Page:
    """One `gr.Blocks` for all visitors."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._service = front.service
        self._labels = Labels()
        with gr.Blocks(
            title="i2v", analytics_enabled=False, delete_cache=(3600, _KEPT_SECONDS)
        ) as self.blocks:
            # In this browser, under a fixed key: neither value is a secret.
            self.remembered = gr.BrowserState(asdict(Remembered()), storage_key="i2v", secret="i2v")
            self.accepted = gr.State(
                False
            )  # whether the last submission was: only then there is more to show
            self._lay_out()
            self._wire()
        self.blocks.queue(api_open=False, default_concurrency_limit=None)

    # --- layout

    def _lay_out(self) -> None:
        labels = self._labels
        with gr.Row(elem_id="i2v-head"):
            self.title = gr.HTML(_title("en"))
            self.language = labels.of(
                gr.Radio(
                    [(title, name) for name, title in LANGUAGES.items()],
                    value="en",
                    show_label=False,
                    container=False,
                    scale=0,
                    min_width=230,
                    elem_id="i2v-language",
                ),
                label="page.language",
            )
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

    def _wire(self) -> None:
        form, screen = self.form, self.screen
        here: set[Any] = {self.language, self.remembered}
        everything = form.inputs() | here
        outputs = [self.remembered, self.accepted, *screen.widgets()]
        texts = [self.title, *self._labels.widgets()]
        seen = [self.about, self.plan, self.advice]

        loaded = self.blocks.load(
            self.restore, self.remembered, list({self.language, *texts, *form.kept()}), **_QUIET
        )
        switched = self.language.input(self.switch, here, [self.remembered, *texts], **_QUIET)
        asked = [
            button.click(handler, everything, outputs, **_QUIET)
            for button, handler in (
                (self.go, self.generate),
                (screen.same_seed, self.generate_same_seed),
                (screen.variation, self.generate_variation),
            )
        ]
        watched = screen.widgets()
        follow = [event.then(self.follow, here, watched, **_QUIET) for event in (loaded, switched)]
        follow += [
            event.then(self.follow_accepted, here | {self.accepted}, watched, **_QUIET) for event in asked
        ]
        gr.on(
            [self.language.input, self.go.click, screen.same_seed.click, screen.variation.click],
            cancels=follow,
        )
        for event in (loaded, switched, *follow):  # what was finished tells what the next one will take
            event.then(self.look, everything, seen, **_QUIET)
        changes = [widget.change for widget in form.settings()]
        gr.on(changes, self.look, everything, seen, trigger_mode="always_last", **_QUIET)
        gr.on([form.preset.input, form.engine.input], self.apply_preset, everything, form.sized(), **_QUIET)
        screen.cancel.click(self.cancel, here, screen.status, **_QUIET)
        form.dice.click(draw_seed, None, form.seed, **_QUIET)
        form.reuse.click(self.last_seed, self.remembered, form.seed, **_QUIET)

    # --- handlers: the page

    async def restore(self, kept: object, request: gr.Request) -> Updates:
        """Bring back the language, and the settings of the job that this browser saw last."""
        remembered = Remembered.of(kept)
        language = remembered.language or preferred_language(request.headers.get("accept-language", ""))
        job = await self._find(remembered.job)
        if job is not None:
            filled = self.form.of_job(job.request, job.generation)
        else:
            filled = await self._sized({})
        return {**self._texts(language), **filled, self.language: language}

    def switch(self, values: Values) -> Updates:
        language: Language = values[self.language]
        kept = replace(Remembered.of(values[self.remembered]), language=language)
        return {**self._texts(language), self.remembered: asdict(kept)}

    def _texts(self, language: Language) -> Updates:
        return {**self._labels.updates(language), self.title: _title(language)}

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
        language: Language = values[self.language]
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
        async for updates in self._submit(values, self.form.fields(values), None):
            yield updates

    async def generate_same_seed(self, values: Values) -> AsyncIterator[Updates]:
        """Run the form as it is now with the last job's seed, on its picture if there is no other."""
        last = await self._find(Remembered.of(values[self.remembered]).job)
        seed = {} if last is None else {"seed": last.generation["seed"]}
        async for updates in self._submit(values, self.form.fields(values) | seed, last):
            yield updates

    async def generate_variation(self, values: Values) -> AsyncIterator[Updates]:
        """Run the form as it is now with a new seed, on the last job's picture if there is no other."""
        last = await self._find(Remembered.of(values[self.remembered]).job)
        async for updates in self._submit(values, self.form.fields(values) | {"seed": draw_seed()}, last):
            yield updates

    async def _submit(self, values: Values, fields: JsonObject, last: Job | None) -> AsyncIterator[Updates]:
        language: Language = values[self.language]
        yield {self.accepted: False, **self.screen.line(text("sending", language), language)}
        try:
            picture = await run_sync(self.form.picture_bytes, values)
            if picture is None and last is not None:
                picture = await run_sync((self._front.settings.inputs / last.input).read_bytes)
            if picture is None:
                raise InvalidRequest("request.missing_field", field=text("picture.label", language))
            job = await self._front.submit(fields, picture)
        except I2VError as error:
            yield self.screen.error(error.to_dict(), language)
            return
        kept = replace(Remembered.of(values[self.remembered]), job=job.id)
        changes = self.screen.changes(None, job, language)
        yield {self.remembered: asdict(kept), self.accepted: True, **changes}

    async def follow_accepted(self, values: Values) -> AsyncIterator[Updates]:
        if not values[self.accepted]:
            yield {self.screen.status: gr.skip()}  # a generator that yields nothing empties its widgets
            return
        async for updates in self.follow(values):
            yield updates

    async def follow(self, values: Values) -> AsyncIterator[Updates]:
        """Show the browser's job until it is finished."""
        language: Language = values[self.language]
        job_id = Remembered.of(values[self.remembered]).job
        shown: Job | None = None
        async for job in watch(self._service, job_id, self._front.closing):
            if job is not None and job != shown:
                yield self.screen.changes(shown, job, language)
                shown = job
        if shown is None:  # none yet, or it was deleted
            yield self.screen.empty(language)

    async def cancel(self, values: Values) -> str:
        language: Language = values[self.language]
        try:
            job = await run_sync(self._service.cancel, Remembered.of(values[self.remembered]).job)
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


def _title(language: Language) -> str:
    line, link = (escape(text(key, language)) for key in ("page.title", "page.api"))
    return f'<h1>i2v <small>{line} · <a href="docs">{link}</a></small></h1>'


def _subdued(line: str) -> str:
    return f'<p class="i2v-subdued">{escape(line)}</p>'
