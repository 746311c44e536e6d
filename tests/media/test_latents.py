"""i2v.media.latents: what is kept comes back whole, for its own clip alone, and never fails a job."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from i2v.media.latents import KeptLatents
from i2v.media.unpublished import kept_bytes, remove_kept, sweep
from tests.clips import names
from tests.disks import small_disk

CONTENT = b"latents" * 1000


def test_the_last_content_comes_back_and_only_for_its_own_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = KeptLatents(tmp_path / "unpublished", "job", 30)
    assert kept.of("a").read() is None
    for content in (b"", CONTENT):
        kept.of("a").write(content)
        assert kept.of("a").read() == content
    assert caplog.records == []
    assert kept.of("b").read() is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert names(tmp_path / "unpublished") == ["job.latents"]
    assert kept.path.stat().st_mode & 0o077 == 0


def test_it_goes_with_all_else_that_is_kept_of_a_job(tmp_path: Path) -> None:
    kept = KeptLatents(tmp_path, "job", 30)
    kept.write(CONTENT)
    sweep(tmp_path)
    assert kept_bytes(tmp_path, "job") == len(CONTENT) + 32
    remove_kept(tmp_path, "job")
    assert names(tmp_path) == []


def test_a_disk_that_cannot_be_written_is_said_once_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("i2v.media.latents.SPARE_BYTES", 0)
    with small_disk(tmp_path / "disk") as disk:
        kept = KeptLatents(disk, "job", 30)
        kept.write(CONTENT)
        for _ in range(2):
            kept.write(bytes(2**20))
        assert [record.message for record in caplog.records] == [
            f"latents cannot be kept in {disk}: No space left on device"
        ]
        assert kept.read() == CONTENT
        assert names(disk) == ["job.latents"]


def test_room_is_left_for_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.media.latents.SPARE_BYTES", 2**60)
    KeptLatents(tmp_path, "job", 30).write(CONTENT)
    assert names(tmp_path) == []
