"""i2v.pipeline.segments: a story out of clips, the same however often it was cut off; little in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.scenes import Scene
from i2v.core.story import scene_frames
from i2v.engines.base import Conditioned, Decoded, Denoised, Event, Inputs
from i2v.media.checkpoints import Checkpoints, count_segments
from i2v.pipeline.drift import Look
from i2v.pipeline.segments import Before, SegmentBegun, story_events

SAID = Notice("prompt.truncated", {"limit": 77, "removed": "a"})


class Engine:
    """Makes frames that are brighter by 2 each than the picture, two at a time, and remembers what it got."""

    def __init__(self, fail_in: int = -1) -> None:
        self.asked: list[tuple[Generation, Inputs]] = []
        self.closed = 0
        self._fail_in = fail_in

    def make(self, generation: Generation, inputs: Inputs) -> Generator[Event]:
        self.asked.append((generation, inputs))
        first = np.asarray(inputs.image).astype(int)
        try:
            yield Conditioned((SAID,))
            yield Denoised(1, 1, lambda: np.zeros((1, 8, 8, 3), np.uint8))
            for start in range(0, generation.num_frames, 2):
                if len(self.asked) == self._fail_in and start:
                    raise KeyError("killed")
                frames = [first + 2 * number for number in (start, start + 1)]
                yield Decoded(np.stack(frames).clip(0, 255).astype(np.uint8))
        finally:
            self.closed += 1


@pytest.fixture
def inputs() -> Inputs:
    return Inputs(Image.new("RGB", (96, 64), (20, 20, 20)))


def story(generation: Generation, *scenes: Scene, overlap: int = 2, **fields: object) -> Generation:
    frames = sum(scene_frames([scene.seconds for scene in scenes], 8))
    told = replace(generation, num_frames=8, fps=8, story=scenes, made_frames=frames, overlap=overlap)
    return replace(told, **fields)


def frames_of(events: list[SegmentBegun | Event]) -> np.ndarray:
    return np.concatenate([event.frames for event in events if isinstance(event, Decoded)])


def test_each_segment_goes_on_from_the_frames_before_and_has_its_scenes_prompt(
    generation: Generation, inputs: Inputs
) -> None:
    engine, asked = Engine(), story(generation, Scene(2, "a"), Scene(1, "b"), seed=2**32 - 1)
    events = list(story_events(asked, inputs, engine.make))
    frames = frames_of(events)
    assert frames.shape == (24, 64, 96, 3)
    grey = frames.mean((1, 2, 3))
    assert np.abs(np.diff(grey) - 2).max() < 0.51, "every frame is one step on from the one before"
    given = [(got.prompt, got.seed, what.start, len(what.earlier)) for got, what in engine.asked]
    assert given == [
        ("a", 2**32 - 1, 0, 0), ("a", 0, 6, 2), ("a", 1, 12, 2), ("b", 2, 14, 2), ("b", 3, 20, 2),
    ]  # fmt: skip
    begun = [event for event in events if isinstance(event, SegmentBegun)]
    assert [(event.number, event.total, event.frames) for event in begun] == [
        (0, 5, 6), (1, 5, 6), (2, 5, 2), (3, 5, 6), (4, 5, 4),
    ]  # fmt: skip
    assert [notice for event in events for notice in event.notices] == [SAID], "once"


def test_neighbours_are_faded_over_what_they_have_in_common(generation: Generation, inputs: Inputs) -> None:
    def make(asked: Generation, given: Inputs) -> Generator[Event]:
        level = 100 if given.earlier else 40
        yield Decoded(np.full((8, 64, 96, 3), level, np.uint8))

    events = list(story_events(story(generation, Scene(1.5, "a"), overlap=3), inputs, make))
    grey = frames_of(events)[:, 0, 0, 0]
    assert list(grey) == [40, 40, 40, 40, 40, 55, 70, 85, 100, 100, 100, 100]


def test_drift_is_corrected_in_what_the_next_segment_begins_with_unless_that_is_off(
    generation: Generation, inputs: Inputs
) -> None:
    def begun(correct_drift: bool) -> float:
        engine = Engine()
        list(story_events(story(generation, Scene(3, "a"), correct_drift=correct_drift), inputs, engine.make))
        return float(np.asarray(engine.asked[-1][1].image).mean())

    assert begun(True) < begun(False) - 5


def test_a_longer_clip_goes_on_from_the_last_frames_of_the_one_that_is_there(
    generation: Generation, inputs: Inputs, tmp_path: Path
) -> None:
    engine, frames = Engine(), tuple(np.full((64, 96, 3), level, np.uint8) for level in (60, 62))
    asked = story(generation, Scene(1, "a"), Scene(1.5, "b"), extends=8)
    before = Before(frames, Look.of(frames[0]))
    events = list(story_events(asked, inputs, engine.make, before=before))
    given = [(got.prompt, what.start, len(what.earlier)) for got, what in engine.asked]
    assert given == [("b", -1, 2), ("b", 5, 2)], "the camera moves on from the last frame"
    grey = frames_of(events).mean((1, 2, 3))
    assert grey == pytest.approx(60 + 2 * np.arange(14), abs=1), "its last two frames are made anew"
    begun = [event.frames for event in events if isinstance(event, SegmentBegun)]
    assert begun == [6, 8]
    with Checkpoints(tmp_path, "job") as checkpoints:
        checkpoints.open("key")
        with pytest.raises(KeyError):
            list(story_events(asked, inputs, Engine(2).make, checkpoints, before))
        rest = Engine()
        again = list(story_events(asked, inputs, rest.make, checkpoints, before))
    assert np.array_equal(frames_of(again), frames_of(events))
    assert len(rest.asked) == 1, "a kill loses one segment at most"


def test_a_clip_that_is_no_story_is_made_as_it_is(generation: Generation, inputs: Inputs) -> None:
    engine = Engine()
    events = list(story_events(generation, inputs, engine.make))
    assert engine.asked == [(generation, inputs)]
    assert [type(event) for event in events] == [Conditioned, Denoised, *[Decoded] * 2]


@pytest.mark.parametrize("fail_in", [1, 2, 4])
def test_a_story_goes_on_after_a_kill_and_comes_out_the_same(
    generation: Generation, inputs: Inputs, tmp_path: Path, fail_in: int
) -> None:
    asked = story(generation, Scene(2, "a"), Scene(1, "b"), correct_drift=True)
    whole = frames_of(list(story_events(asked, inputs, Engine().make)))

    def attempt(engine: Engine) -> list[SegmentBegun | Event]:
        with Checkpoints(tmp_path, "job") as checkpoints:
            checkpoints.open("key")
            return list(story_events(asked, inputs, engine.make, checkpoints))

    with pytest.raises(KeyError):
        attempt(Engine(fail_in))
    assert count_segments(tmp_path, "job") == fail_in - 1
    engine = Engine()
    events = attempt(engine)
    assert np.array_equal(frames_of(events), whole)
    assert len(engine.asked) == 5 - (fail_in - 1), "one is lost at most"
    resumed = [notice.code for event in events for notice in event.notices].count("story.resumed")
    assert resumed == (1 if fail_in > 1 else 0)


def test_to_stop_iterating_closes_the_engine_and_leaves_no_half_segment(
    generation: Generation, inputs: Inputs, tmp_path: Path
) -> None:
    engine = Engine()
    with Checkpoints(tmp_path, "job") as checkpoints:
        checkpoints.open("key")
        events = story_events(story(generation, Scene(3, "a")), inputs, engine.make, checkpoints)
        for event in events:
            if isinstance(event, Decoded):
                break
        events.close()
    assert engine.closed == 1
    assert [path.name for path in (tmp_path / "job.story").iterdir()] == []


def test_memory_does_not_grow_with_length(generation: Generation, inputs: Inputs) -> None:
    def peak(seconds: float) -> int:
        tracemalloc.start()
        for _ in story_events(story(generation, Scene(seconds, "a")), inputs, Engine().make):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(20) < peak(2) + 12 * 96 * 64 * 3, "twelve frames; the story has 144 more"
