"""i2v.workers.progress: what an engine's events say of a job; how often a preview is worth its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

import i2v.workers.progress
from i2v.core.generation import Generation
from i2v.core.scenes import Scene
from i2v.core.stages import Stage
from i2v.engines.base import Conditioned, Decoded, Denoised, Event, Sounded
from i2v.jobs.model import Progress
from i2v.media import interpolation
from i2v.media.upscale import guessed_seconds
from i2v.pipeline.segments import SegmentBegun
from i2v.workers.progress import LINE_SECONDS, PHASES, PREVIEW_SHARE, Meter, ProgressLog, at_start

FRAME = np.zeros((1, 8, 8, 3), np.uint8)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def events(steps: int, chunks: list[int]) -> Iterator[Event]:
    yield Conditioned()
    for step in range(1, steps + 1):
        yield Denoised(step, steps, lambda: FRAME)
    for size in chunks:
        yield Decoded(np.repeat(FRAME, size, axis=0))


def read(generation: Generation, clock: Clock, chunks: list[int], pace: float) -> list[Progress]:
    """Read a whole job in which each event takes `pace` seconds."""
    meter, reported = Meter(generation, clock), []
    for event in events(generation.num_inference_steps, chunks):
        clock.now += pace
        reported.append(meter.read(event))
    return reported


@pytest.mark.parametrize("chunks", [[4], [3, 1], [1, 1, 1, 1]])
def test_a_job_goes_forward_through_its_phases(generation: Generation, chunks: list[int]) -> None:
    reported = [at_start(Stage.LOAD), at_start(Stage.CONDITION), *read(generation, Clock(), chunks, pace=1)]
    fractions = [progress.fraction for progress in reported]
    assert fractions == sorted(set(fractions)), "it stands still, or goes back"
    assert 0 == fractions[0] < fractions[-1] < 1
    assert [phase for phase in PHASES.values() for progress in reported if progress.phase == phase] == [
        progress.phase for progress in reported
    ]
    assert {progress.phase for progress in reported} == set(PHASES.values())


def test_steps_of_an_earlier_attempt_say_nothing_of_the_time_that_is_left(generation: Generation) -> None:
    clock = Clock()
    meter = Meter(replace(generation, num_inference_steps=40), clock)
    meter.read(Conditioned())
    clock.now += 10
    progress = meter.read(Denoised(38, 40, lambda: FRAME))
    assert progress.eta_seconds == pytest.approx(10 * (2 + 0.1 * 40))


def test_a_clip_without_steps_goes_forward_through_its_frames(generation: Generation) -> None:
    progress = read(replace(generation, num_inference_steps=0), Clock(), [1, 1, 2], pace=1)
    assert [each.phase for each in progress] == ["decoding"] * 3 + ["encoding"]
    fractions = [each.fraction for each in progress]
    assert fractions == sorted(set(fractions))
    assert fractions[0] == pytest.approx(0.05)
    assert progress[1].eta_seconds == pytest.approx(3)
    assert progress[1].preview is not None, "the first frame is shown"


def test_steps_and_frames_are_counted(generation: Generation) -> None:
    reported = read(generation, Clock(), [3, 1], pace=1)
    counted = [(progress.phase, progress.step, progress.total) for progress in reported]
    assert counted == [
        ("denoising", 0, 3),
        ("denoising", 1, 3),
        ("denoising", 2, 3),
        ("decoding", 0, 4),
        ("decoding", 3, 4),
        ("encoding", None, None),
    ]


def test_the_time_left_is_counted_by_the_pace(generation: Generation) -> None:
    """Ten seconds a step, and then a tenth of all that for the rest."""
    reported = read(replace(generation, num_inference_steps=10), Clock(), [2, 2], pace=10)
    left = [progress.eta_seconds for progress in reported]
    assert left[0] is None, "guessed, before a step was done"
    assert left[1:11] == [pytest.approx(10 * (10 - step) + 10) for step in range(1, 11)]
    assert left[11] == pytest.approx(10), "two frames of four took ten seconds"


def test_enlarging_the_frames_is_counted_as_it_usually_takes(generation: Generation) -> None:
    plain, enlarged = (
        read(replace(generation, upscaler=upscaler), Clock(), [2, 2], pace=10)[1].eta_seconds
        for upscaler in ("lanczos", "real-esrgan")
    )
    assert plain is not None
    assert enlarged == pytest.approx(
        plain + guessed_seconds(replace(generation, upscaler="real-esrgan")), abs=0.01
    )
    assert enlarged > plain


def test_frames_in_between_are_counted_and_named(generation: Generation) -> None:
    smooth = replace(generation, output_fps=60, interpolation="motion")
    plain, reported = (read(each, Clock(), [1, 1, 1, 1], pace=10) for each in (generation, smooth))
    assert plain[1].eta_seconds is not None
    assert reported[1].eta_seconds == pytest.approx(
        plain[1].eta_seconds + interpolation.guessed_seconds(smooth), abs=0.01
    )
    assert [each.phase for each in reported][-5:] == ["decoding", *["interpolating"] * 3, "encoding"]
    enlarged = read(replace(smooth, upscaler="span"), Clock(), [2, 2], pace=10)
    assert enlarged[-2].phase == "upscaling"


def test_what_follows_the_frames_of_a_story_is_counted_once(generation: Generation) -> None:
    story = replace(generation, story=(Scene(4.0),), made_frames=32, overlap=1)
    smooth = replace(story, output_fps=60, interpolation="motion")
    left = []
    for each in (story, smooth):
        clock = Clock()
        meter = Meter(each, clock)
        meter.read(SegmentBegun(0, 8, 4))
        meter.read(Conditioned())
        clock.now += 10
        left.append(meter.read(Denoised(1, 10, lambda: FRAME)).eta_seconds or 0)
    assert left[1] - left[0] == pytest.approx(interpolation.guessed_seconds(smooth), rel=0.01)


def test_a_slow_preview_is_made_seldom(generation: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a preview costs: after the first, at most `PREVIEW_SHARE` of the time and one more."""
    clock, cost = Clock(), 0.3

    def encode(frames: object, fps: float) -> bytes:
        clock.now += cost
        return b"preview"

    monkeypatch.setattr(i2v.workers.progress, "encode_preview", encode)
    start = clock.now
    message = read(replace(generation, num_inference_steps=200), clock, [4], pace=1)
    made = [number for number, progress in enumerate(message) if progress.preview]
    assert made[0] == 1, "the first step shows something already"
    assert len(made) > 1
    assert (len(made) - 1) * cost <= PREVIEW_SHARE * (clock.now - start)


