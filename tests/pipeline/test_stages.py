"""i2v.pipeline.stages: events that take time and memory, and the books of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import Conditioned, Decoded, Denoised, Event, SteppedDown
from i2v.engines.i2vgen_xl.memory import MEMORY
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.pipeline.stages import StageBooks, Stopwatch
from tests.rehearsal import REHEARSAL

PLAN = MemoryPlan("cpu", "float32")
LOWER = replace(PLAN, cfg_passes=2)
FRAME = np.zeros((1, 2, 2, 3), np.uint8)


class Readings:
    """A meter whose readings count up by 100, so that each tells when it was taken."""

    def __init__(self, device_type: str) -> None:
        self.count = 0

    def read(self) -> int | None:
        self.count += 1
        return 100 * self.count


def story() -> Iterator[Event]:
    yield Conditioned()
    yield Denoised(1, 2, lambda: FRAME)
    time.sleep(0.05)
    yield SteppedDown("denoise", LOWER, ())
    yield Denoised(2, 2, lambda: FRAME)
    yield Decoded(FRAME)


@pytest.fixture
def asked(generation: Generation) -> Generation:
    return replace(generation, engine="embedded", generated_width=128, generated_height=128, num_frames=8)


def test_each_stage_has_its_seconds_bytes_and_estimate(
    asked: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.pipeline.stages.PeakMeter", Readings)
    watch = Stopwatch()
    books = StageBooks(EMBEDDED, asked, PLAN, watch)
    events = list(books.follow(story()))
    assert [type(event) for event in events] == [Conditioned, Denoised, SteppedDown, Denoised, Decoded]
    reported = books.to_list()
    assert [(stage.name, stage.bytes) for stage in reported] == [
        ("condition", 200),
        ("denoise", 700),
        ("decode", 900),
    ]
    figures = [MEMORY.estimate(EMBEDDED, asked, plan) for plan in (PLAN, LOWER)]
    plain, lower = (found for found in figures if found is not None)
    assert reported[0].estimated_bytes == plain.metered(Stage.CONDITION)
    assert reported[1].estimated_bytes == lower.metered(Stage.DENOISE), "of the plan the peak was seen under"
    assert cast("float", reported[1].seconds) >= 0.05, "the try that failed took time"
    assert reported[1].seconds == round(watch.seconds["denoise"], 3)


def test_who_looks_at_a_step_waits_for_it_in_the_steps_time(
    asked: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    watch = Stopwatch()
    for event in StageBooks(EMBEDDED, asked, PLAN, watch).follow(story()):
        time.sleep(10 if isinstance(event, Denoised) else 1000)
    assert watch.seconds == pytest.approx({"condition": 0, "denoise": 20.05, "decode": 0})


def test_an_engine_that_was_not_measured_has_no_estimate(asked: Generation) -> None:
    books = StageBooks(REHEARSAL, replace(asked, engine="rehearsal"), PLAN, Stopwatch())
    list(books.follow(story()))
    assert [stage.estimated_bytes for stage in books.to_list()] == [None] * 3


def test_a_real_peak_is_seen_in_its_stage_alone(asked: Generation) -> None:
    def hungry() -> Iterator[Event]:
        yield Conditioned()
        held = b"x" * 200_000_000
        yield Denoised(1, 1, lambda: FRAME)
        del held
        yield Decoded(FRAME)

    books = StageBooks(EMBEDDED, asked, PLAN, Stopwatch())
    list(books.follow(hungry()))
    condition, denoise, decode = (stage.bytes for stage in books.to_list())
    if condition is None:
        pytest.skip("nobody counts here")
    assert cast("int", denoise) > cast("int", condition) + 150_000_000
    assert cast("int", decode) <= cast("int", denoise) + 10_000_000  # it is still held as decoding begins
