"""`i2v info` on a clip of ours, on somebody else's, and on what is no video."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer
from tests.cli.running import FRAMES, command, generate_here, run_here
from tests.clips import SIZE, make_frames, make_sound, write

PROMPT = '镜头向左移动, slowly = "no"; #1 ' + "and on " * 150


@pytest.fixture
def clip(environment: dict[str, str], picture: Path, tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    done = generate_here(environment, picture, "--seed", "3", "--output", path, prompt=PROMPT)
    assert done.returncode == 0, done.stderr
    return path


def test_everything_that_was_run_is_reported(environment: dict[str, str], clip: Path) -> None:
    done = run_here(environment, "info", clip)
    assert done.returncode == 0, done.stderr
    for words in (
        PROMPT,
        "seed: 3",
        "engine: embedded",
        "weights_sha256: ",
        "torch: ",
        '"Label": "1"',
        "8 fps",
    ):
        assert words in done.stdout
    answer = json.loads(run_here(environment, "info", clip, "--json").stdout)
    assert answer["provenance"]["generation"]["prompt"] == PROMPT
    assert (answer["video"]["num_frames"], answer["video"]["path"]) == (FRAMES, str(clip))
    assert json.loads(answer["label"])["ContentProducer"] == "i2v"


def test_a_video_of_somebody_else_is_described_without_a_history(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path = write(OutputFile(tmp_path / "foreign.mp4")).path
    done = run_here(environment, "info", path)
    assert done.returncode == 0
    assert "5 frames of 64 x 48" in done.stdout
    assert "has no generation settings in it" in done.stdout
    answer = json.loads(run_here(environment, "info", path, "--json").stdout)
    assert answer["provenance"] is answer["label"] is None


def test_the_sound_of_a_video_is_described(environment: dict[str, str], tmp_path: Path) -> None:
    path = write(OutputFile(tmp_path / "loud.mp4"), sound=make_sound(1, 48_000, 2)).path
    assert "h264 yuv420p, sound aac 48000 Hz stereo" in run_here(environment, "info", path).stdout
    answer = json.loads(run_here(environment, "info", path, "--json").stdout)
    assert (answer["video"]["sound"]["codec"], answer["video"]["sound"]["channel_layout"]) == (
        "aac",
        "stereo",
    )


def test_what_is_no_video_is_an_error(environment: dict[str, str], picture: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    for path in (tmp_path / "text.mp4", tmp_path / "none.mp4", tmp_path):
        done = run_here(environment, "info", path)
        assert done.returncode == 2
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr
    assert "it is a folder" in done.stderr


def test_a_file_cannot_write_to_the_terminal_what_it_likes(
    environment: dict[str, str], tmp_path: Path
) -> None:
    tags = {"AIGC": "\x1b[2J cleared", "i2v": "\x1b]0;title"}
    with Mp4Writer(OutputFile(tmp_path / "a.mp4"), fps=8, size=SIZE, tags=tags) as writer:
        writer.append(make_frames(2))
        writer.finish()
    done = run_here(environment, "info", tmp_path / "a.mp4")
    assert done.returncode == 0, done.stderr
    assert "2 frames of 64 x 48" in done.stdout
    assert "The generation settings in " in done.stdout
    assert "\x1b" not in done.stdout


def test_a_reader_that_is_gone_is_no_crash(environment: dict[str, str], tmp_path: Path) -> None:
    path = write(OutputFile(tmp_path / "a.mp4")).path
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        command("info", path), env=environment, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, "")
