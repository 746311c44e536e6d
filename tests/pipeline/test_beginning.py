"""pipeline.beginning: old frames pass as they are, and new ones are faded in over the last of them."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2v.core.generation import Generation
from i2v.core.scenes import Scene
from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer, VideoInfo
from i2v.pipeline.beginning import Beginning
from i2v.pipeline.delivery import Marks, deliver
from i2v.pipeline.stages import Stopwatch

SIZE = (96, 64)


def grey(level: int, count: int) -> np.ndarray:
    return np.full((count, SIZE[1], SIZE[0], 3), level, np.uint8)


def video(path: Path, num_frames: int, fps: int) -> VideoInfo:
    with Mp4Writer(OutputFile(path), fps=fps, size=SIZE) as writer:
        writer.append(grey(40, num_frames))
        return writer.finish()


def longer(generation: Generation, extends: int, fresh: int, fps: int | None = None) -> Generation:
    scenes = (Scene(extends / 8, "a"), Scene(fresh / 8, "a"))
    made = replace(generation, num_frames=8, fps=8, story=scenes, made_frames=extends + fresh, overlap=2)
    method = None if fps is None else "blend"
    return replace(made, extends=extends, source="ab", output_fps=fps, interpolation=method)


@pytest.mark.parametrize(
    ("fps", "num_frames", "fresh"), [(8, 8, 16), (24, 24, 16), (30, 30, 16), (30, 64, 9), (25, 54, 5)]
)
def test_a_video_is_as_long_as_both_parts_at_any_rate(
    generation: Generation, tmp_path: Path, fps: int, num_frames: int, fresh: int
) -> None:
    made = longer(generation, num_frames * 8 // fps, fresh, None if fps == 8 else fps)
    read = list[int]()
    old = video(tmp_path / "old.mp4", num_frames, fps)
    beginning = Beginning(old, False, made, lambda: read.append(1))
    content = [grey(100, 1)] * (2 + fresh)
    new = deliver(content, made, Marks(), OutputFile(tmp_path / "new.mp4"), Stopwatch(), beginning)
    assert (new.num_frames, len(read)) == (made.video_frames, num_frames)


def test_only_the_frames_that_both_have_are_changed(generation: Generation, tmp_path: Path) -> None:
    beginning = Beginning(video(tmp_path / "old.mp4", 8, 8), False, longer(generation, 8, 4), lambda: None)
    old = np.concatenate(list(beginning.frames()))
    assert np.abs(old.astype(int) - 40).max() <= 1
    assert len(old) == 6
    new = [beginning.join(grey(100, 1)) for _ in range(4)]
    assert [int(frames[0, 0, 0, 0]) for frames in new] == pytest.approx([60, 80, 100, 100], abs=1)


def test_memory_does_not_grow_with_length(generation: Generation, tmp_path: Path) -> None:
    def peak(num_frames: int) -> int:
        old = video(tmp_path / f"{num_frames}.mp4", num_frames, 8)
        beginning = Beginning(old, False, longer(generation, num_frames, 8), lambda: None)
        tracemalloc.start()
        for _ in beginning.frames():
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(4)
    assert peak(160) < peak(8) + 8 * 96 * 64 * 3, "eight frames; the other has 152 more"
