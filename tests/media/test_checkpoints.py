"""i2v.media.checkpoints: segments on the disk, whole or not at all, and gone with their story."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from i2v.core.errors import EncodeError
from i2v.media.checkpoints import Checkpoints, checkpoint_bytes, count_segments, is_being_made
from i2v.media.unpublished import KEEP_DAYS, kept_bytes, remove_kept, sweep
from tests.clips import make_frames, names

SHAPE = (4, 64, 96, 3)
FRAMES = make_frames(4, (96, 64), noise=True)


def write(folder: Path, key: str = "a", number: int = 0) -> None:
    with Checkpoints(folder, "job") as checkpoints:
        checkpoints.open(key)
        with checkpoints.writing(number) as file:
            file.append(FRAMES[:1])
            file.append(FRAMES[1:, :, ::-1][:, :, ::-1])


def read(folder: Path, key: str = "a", number: int = 0) -> np.ndarray | None:
    with Checkpoints(folder, "job") as checkpoints:
        checkpoints.open(key)
        frames = checkpoints.find(number, SHAPE)
        return None if frames is None else np.concatenate(list(frames))


def test_a_segment_comes_back_as_it_was_and_only_for_its_own_story(tmp_path: Path) -> None:
    write(tmp_path)
    frames = read(tmp_path)
    assert frames is not None
    assert np.array_equal(frames, FRAMES)
    assert read(tmp_path, key="b") is None
    assert read(tmp_path, number=1) is None
    assert count_segments(tmp_path, "job") == 1
    with Checkpoints(tmp_path, "job") as checkpoints:
        checkpoints.open("a")
        assert checkpoints.find(0, (5, *SHAPE[1:])) is None


def test_a_segment_that_was_cut_off_leaves_nothing(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, "job") as checkpoints:
        checkpoints.open("a")
        with suppress(KeyError), checkpoints.writing(0) as file:
            file.append(FRAMES)
            raise KeyError
    assert names(tmp_path / "job.story") == []


def test_a_disk_that_cannot_be_written_costs_the_segment_alone(tmp_path: Path) -> None:
    (tmp_path / "job.story").write_text("a file in the folder's place")
    write(tmp_path)
    assert read(tmp_path) is None


def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_is_made_again(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "job.story" / "0000.segment"
    with Checkpoints(tmp_path, "job") as checkpoints:
        checkpoints.open("a")
        frames = checkpoints.find(0, SHAPE)
        assert frames is not None
        os.truncate(path, 10)
        with pytest.raises(EncodeError, match="Cannot read"):
            list(frames)
    assert not path.exists()


def test_they_count_and_go_with_what_else_is_kept_of_a_job(tmp_path: Path) -> None:
    write(tmp_path)
    assert kept_bytes(tmp_path, "job") == checkpoint_bytes(tmp_path / "job.story") == FRAMES.nbytes + 32
    remove_kept(tmp_path, "job")
    assert names(tmp_path) == []
    remove_kept(tmp_path, "job")


def test_old_ones_are_swept_but_not_while_their_story_is_being_made(tmp_path: Path) -> None:
    write(tmp_path)
    folder = tmp_path / "job.story"
    old = folder.stat().st_mtime - (KEEP_DAYS + 1) * 86400
    sweep(tmp_path)
    assert folder.exists()
    os.utime(folder, (old, old))
    with Checkpoints(tmp_path, "job") as checkpoints:
        checkpoints.open("a")
        assert is_being_made(folder)
        sweep(tmp_path)
        assert folder.exists()
    assert not is_being_made(folder)
    sweep(tmp_path)
    assert names(tmp_path) == []
