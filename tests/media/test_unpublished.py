"""i2v.media.unpublished: frames on the disk, whole or not at all, and never without bound."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2v.core.errors import EncodeError, InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.results import StageUse
from i2v.media import unpublished
from i2v.media.unpublished import (
    SOUND_BYTES,
    About,
    FrameRecorder,
    Kept,
    find_kept,
    kept_bytes,
    read_kept,
    remove_kept,
    sweep,
)
from tests.clips import make_frames, make_sound, names

SIZE = (96, 64)  # of the fixture `generation`


@pytest.fixture
def about(generation: Generation) -> About:
    notice = Notice("image.transparent", {"background": "#fff"})
    stages = (StageUse("denoise", 1.5, None, 2**30),)
    return About(generation, {"i2v": "影 {}"}, "zh-CN", (notice,), {"denoise": 1.5}, stages)


def record(folder: Path, about: About, name: str = "clip", count: int = 4) -> Kept | None:
    frames = make_frames(count, SIZE, noise=True)
    with FrameRecorder(folder, name).begin(about.generation) as recorder:
        recorder.append(frames[:1])
        recorder.append(frames[1:, :, ::-1][:, :, ::-1])
        return recorder.keep(about)


def rewrite(kept: Kept, **fields: object) -> None:
    """Change what the file of the frames says of them, as another version might have written it."""
    data = kept.path.read_bytes()
    length = int.from_bytes(data[-8:])
    tag = json.loads(data[-8 - length : -8])
    tag["generation"] |= fields.pop("generation", {})
    text = json.dumps(tag | fields).encode()
    kept.path.write_bytes(data[: -8 - length] + text + len(text).to_bytes(8))


def test_frames_that_another_version_kept_are_published_as_far_as_they_are_understood(
    tmp_path: Path, about: About
) -> None:
    kept = record(tmp_path, about)
    assert kept is not None
    rewrite(
        kept, generation={"masks": [{"name": "a"}]}, sound=None, notices=[{"code": "new", "message": "New."}]
    )
    found = find_kept(tmp_path, "clip")
    assert found is not None
    assert found.about.generation == about.generation
    assert [notice.message for notice in found.about.notices] == ["New."]
    rewrite(kept, notices=[{"code": "image.transparent", "params": {"background": "#fff"}}])  # before 2
    found = find_kept(tmp_path, "clip")
    assert found is not None
    assert found.about == about
    rewrite(kept, generation={"width": "wide"})
    assert find_kept(tmp_path, "clip") is None


def test_the_sound_is_kept_with_the_frames(tmp_path: Path, about: About) -> None:
    sound = make_sound(0.5, channels=2)
    with FrameRecorder(tmp_path, "clip").begin(about.generation, sound_seconds=90.5) as recorder:
        (part,) = tmp_path.glob(".*.part")
        assert part.stat().st_size > 91 * SOUND_BYTES, "speech may be longer than the clip"
        recorder.append(make_frames(4, SIZE))
        recorder.append_sound(sound)
        recorder.keep(about)
    found = find_kept(tmp_path, "clip")
    assert found is not None
    heard = found.sound()
    assert heard is not None
    assert np.array_equal(heard.samples, sound.samples)
    assert (heard.sample_rate, heard.samples.dtype) == (sound.sample_rate, np.float32)
    assert np.array_equal(np.concatenate(list(found.frames())), make_frames(4, SIZE))
    data = found.path.read_bytes()
    length = int.from_bytes(data[-8:])
    found.path.write_bytes(data[: -8 - length - 4] + data[-8 - length :])
    with pytest.raises(InvalidRequest) as caught:
        read_kept(found.path)
    assert caught.value.code == "unpublished.unreadable"
    found.path.unlink()
    with pytest.raises(EncodeError) as lost:
        found.sound()
    assert lost.value.code == "unpublished.lost"


def test_what_is_kept_is_read_again(tmp_path: Path, about: About) -> None:
    folder = tmp_path / "unpublished"
    assert find_kept(folder, "clip") is None
    assert record(folder, about) is not None
    kept = find_kept(folder, "clip")
    assert kept is not None
    assert kept.about == about
    assert np.array_equal(np.concatenate(list(kept.frames())), make_frames(4, SIZE, noise=True))
    assert kept.path.stat().st_size < 4 * 96 * 64 * 3 + 10_000, "the room that was not needed is given back"
    remove_kept(folder, "clip")
    remove_kept(folder, "clip")
    assert names(folder) == []


def test_nobody_else_may_read_it(tmp_path: Path, about: About) -> None:
    folder = tmp_path / "unpublished"
    kept = record(folder, about)
    assert kept is not None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_frames_that_are_missing_are_not_kept_nor_missed(tmp_path: Path, about: About) -> None:
    """The engine failed: there was never a whole clip."""
    with FrameRecorder(tmp_path, "clip").begin(about.generation) as recorder:
        recorder.append(make_frames(3, SIZE))
        assert recorder.keep(about) is None
        assert recorder.notice is None
    assert names(tmp_path) == []


def test_room_is_taken_at_the_beginning_and_given_back(tmp_path: Path, about: About) -> None:
    large = replace(about.generation, generated_width=1024, generated_height=1024)
    with FrameRecorder(tmp_path, "clip").begin(large):
        (part,) = tmp_path.iterdir()
        assert part.stat().st_blocks * 512 >= 4 * 1024 * 1024 * 3
    assert names(tmp_path) == []


def test_a_disk_that_would_be_full_is_left_alone(
    tmp_path: Path, about: About, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpublished, "SPARE_BYTES", 2**60)
    with FrameRecorder(tmp_path, "clip").begin(about.generation) as recorder:
        recorder.append(make_frames(4, SIZE))
        assert recorder.keep(about) is None
    assert recorder.notice is not None
    assert recorder.notice.code == "unpublished.not_kept"
    assert recorder.notice.params == {"path": str(tmp_path), "reason": os.strerror(28)}
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_stops_nobody(tmp_path: Path, about: About) -> None:
    (tmp_path / "file").touch()
    assert record(tmp_path / "file" / "unpublished", about) is None


@pytest.mark.parametrize("damage", ["end", "start", "all", "other"])
def test_damaged_files_are_named_and_not_used(tmp_path: Path, about: About, damage: str) -> None:
    kept = record(tmp_path, about)
    assert kept is not None
    data = kept.path.read_bytes()
    left = {"end": data[:-1], "start": data[5:], "all": b"", "other": b"x" * 99}
    kept.path.write_bytes(left[damage])
    with pytest.raises(InvalidRequest, match=r"clip\.frames") as caught:
        read_kept(kept.path)
    assert caught.value.code == "unpublished.unreadable"
    assert find_kept(tmp_path, "clip") is None


def test_what_killed_writers_left_is_swept_and_nothing_that_is_being_written(
    tmp_path: Path, about: About
) -> None:
    with FrameRecorder(tmp_path, "busy").begin(about.generation):
        (tmp_path / ".dead.0123456789ab.part").write_bytes(b"half")
        sweep(tmp_path)
        (left,) = names(tmp_path)
        assert left.startswith(".busy.")
    sweep(tmp_path / "nowhere")


def test_what_is_too_old_or_too_much_is_swept_oldest_first(
    tmp_path: Path, about: About, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days, name in ((unpublished.KEEP_DAYS + 1, "old"), (2, "b"), (1, "c")):
        kept = record(tmp_path, about, name)
        assert kept is not None
        when = time.time() - days * 86400
        os.utime(kept.path, (when, when))
    sweep(tmp_path)
    assert names(tmp_path) == ["b.frames", "c.frames"]
    monkeypatch.setattr(unpublished, "MAX_BYTES", 2 * (tmp_path / "b.frames").stat().st_size)
    record(tmp_path, about, "d")
    assert names(tmp_path) == ["c.frames", "d.frames"]


def test_what_goes_away_during_a_sweep_stops_nobody(
    tmp_path: Path, about: About, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may delete a job, another process publish its frames."""
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [*glob(path, pattern), path / "gone.frames"])
    assert record(tmp_path, about) is not None


def test_frames_that_were_cut_after_their_description_was_read_are_named(
    tmp_path: Path, about: About
) -> None:
    kept = record(tmp_path, about)
    assert kept is not None
    assert kept_bytes(tmp_path, "clip") == kept.path.stat().st_size
    kept.path.write_bytes(kept.path.read_bytes()[:100])
    with pytest.raises(EncodeError, match=r"clip\.frames") as caught:
        list(kept.frames())
    assert caught.value.code == "unpublished.lost"
    kept.remove()
    with pytest.raises(EncodeError):
        list(kept.frames())
    assert kept_bytes(tmp_path, "clip") == 0
