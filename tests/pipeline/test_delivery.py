"""pipeline.delivery: generated frames to the published video, whether an engine or the disk gives them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2v.core.errors import EncodeError, InsufficientMemory
from i2v.core.generation import Generation
from i2v.core.sound import Narration
from i2v.media.outputs import OutputFile
from i2v.media.unpublished import About, FrameRecorder, Kept
from i2v.media.video import probe, read_tags
from i2v.pipeline.delivery import Marks, deliver, held_frames, publish_kept
from i2v.pipeline.stages import Stopwatch
from tests.clips import make_frames, make_sound, names, read_frames

SIZE = (96, 64)  # of the fixture `generation`
MARKS = Marks({"i2v": "made by hand"}, "en")


def keep(folder: Path, generation: Generation) -> Kept:
    with FrameRecorder(folder, "clip").begin(generation) as recorder:
        recorder.append(make_frames(4, SIZE))
        kept = recorder.keep(About(generation, MARKS.tags, MARKS.visible, (), {"denoise": 2.0}))
    assert kept is not None
    return kept


def test_kept_frames_become_the_very_file_that_they_would_have_been(
    tmp_path: Path, generation: Generation
) -> None:
    larger = replace(generation, width=192, height=128)
    kept = keep(tmp_path / "kept", larger)
    heard: list[int] = []
    result = publish_kept(kept, OutputFile(tmp_path / "again.mp4"), heard.append)
    chunks = iter([make_frames(4, SIZE)[:3], make_frames(4, SIZE)[3:]])
    plain = deliver(chunks, larger, MARKS, OutputFile(tmp_path / "plain.mp4"), Stopwatch()).path
    assert result.path.read_bytes() == plain.read_bytes()
    assert (probe(plain).width, read_tags(plain)["i2v"]) == (192, "made by hand")
    assert (heard, names(tmp_path / "kept")) == ([0, 1, 2, 3], [])
    assert result.seconds.keys() == {"denoise", "encode"}
    assert [notice.code for notice in result.notices] == ["unpublished.published"]


def test_frames_in_between_are_computed_of_what_was_kept_too(tmp_path: Path, generation: Generation) -> None:
    """Kept are the frames as they were generated: there are fewer of them, and they are smaller."""
    smooth = replace(generation, output_fps=24, interpolation="blend", width=192, height=128)
    kept = keep(tmp_path / "kept", smooth)
    assert kept.path.stat().st_size < 4 * 96 * 64 * 3 + 2000
    result = publish_kept(kept, OutputFile(tmp_path / "again.mp4"))
    watch = Stopwatch()
    content = [make_frames(4, SIZE), make_sound(0.5)]
    plain = deliver(content[:1], smooth, MARKS, OutputFile(tmp_path / "plain.mp4"), watch).path
    loud = deliver(content, smooth, MARKS, OutputFile(tmp_path / "loud.mp4"), Stopwatch()).path
    assert result.path.read_bytes() == plain.read_bytes()
    info, sound = probe(plain), probe(loud).sound
    assert (info.num_frames, info.fps, info.duration, info.width) == (12, 24, 0.5, 192)
    assert sound is not None
    assert sound.duration == pytest.approx(0.5, abs=0.05)
    assert watch.seconds["interpolate"] > 0
    assert (result.to_dict()["video_frames"], result.to_dict()["video_fps"]) == (12, 24)


@pytest.mark.parametrize(("spoken", "ends_at_its_begin"), [(None, True), (Narration("It rains."), False)])
def test_frames_in_between_lead_from_a_loops_end_to_its_begin(
    tmp_path: Path, generation: Generation, spoken: Narration | None, ends_at_its_begin: bool
) -> None:
    smooth = replace(generation, output_fps=16, interpolation="blend", loop=True, narration=spoken)
    frames = np.repeat(np.array([0, 100, 200, 100], np.uint8), 96 * 64 * 3)
    target = OutputFile(tmp_path / "a.mp4")
    video = deliver([frames.reshape(4, 64, 96, 3)], smooth, Marks(), target, Stopwatch())
    last = read_frames(video.path)[-1].mean()
    assert last == pytest.approx(50 if ends_at_its_begin else 100, abs=3)


def test_a_sound_is_published_with_the_frames_also_when_it_was_kept(
    tmp_path: Path, generation: Generation
) -> None:
    frames, sound = make_frames(4, SIZE), make_sound(0.5)
    plain = deliver([frames, sound], generation, MARKS, OutputFile(tmp_path / "plain.mp4"), Stopwatch()).path
    with FrameRecorder(tmp_path / "kept", "clip").begin(generation, sound.seconds) as recorder:
        recorder.append(frames)
        recorder.append_sound(sound)
        kept = recorder.keep(About(generation, MARKS.tags, MARKS.visible))
    assert kept is not None
    result = publish_kept(kept, OutputFile(tmp_path / "again.mp4"))
    assert probe(plain).sound is not None
    assert result.path.read_bytes() == plain.read_bytes()


def test_the_last_frame_is_held_to_the_end_of_what_is_spoken(tmp_path: Path, generation: Generation) -> None:
    spoken = replace(generation, fps=8, narration=Narration("Hello"))
    frames = make_frames(4, SIZE)
    for seconds, count in ((0.5, 4), (1.01, 9), (0.1, 4)):
        target = OutputFile(tmp_path / f"{count}-{seconds}.mp4")
        video = deliver([frames, make_sound(seconds)], spoken, MARKS, target, Stopwatch())
        found = read_frames(video.path)
        assert (len(found), held_frames(video, spoken)) == (count, count - 4)
        assert abs(found[-1].astype(int) - found[3].astype(int)).max() <= 4


def test_frames_stay_kept_where_publishing_fails_again(tmp_path: Path, generation: Generation) -> None:
    kept = keep(tmp_path / "kept", generation)
    (tmp_path / "file").touch()
    with pytest.raises(EncodeError):
        publish_kept(kept, OutputFile(tmp_path / "file" / "a.mp4"))
    assert kept.path.exists()


def test_memory_that_runs_out_is_said(
    tmp_path: Path, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("i2v.pipeline.delivery.resize_frames", exhausted)
    with pytest.raises(InsufficientMemory) as caught:
        deliver([make_frames(4, SIZE)], generation, MARKS, OutputFile(tmp_path / "a.mp4"), Stopwatch())
    assert caught.value.code == "encode.out_of_memory"
    assert names(tmp_path) == []


def test_frames_are_taken_one_after_another(tmp_path: Path, generation: Generation) -> None:
    """A clip is never held in memory as a whole."""
    frames = (np.full((1, 64, 96, 3), level, np.uint8) for level in range(4))
    video = deliver(frames, generation, Marks(), OutputFile(tmp_path / "a.mp4"), Stopwatch())
    assert video.num_frames == 4
