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
from i2v.web.page import panels
from i2v.web.page.tabs.widgets import UNPLAYABLE, Labels, Updates


class Screen:
    """The widgets, made where this is called within a `gr.Blocks`."""

    def __init__(self, labels: Labels, engines: Mapping[str, EngineSpec]) -> None:
        self._engines = engines
        self.frame = gr.HTML(panels.idle("en"), elem_id="i2v-frame", js_on_load=UNPLAYABLE)
        self.status = gr.HTML(elem_id="i2v-status")
        self.cancel = labels.of(
            gr.Button(variant="stop", visible=False, elem_id="i2v-cancel"), value="cancel"
        )
        with gr.Row(visible=False) as self.again:
            self.same_seed = labels.of(gr.Button(elem_id="i2v-same-seed"), value="same_seed")
            self.variation = labels.of(gr.Button(elem_id="i2v-variation"), value="variation")
            self.carry_on = labels.of(gr.Button(elem_id="i2v-carry-on"), value="carry_on")
        self.result = gr.HTML(elem_id="i2v-result")

    def widgets(self) -> list[Any]:
        seeds = [self.same_seed, self.variation]
        return [self.frame, self.status, self.cancel, self.again, *seeds, self.result]

    def of(self, job: Job | None, language: Language) -> Updates:
        """Return the widgets as they stand for a job, or for none."""
        if job is None:
            return self._with({self.frame: panels.idle(language)})
        if not is_final(job):
            frame, status = panels.preview(job, language), panels.status(job, language)
            return self._with({self.frame: frame, self.status: status, self.cancel: gr.update(visible=True)})
        done = job.status == "succeeded"
        problem = video_problem(job) if done else None
        spec = None if job.generation is None else self._engines.get(job.generation.engine)
        seeds = gr.update(visible=spec is None or spec.capabilities.seed)
        return self._with(
            {
                self.same_seed: seeds,
                self.variation: seeds,
                self.frame: panels.video(job, language, problem) if done else panels.idle(language),
                self.status: panels.ending(job, language, problem),
                self.again: gr.update(visible=True),
                self.result: panels.result(job, language, spec) if done else "",
            }
        )

    def line(self, line: str, language: Language) -> Updates:
        """Return the widgets with a line in place of a job."""
        return self._with({self.frame: panels.idle(language), self.status: panels.plain(line)})

    def error(self, told: Mapping[str, object], language: Language) -> Updates:
        """Return what says that something went wrong, over whatever else is shown."""
        return {self.status: panels.error(told, language)}

    def _with(self, shown: Updates) -> Updates:
        hidden = gr.update(visible=False)
        return {self.status: "", self.cancel: hidden, self.again: hidden, self.result: "", **shown}
