"""What comes out, as widgets: a frame for the preview and the video, a status line, buttons, and the facts.

Owns which of them a job changes; how they look is `panels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from i2v.jobs import Job
from i2v.schema import Language
from i2v.web import panels
from i2v.web.events import is_final
from i2v.web.tabs.widgets import Labels, Updates


class Screen:
    """The widgets, made where this is called within a `gr.Blocks`."""

    def __init__(self, labels: Labels) -> None:
        self.frame = gr.HTML(panels.idle("en"), elem_id="i2v-frame")
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
        return [self.frame, self.status, self.cancel, self.again, self.result]

    def empty(self, language: Language) -> Updates:
        return {**self._only(), self.frame: panels.idle(language)}

    def line(self, line: str, language: Language) -> Updates:
        """Show a line in place of the last job."""
        return {**self.empty(language), self.status: panels.plain(line)}

    def error(self, told: Mapping[str, object], language: Language) -> Updates:
        return {self.status: panels.error(told, language), self.cancel: gr.update(visible=False)}

    def changes(self, before: Job | None, job: Job, language: Language) -> Updates:
        """Return what has to change from `before`, as it was shown last, to `job`."""
        if is_final(job):
            return self._final(job, language)
        updates: Updates = {self.status: panels.status(job, language)}
        if before is None or is_final(before):
            updates |= {self.cancel: gr.update(visible=True), self.again: gr.update(visible=False)}
            updates[self.result] = ""
        if before is None or before.preview_revision != job.preview_revision:
            # only then: each new frame would make the moving preview begin again
            updates[self.frame] = panels.preview(job, language)
        return updates

    def _final(self, job: Job, language: Language) -> Updates:
        ending = {**self._only(), self.status: panels.ending(job, language)}
        if job.status != "succeeded":
            return ending | {self.frame: panels.idle(language), self.again: gr.update(visible=True)}
        return ending | {
            self.frame: panels.video(job),
            self.again: gr.update(visible=True),
            self.result: panels.result(job, language),
        }

    def _only(self) -> Updates:
        hidden = gr.update(visible=False)
        return {self.status: "", self.cancel: hidden, self.again: hidden, self.result: ""}
