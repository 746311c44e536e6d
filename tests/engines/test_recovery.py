"""i2v.engines.recovery: a clip of three steps and two chunks that runs out of memory where a test says so."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
import pytest

from i2v.core.errors import InsufficientMemory
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Denoised, Event, SteppedDown
from i2v.engines.recovery import changes, recovering

PLAN = MemoryPlan("cuda", "float16")
FRAME = np.zeros((1, 2, 2, 3), np.uint8)


class Steps:
    """A ladder of `rungs`: each takes fewer tokens at a time. `short`: when memory is nearly used up."""

    def __init__(self, rungs: int, short: Callable[[], bool] = lambda: False) -> None:
        self.left = rungs
        self.short = short
        self.asked: list[Stage] = []

    def step_down(self, plan: MemoryPlan, stage: Stage) -> MemoryPlan | None:
        if plan.chunk_tokens == self.left:
            return None
        self.asked.append(stage)
        return replace(plan, chunk_tokens=plan.chunk_tokens + 1)

    def is_short(self) -> bool:
        return self.short()


class Activation:
    """What a step computes with, and an error's traceback would keep alive."""


class Clip:
    """Raises `error` as often as `troubles` says, before "condition", "step 2" or "chunk 1"."""

    def __init__(self, troubles: dict[str, int], error: Exception | None = None) -> None:
        self.troubles = troubles
        self.error = error
        self.stage: Stage | None = "condition"
        self.done: list[str] = []
        self.plans: list[MemoryPlan] = []
        self.activations: list[weakref.ref[Activation]] = []

    def events(self, plan: MemoryPlan) -> Generator[Event]:
        self.plans.append(plan)
        if "condition" not in self.done:
            yield self.finish("condition", Conditioned(), "denoise")
        for step in (1, 2, 3):
            if f"step {step}" not in self.done:
                yield self.finish(
                    f"step {step}", Denoised(step, 3, lambda: FRAME), "denoise" if step < 3 else "decode"
                )
        for chunk in (1, 2):
            if f"chunk {chunk}" not in self.done:
                yield self.finish(f"chunk {chunk}", Decoded(FRAME), "decode" if chunk == 1 else None)

    def finish(self, name: str, event: Event, stage: Stage | None) -> Event:
        held = Activation()
        self.activations.append(weakref.ref(held))
        if self.troubles.get(name, 0) > 0:
            self.troubles[name] -= 1
            raise self.error or MemoryError("all gone")
        self.done.append(name)
        self.stage = stage
        return event


def reason_of(error: BaseException) -> str | None:
    return str(error) if isinstance(error, MemoryError) else None


PLACES = ("condition", "step 1", "step 2", "step 3", "chunk 1", "chunk 2")


@pytest.mark.parametrize("place", PLACES)
def test_what_is_finished_is_kept_and_nothing_comes_twice(place: str) -> None:
    clip, ladder = Clip({place: 2}), Steps(5)
    events = list(recovering(clip, PLAN, ladder, reason_of))
    assert clip.done == list(PLACES)
    rungs = [event for event in events if isinstance(event, SteppedDown)]
    stage = {"condition": "condition", "step": "denoise", "chunk": "decode"}[place.split()[0]]
    assert [rung.stage for rung in rungs] == ladder.asked == [stage, stage]
    assert [rung.plan.chunk_tokens for rung in rungs] == [1, 2]
    assert clip.plans == [PLAN, *(rung.plan for rung in rungs)]
    codes = [notice.code for notice in rungs[0].notices]
    assert codes == [f"ladder.{stage}", "ladder.chunk_tokens"]
    kinds = [type(event) for event in events if not isinstance(event, SteppedDown)]
    assert kinds == [Conditioned, Denoised, Denoised, Denoised, Decoded, Decoded]


def test_nothing_of_the_failed_try_is_alive_when_the_next_one_begins() -> None:
    clip = Clip({"step 2": 1})
    for event in recovering(clip, PLAN, Steps(1), reason_of):
        if isinstance(event, SteppedDown):
            assert [activation() for activation in clip.activations] == [None] * 3


def test_at_the_ladders_end_the_reason_is_reported() -> None:
    with pytest.raises(InsufficientMemory, match="all gone") as caught:
        list(recovering(Clip({"step 2": 9}), PLAN, Steps(3), reason_of))
    assert caught.value.code == "engine.out_of_memory"
    assert caught.value.__context__ is None, "it would keep the last try alive"
    with pytest.raises(InsufficientMemory):
        list(recovering(Clip({"step 2": 1}), PLAN, NO_LADDER, reason_of))


def test_another_error_passes() -> None:
    with pytest.raises(RuntimeError, match="a defect"):
        list(recovering(Clip({"step 2": 1}, RuntimeError("a defect")), PLAN, Steps(3), reason_of))


def test_a_clip_goes_on_by_a_lesser_plan_while_memory_is_short() -> None:
    """To the bottom, where it goes on all the same; and there is nothing to save after the last frame."""
    clip, ladder = Clip({}), Steps(2, short=lambda: True)
    events = list(recovering(clip, PLAN, ladder, reason_of))
    assert clip.done == list(PLACES)
    rungs = [event for event in events if isinstance(event, SteppedDown)]
    assert [[notice.code for notice in rung.notices] for rung in rungs] == [
        ["ladder.short", "ladder.chunk_tokens"]
    ] * 2
    clip, ladder = Clip({}), Steps(9, short=lambda: clip.stage is None)
    assert not any(isinstance(event, SteppedDown) for event in recovering(clip, PLAN, ladder, reason_of))


def test_a_closed_stream_closes_the_clip() -> None:
    clip = Clip({})
    events = recovering(clip, PLAN, Steps(1), reason_of)
    next(events)
    events.close()
    assert clip.done == ["condition"]


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({}, []),
        ({"chunk_tokens": 99}, ["ladder.chunk_tokens"]),
        ({"decode_chunk": 1}, ["ladder.decode_chunk"]),
        ({"cfg_passes": 2}, ["ladder.cfg_passes"]),
        ({"offload": "encoders"}, ["ladder.offload_encoders"]),
        ({"offload": "model", "vae_tiling": True}, ["ladder.offload_model", "ladder.vae_tiling"]),
    ],
)
def test_every_change_has_its_sentence(change: dict[str, object], codes: list[str]) -> None:
    assert [notice.code for notice in changes(PLAN, replace(PLAN, **change))] == codes  # type: ignore[arg-type]