def test_a_quick_preview_is_made_at_each_step(
    generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i2v.workers.progress, "encode_preview", lambda frames, fps: b"preview")
    reported = read(generation, Clock(), [4], pace=1)
    assert [bool(progress.preview) for progress in reported] == [False, True, True, True, False]


def test_a_preview_with_fewer_frames_lasts_as_long_as_the_clip(
    generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(i2v.workers.progress, "encode_preview", lambda frames, fps: rates.append(fps))
    meter = Meter(replace(generation, num_frames=5, fps=10), Clock())
    meter.read(Conditioned())
    meter.read(Denoised(1, 3, lambda: np.zeros((2, 2, 2, 3), np.uint8)))
    assert rates == [4.0]


def test_a_sound_at_the_end_takes_progress_no_further(generation: Generation) -> None:
    meter = Meter(generation, Clock())
    last = meter.read(Decoded(np.zeros((generation.num_frames, 2, 2, 3), np.uint8)))
    assert meter.read(Sounded(np.zeros((9, 1), np.float32), 16_000)) == last


def test_an_engine_is_asked_only_for_the_previews_that_are_made(
    generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask is to wait for the device; and that wait is not the preview's cost."""
    clock, asked = Clock(), []

    def encode(frames: object, fps: float) -> bytes:
        clock.now += 0.02  # as `PREVIEW_SHARE` allows every 4 seconds
        return b"preview"

    def look(step: int) -> NDArray[np.uint8]:
        clock.now += 0.9
        asked.append(step)
        return FRAME

    monkeypatch.setattr(i2v.workers.progress, "encode_preview", encode)
    meter = Meter(generation, clock)
    meter.read(Conditioned())
    for step in range(1, 13):
        clock.now += 1
        meter.read(Denoised(step, 12, partial(look, step)))
    assert asked == [1, 4, 7, 10]


# --- lines for the log


def test_the_log_is_reported_each_phase_and_steps_only_now_and_then() -> None:
    clock = Clock()
    narrator = ProgressLog(clock)
    reported = []
    for progress in (at_start(Stage.LOAD), at_start(Stage.CONDITION), *(
        Progress("denoising", 0.1, step, 50, 2.0 * (50 - step)) for step in range(50)
    ), Progress("decoding", 0.9, 0, 16)):  # fmt: skip
        clock.now += 2.0
        reported.append(narrator.line(progress))
    lines = [line for line in reported if line is not None]
    assert lines[:4] == [
        "loading",
        "conditioning",
        "denoising, step 0 of 50, about 100 s left",
        "denoising, step 3 of 50, about 94 s left",
    ]
    assert lines[-1] == "decoding, step 0 of 16"
    assert len(lines) == 3 + 50 // (LINE_SECONDS // 2 + 1) + 1
