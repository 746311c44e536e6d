"""media.video.proof: an ffmpeg that cannot make the videos is found out before any work, by what it lacks."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest

from i2v.core.errors import EncodeError
from i2v.media.outputs import OutputName
from i2v.media.video import check_ffmpeg, prove_ffmpeg
from tests.clips import WHEN, names, write
from tests.disks import fill, small_disk

REAL = imageio_ffmpeg.get_ffmpeg_exe()
Install = Callable[[str], Path]

# What such an ffmpeg says and does, for an option or a codec that it does not know.
WITHOUT_X264 = "case \" $* \" in *' libx264 '*) echo \"Unknown encoder 'libx264'\" >&2; exit 8;; esac"
OLD = (
    "[ \"$1\" = -version ] && { echo 'ffmpeg version 4.2.2-static Copyright'; exit; }\n"
    "case \" $* \" in *' -fps_mode '*) echo \"Unrecognized option 'fps_mode'.\" >&2; exit 1;; esac"
)
WITHOUT_AAC = "case \" $* \" in *' aac '*) echo \"Unknown encoder 'aac'\" >&2; exit 8;; esac"
UNTAGGED = "case \" $* \" in *' ffmetadata - '*) echo ';FFMETADATA1'; exit;; esac"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a script in ffmpeg's place: it does what it is given, and then what the real one does."""

    def put(script: str) -> Path:
        tool = tmp_path / "bin" / "ffmpeg"
        tool.parent.mkdir(exist_ok=True)
        lines = ["#!/bin/sh", f'echo "$*" >> {tmp_path}/runs', script, f'exec {REAL} "$@"', ""]
        tool.with_suffix(".new").write_text("\n".join(lines))
        tool.with_suffix(".new").chmod(0o755)
        tool.with_suffix(".new").replace(tool)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tool))
        return tool

    return put


def code_of(error: pytest.ExceptionInfo[EncodeError]) -> str:
    return error.value.code


@pytest.mark.parametrize(
    ("script", "code", "version"),
    [
        (WITHOUT_X264, "encode.no_libx264", None),
        (OLD, "encode.old_ffmpeg", "4.2.2-static"),
        (UNTAGGED, "encode.unfit_ffmpeg", None),
        ("exit 1", "encode.unfit_ffmpeg", "unknown"),
        ("kill -9 $$", "encode.unfit_ffmpeg", "unknown"),
    ],
    ids=["no libx264", "old", "tags lost", "fails", "killed"],
)
def test_what_is_missing_is_named_with_the_program_and_its_version(
    install: Install, script: str, code: str, version: str | None
) -> None:
    tool = install(script)
    with pytest.raises(EncodeError) as caught:
        check_ffmpeg()
    assert code_of(caught) == code
    assert caught.value.params["path"] == str(tool)
    real = subprocess.run([REAL, "-version"], capture_output=True, text=True, check=True).stdout
    assert caught.value.params["version"] == (version or real.split()[2])


def test_an_ffmpeg_without_aac_makes_clips_without_sound(install: Install) -> None:
    tool = install(WITHOUT_AAC)
    check_ffmpeg()
    with pytest.raises(EncodeError) as caught:
        check_ffmpeg(with_sound=True)
    assert (code_of(caught), caught.value.params["path"]) == ("encode.no_aac", str(tool))
    install("")
    check_ffmpeg(with_sound=True)


def test_a_program_is_tried_once_and_again_when_it_was_replaced(install: Install, tmp_path: Path) -> None:
    install("")
    check_ffmpeg()
    runs = (tmp_path / "runs").read_text().count("\n")
    check_ffmpeg()
    assert (tmp_path / "runs").read_text().count("\n") == runs
    install(WITHOUT_X264)
    for _ in range(2):  # a failure is not remembered
        with pytest.raises(EncodeError) as caught:
            check_ffmpeg()
        assert code_of(caught) == "encode.no_libx264"
    install("")
    check_ffmpeg()


def test_a_program_that_hangs_is_ended(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.media.video.proof.SECONDS", 0.5)
    install("exec sleep 600")
    with pytest.raises(EncodeError, match=r"within 0\.5 s") as caught:
        check_ffmpeg()
    assert code_of(caught) == "encode.unfit_ffmpeg"


def test_what_cannot_be_run_is_named(install: Install, tmp_path: Path) -> None:
    tool = install("")
    tool.write_bytes(b"\x7fELF and no more")
    with pytest.raises(EncodeError, match="Exec format error") as caught:
        check_ffmpeg()
    assert code_of(caught) == "encode.no_ffmpeg"
    assert str(tool) in str(caught.value.params["reason"])
    tool.unlink()
    with pytest.raises(EncodeError) as caught:
        check_ffmpeg()
    assert code_of(caught) == "encode.no_ffmpeg"


def test_a_machine_that_could_start_nothing_for_a_moment_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    """imageio-ffmpeg remembers what it found, that there was nothing too."""
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)
    imageio_ffmpeg._utils._get_ffmpeg_exe.cache_clear()
    with monkeypatch.context() as busy:
        busy.setattr("imageio_ffmpeg._utils._is_valid_exe", lambda path: False)
        with pytest.raises(EncodeError) as caught:
            check_ffmpeg()
        assert code_of(caught) == "encode.no_ffmpeg"
    check_ffmpeg()


def test_neither_the_proof_nor_a_video_needs_room_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "small") as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk))
        monkeypatch.setenv("TMPDIR", str(disk))
        fill(disk)
        prove_ffmpeg()
        write(OutputName(tmp_path / "videos", WHEN))
    assert names(tmp_path / "videos") == ["video_20250405_142310.mp4"]
