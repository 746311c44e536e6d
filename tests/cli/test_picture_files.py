"""i2v.cli.picture_files: bytes, or a sentence about the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.cli.picture_files import read_picture
from i2v.core.errors import InvalidRequest


def test_a_picture_is_read_to_one_byte_over_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10)
    assert read_picture(tmp_path / "a", 20) == b"x" * 10
    assert read_picture(tmp_path / "a", 4) == b"x" * 5


def test_what_is_no_picture_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isomiso2")
    for name, code in (("gone", "image.missing"), (".", "image.is_folder"), ("clip", "image.is_video")):
        with pytest.raises(InvalidRequest) as caught:
            read_picture(tmp_path / name, 100)
        assert caught.value.code == code
