"""i2v.host.token_file: a token is made once, for its owner alone, and what is no token opens nothing."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.setting_values import check_token
from i2v.host.token_file import read_or_make


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_token_is_made_for_its_owner_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        token, is_new = read_or_make(tmp_path / "token")
    finally:
        os.umask(before)
    assert is_new
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    check_token(token)
    assert len(token) >= 43  # 256 bits


def test_the_next_start_finds_the_same_token(tmp_path: Path) -> None:
    token, _ = read_or_make(tmp_path / "token")
    assert read_or_make(tmp_path / "token") == (token, False)
    assert read_or_make(tmp_path / "another")[0] != token


def test_a_token_written_by_hand_is_taken(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\ncorrect-horse-battery-staple \n")
    (tmp_path / "token").chmod(0o400)
    assert read_or_make(tmp_path / "token") == ("correct-horse-battery-staple", False)


@pytest.mark.parametrize("content", ["", "\n", "short", "two words in sixteen", "токен" * 9, "\0" * 40])
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(I2VError, match="16 to 200 printable") as caught:
        read_or_make(path)
    assert caught.value.params["path"] == str(path)
    assert not content.strip() or content not in caught.value.message


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    token, _ = read_or_make(path)
    path.chmod(mode)
    with pytest.raises(I2VError, match="chmod 600") as caught:
        read_or_make(path)
    assert f"{mode:04o}" in caught.value.message
    assert token not in caught.value.message


def test_a_place_where_no_file_can_be_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "absent" / "token"):
        with pytest.raises(I2VError) as caught:
            read_or_make(path)
        assert caught.value.code == "server.token_file"


def test_a_disk_that_takes_no_byte_is_reported_and_leaves_no_half_token(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(I2VError, match="too large"):
            read_or_make(tmp_path / "token")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "token").exists()
