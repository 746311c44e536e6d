"""An engine's events as a job's progress: phase, share of the whole, seconds left, at times a preview.

And that progress as lines for a log.

Deliberately does not know who reads it: neither store nor process nor page.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.schedules import evaluations
from i2v.core.stages import Stage
from i2v.engines.base import Conditioned, Decoded, Denoised, Sounded, SteppedDown
from i2v.jobs.model import Phase, Progress
from i2v.media import interpolation, upscale
from i2v.media.preview import encode_preview
from i2v.pipeline.clip import ClipEvent, FrameRead, Loaded
from i2v.pipeline.segments import SegmentBegun

LINE_SECONDS = 5.0  # between two lines of the log about one phase, at least
PREVIEW_SIDE = 160  # pixels, of a frame that is finished already
PREVIEW_SHARE = 0.005  # of a job's time, at most, goes into previews; the first one is always made

# Where each stage begins on a job's way from 0 to 1.
BEGIN: dict[Stage, float] = {
    Stage.LOAD: 0.0,
    Stage.CONDITION: 0.02,
    Stage.DENOISE: 0.05,
    Stage.DECODE: 0.85,
    Stage.ENCODE: 0.97,
}
# What a job's `phase` says in each.
PHASES: dict[Stage, Phase] = {
    Stage.LOAD: "loading",
    Stage.CONDITION: "conditioning",
    Stage.DENOISE: "denoising",
    Stage.DECODE: "decoding",
    Stage.ENCODE: "encoding",
}
_TAIL = 0.1  # decoding and encoding take about this share of denoising's time


class Meter:
    """Reads the events of one generation, in their order."""

    def __init__(self, generation: Generation, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the job's time. `clock`: seconds."""
        self._generation = generation
        self._clock = clock
        self._started = self._phase_began = clock()
        self._preview_seconds = 0.0
        self._segment = SegmentBegun(0, 1, generation.total_frames)
        self._segment_began = self._started
        self._decoded = 0
        self._skipped: int | None = None  # steps that an earlier attempt has done
        self._last = at_start(Stage.LOAD)

    def read(self, event: ClipEvent) -> Progress:
        """Return how far the job is; it never goes back."""
        # the first two finish nothing, the last one comes at the end
        if isinstance(event, SteppedDown | FrameRead | Sounded):
            return replace(self._last, preview=None)
        if isinstance(event, SegmentBegun):
            self._segment, self._segment_began, self._decoded = event, self._clock(), 0
            self._skipped = None
            self._phase_began = self._segment_began
            return replace(self._last, preview=None)
        progress = self._read(event)
        self._last = progress if self._segment.total == 1 else self._in_story(progress)
        return self._last

    def _in_story(self, progress: Progress) -> Progress:
        """Return how far the story is by how far its segment is; all segments are as long."""
        number, total = self._segment.number, self._segment.total
        begin, end = BEGIN[Stage.CONDITION], BEGIN[Stage.ENCODE]
        share = (number + (progress.fraction - begin) / (end - begin)) / total
        phase, step, steps, left = progress.phase, progress.step, progress.total, progress.eta_seconds
        if phase == PHASES[Stage.ENCODE] and number + 1 < total:
            phase = PHASES[Stage.DECODE]
        if phase == PHASES[Stage.DENOISE] and step is not None and steps is not None:
            step, steps = number * steps + step, total * steps
        if left is not None:
            left += (total - number - 1) * (self._clock() - self._segment_began + left)
        return Progress(phase, begin + (end - begin) * share, step, steps, left, progress.preview)

    def _read(self, event: Loaded | Conditioned | Denoised | Decoded) -> Progress:
        if isinstance(event, Loaded):
            return at_start(Stage.CONDITION)
        frames = self._segment.frames
        if isinstance(event, Conditioned):
            self._phase_began = self._clock()
            asked = self._generation
            total = evaluations(asked.speed, asked.num_inference_steps, asked.strength)
            return _within(Stage.DENOISE, 0, total) if total else self._decoding(frames)
        if isinstance(event, Denoised):
            if self._skipped is None:
                self._skipped = event.step - 1
            left = self._seconds_each(event.step - self._skipped) * (
                event.total - event.step + _TAIL * event.total
            )
            # of the whole story, as far as it is this segment's
            later = upscale.guessed_seconds(self._generation) + interpolation.guessed_seconds(
                self._generation
            )
            left += later / self._segment.total
            preview = self._preview(event.preview)
            if event.step < event.total:
                return _within(Stage.DENOISE, event.step, event.total, left, preview)
            self._phase_began = self._clock()
            return self._decoding(frames, left, preview)
        self._decoded += len(event.frames)
        if self._decoded < frames:
            left = self._seconds_each(self._decoded) * (frames - self._decoded)
            shown = None if self._generation.num_inference_steps else self._preview(partial(_small, event))
            return self._decoding(frames, left, shown)
        return at_start(Stage.ENCODE)

    def _decoding(self, frames: int, left: float | None = None, preview: bytes | None = None) -> Progress:
        """Return how far decoding is; it begins earlier where nothing is denoised."""
        begin = BEGIN[Stage.DECODE if self._generation.num_inference_steps else Stage.DENOISE]
        progress = _within(Stage.DECODE, self._decoded, frames, left, preview, begin)
        return replace(progress, phase=_slowest(self._generation)) if self._decoded else progress

    def _seconds_each(self, done: int) -> float:
        """Return what each of the steps or frames that are `done` in this phase has taken."""
        return (self._clock() - self._phase_began) / done

    def _preview(self, make: Callable[[], NDArray[np.uint8]]) -> bytes | None:
        now = self._clock()
        if self._preview_seconds > PREVIEW_SHARE * (now - self._started):
            return None
        frames = make()
        began = self._clock()  # only here: before, this may have waited for the device to end the step
        preview = encode_preview(frames, self._generation.fps * len(frames) / self._generation.num_frames)
        self._preview_seconds += self._clock() - began
        return preview


class ProgressLog:
    """Picks what the log says of one job: each phase when it begins, then its steps now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase: Phase | None = None
        self._spoke_at = 0.0

    def line(self, progress: Progress) -> str | None:
        """Return a line such as "denoising, step 12 of 50, about 34 s left", or nothing for now."""
        now = self._clock()
        if progress.phase == self._phase and now - self._spoke_at < LINE_SECONDS:
            return None
        self._phase, self._spoke_at = progress.phase, now
        words: list[str] = [progress.phase]
        if progress.step is not None:
            words.append(f"step {progress.step} of {progress.total}")
        if progress.eta_seconds is not None:
            words.append(f"about {progress.eta_seconds:.0f} s left")
        return ", ".join(words)


def _slowest(generation: Generation) -> Phase:
    """Return the word for what is done to each frame, by what takes the most time of it."""
    if generation.upscaler != "lanczos":
        return "upscaling"
    return "decoding" if generation.interpolation is None else "interpolating"


def _small(event: Decoded) -> NDArray[np.uint8]:
    """Return the last frame as a preview has it, (1, h, w, 3)."""
    image = Image.fromarray(event.frames[-1])
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return np.asarray(image)[None]


def at_start(stage: Stage) -> Progress:
    return Progress(PHASES[stage], BEGIN[stage])


def _within(
    stage: Stage,
    step: int,
    total: int,
    left: float | None = None,
    preview: bytes | None = None,
    begin: float | None = None,
) -> Progress:
    begin = BEGIN[stage] if begin is None else begin
    end = BEGIN[Stage.DECODE if stage is Stage.DENOISE else Stage.ENCODE]
    return Progress(PHASES[stage], begin + (end - begin) * step / total, step, total, left, preview)
