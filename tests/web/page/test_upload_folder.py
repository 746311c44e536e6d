"""`i2v.web.page.upload_folder`: what goes by age, what by size, and what stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import i2v.web.page.upload_folder
from i2v.core.errors import I2VError
from i2v.web.page.upload_folder import FRESH_SECONDS, KEPT_SECONDS, LEFT_SECONDS, UploadFolder


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2v.web.page.upload_folder, "LOOK_SECONDS", -1.0)


def put(path: Path, age: float, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_old_uploads_and_broken_ones_go_and_others_stay(tmp_path: Path) -> None:
    old = put(tmp_path / "a" / "old.png", KEPT_SECONDS + 60)
    young = put(tmp_path / "b" / "young.png", KEPT_SECONDS - 60)
    broken = put(tmp_path / "tmpbroken", LEFT_SECONDS + 10)
    arriving = put(tmp_path / "tmparriving", LEFT_SECONDS - 60)
    UploadFolder(tmp_path, 1e9).make_room()
    assert not old.parent.exists()
    assert not broken.exists()
    assert young.exists()
    assert arriving.exists()


def test_what_a_slow_upload_has_brought_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its files waits until the last has arrived."""
    uploads = UploadFolder(tmp_path, 10_000)
    with uploads.receiving():
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 2000)
        first = put(tmp_path / "tmpfirst", 1990)
        others = put(tmp_path / "tmpothers", 3000)  # was left before
        finished = [put(tmp_path / str(number) / "x.png", 700) for number in range(10)]
        uploads.make_room()
    assert first.exists()
    assert not others.exists()
    assert not finished[0].exists()
    UploadFolder(tmp_path, 10_000).make_room()
    assert not first.exists()


def test_where_much_came_the_oldest_go_first(tmp_path: Path) -> None:
    files = [put(tmp_path / str(number) / "x.png", FRESH_SECONDS + 100 - number) for number in range(10)]
    UploadFolder(tmp_path, 10_001).make_room()
    assert [path.exists() for path in files] == [True] * 10
    put(tmp_path / "new" / "x.png", 0)
    UploadFolder(tmp_path, 10_001).make_room()
    assert [path.exists() for path in files] == [False] * 6 + [True] * 4


def test_where_all_is_fresh_no_more_is_let_in(tmp_path: Path) -> None:
    files = [put(tmp_path / str(number) / "x.png", number) for number in range(12)]
    with pytest.raises(I2VError) as caught:
        UploadFolder(tmp_path, 10_000).make_room()
    assert caught.value.code == "page.uploads_full"
    assert all(path.exists() for path in files)


def test_the_folder_is_looked_at_now_and_then_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2v.web.page.upload_folder, "LOOK_SECONDS", 1000.0)
    uploads = UploadFolder(tmp_path, 1e9)
    uploads.make_room()
    old = put(tmp_path / "a" / "old.png", KEPT_SECONDS + 60)
    uploads.make_room()
    assert old.exists()


def test_a_folder_that_is_gone_is_empty(tmp_path: Path) -> None:
    UploadFolder(tmp_path / "gone", 1e9).make_room()
