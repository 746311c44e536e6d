"""What comes out, as widgets: a frame for the preview and the video, a status line, buttons, and the facts.

Owns which of them a job changes; how they look is `panels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Language
from i2v.jobs.model import Job
from i2v.service.job_files import video_problem
from i2v.web.api.events import is_final
from i2v.web.page import panels, takes_panels
from i2v.web.page.allowed import allows_by
from i2v.web.page.framing import Framing, first_frame
from i2v.web.page.gallery_panels import enhancements
from i2v.web.page.tabs.widgets import UNPLAYABLE, Labels, Updates, acting_html
from i2v.web.texts import text


class Screen:
    """The widgets, made where this is called within a `gr.Blocks`."""

    def __init__(self, labels: Labels, engines: Mapping[str, EngineSpec]) -> None:
        self._engines = engines
        self._allows = allows_by(engines)
        with gr.Column(elem_id="i2v-now"):  # what has to be in sight together
            self.frame = gr.HTML(panels.idle("en"), elem_id="i2v-frame", js_on_load=UNPLAYABLE)
            with gr.Row(elem_id="i2v-state", equal_height=True):
                self.status = acting_html("i2v-status")
                self.cancel = labels.of(
                    gr.Button(variant="stop", visible=False, scale=0, min_width=120, elem_id="i2v-cancel"),
                    value="cancel",
                )
        with gr.Row(visible=False, equal_height=True, elem_id="i2v-again") as self.again:
            self.same_seed = labels.of(gr.Button(min_width=100, elem_id="i2v-same-seed"), value="same_seed")
            self.variation = labels.of(gr.Button(min_width=100, elem_id="i2v-variation"), value="variation")
            self.smoother = labels.of(
                gr.Button(min_width=100, elem_id="i2v-smoother"), value="enhance.smoother"
            )
            self.larger = labels.of(gr.Button(min_width=100, elem_id="i2v-larger"), value="enhance.larger")
            self.longer = labels.of(gr.Button(min_width=100, elem_id="i2v-longer"), value="enhance.longer")
            self.carry_on = labels.of(gr.Button(min_width=100, elem_id="i2v-carry-on"), value="carry_on")
        self.takes = acting_html("i2v-takes")
        self.result = gr.HTML(elem_id="i2v-result")

    def widgets(self) -> list[Any]:
        again = [self.again, self.same_seed, self.variation, self.carry_on]
        better = [self.smoother, self.larger, self.longer]
        return [self.frame, self.status, self.cancel, *again, *better, self.takes, self.result]

    def of(self, job: Job | None, language: Language, framing: Framing | None = None) -> Updates:
        """Return the widgets as they stand for a job, or for none: then for the picture in the form."""
        if job is None:
            return self._before(framing, "idle.first", language)
        if not is_final(job):
            frame, status = panels.preview(job, language), panels.status(job, language)
            return self._with({self.frame: frame, self.status: status, self.cancel: gr.update(visible=True)})
        done = job.status == "succeeded"
        problem = video_problem(job) if done else None
        spec = None if job.generation is None else self._engines.get(job.generation.engine)
        is_there = done and problem is None
        better = enhancements(job, self._allows) if is_there else ()
        seeds = gr.update(visible=spec is None or spec.capabilities.seed)
        return self._with(
            {
                self.same_seed: seeds,
                self.variation: seeds,
                self.smoother: gr.update(visible="smoother" in better),
                self.larger: gr.update(visible="larger" in better),
                self.longer: gr.update(visible="longer" in better),
                self.carry_on: gr.update(visible=is_there),
                self.frame: panels.video(job, language, problem) if done else panels.given(job),
                self.status: panels.ending(job, language, problem),
                self.again: gr.update(visible=done or spec is None or spec.capabilities.seed),
                self.result: panels.result(job, language, spec) if done else "",
            }
        )

    def strip(self, takes: list[Job], shown: str, beside: str, language: Language) -> Updates:
        """Return the strip of takes and, where two finished ones are compared, those in the frame."""
        updates: Updates = {self.takes: takes_panels.strip(takes, shown, beside, language)}
        pair = [job for name in (shown, beside) for job in takes if job.id == name]
        if len(pair) == 2 and all(job.status == "succeeded" for job in pair):
            updates[self.frame] = takes_panels.side_by_side(pair[0], pair[1], language)
        return updates

    def sending(self, framing: Framing | None, language: Language) -> Updates:
        """Return the widgets while the picture is on its way, and there is no job yet."""
        return self._before(framing, "sending", language)

    def _before(self, framing: Framing | None, key: str, language: Language) -> Updates:
        line = "" if framing is None and key == "idle.first" else panels.plain(text(key, language))
        first = panels.idle(language) if framing is None else first_frame(framing, language)
        return self._with({self.frame: first, self.status: line})

    def _with(self, shown: Updates) -> Updates:
        hidden = gr.update(visible=False)
        return {self.status: "", self.cancel: hidden, self.again: hidden, self.result: "", **shown}
