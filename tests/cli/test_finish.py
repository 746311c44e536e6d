"""`i2v finish`: what `i2v generate` kept becomes the video that it would have been."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import imageio_ffmpeg
import pytest

from i2v.media.provenance import KEY
from i2v.media.video import probe, read_tags
from tests.cli.running import FRAMES, generate_here, run_here


@pytest.fixture
def failing(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """ffmpeg passes its proof and dies of every real clip."""
    tool = tmp_path / "ffmpeg"
    dies = "case \" $* \" in *' 64x64 '*) ;; *-video_size*) kill -9 $$;; esac"
    tool.write_text(f'#!/bin/sh\n{dies}\nexec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"\n')
    tool.chmod(0o755)
    return environment | {"IMAGEIO_FFMPEG_EXE": str(tool), "I2V_DATA_DIR": str(tmp_path / "da ta")}


def test_a_video_that_could_not_be_written_is_finished_without_computing_it_again(
    environment: dict[str, str], failing: dict[str, str], picture: Path, outputs: Path, tmp_path: Path
) -> None:
    done = generate_here(failing, picture, "--seed", "3")
    assert done.returncode == 1
    assert list(outputs.iterdir()) == []
    (line,) = [line for line in done.stderr.splitlines() if "i2v finish" in line]
    command = shlex.split(line.partition("To write the video: i2v ")[2])
    assert Path(command[1]).parent == tmp_path / "da ta" / "unpublished"
    finished = run_here(environment, *command, "--output", tmp_path / "a.mp4", "--json")
    assert finished.returncode == 0, finished.stderr
    reported = json.loads(finished.stdout)
    assert (reported["path"], reported["seed"]) == (str(tmp_path / "a.mp4"), 3)
    assert "unpublished.published" in [notice["code"] for notice in reported["notices"]]
    assert not Path(command[1]).exists()
    plain = generate_here(environment, picture, "--seed", "3", "--output", tmp_path / "b.mp4")
    assert plain.returncode == 0, plain.stderr
    assert probe(tmp_path / "a.mp4").num_frames == FRAMES
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert KEY in read_tags(tmp_path / "a.mp4")


def test_a_file_without_frames_is_named(environment: dict[str, str], picture: Path) -> None:
    for path in (picture, picture.with_name("none")):
        done = run_here(environment, "finish", path)
        assert (done.returncode, path.name in done.stderr) == (2, True)


def test_nothing_is_left_in_the_data_folder_of_a_video_that_was_made(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    done = generate_here(environment | {"I2V_DATA_DIR": str(tmp_path / "data")}, picture)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "data" / "unpublished").iterdir()) == []
