"""What the terminal shows of a clip, of real runs: the bar on a terminal, the result as a path or as JSON."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from i2v.media.video import probe
from tests.cli.running import PROMPT, command, generate_here, read_terminal


def test_json_is_one_line_with_everything_that_was_run(environment: dict[str, str], picture: Path) -> None:
    environment = environment | {"I2V_OUTPUT__UPSCALER": "lanczos"}  # the others have to be installed
    done = generate_here(
        environment, picture, "--json", "--seed", "-1", "--resolution", "256p", prompt="镜头向左移动"
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    reported = json.loads(line)
    assert {"path", "seed", "width", "height", "generated_width", "generated_height"} <= reported.keys()
    assert {"num_frames", "fps", "target_fps", "engine", "seconds", "notices"} <= reported.keys()
    assert reported["engine"] == "embedded"
    assert reported["seed"] >= 0
    assert {"load", "picture", "condition", "denoise", "decode", "encode"} == reported["seconds"].keys()
    assert "request.scaled_up" in [notice["code"] for notice in reported["notices"]]
    assert all({"code", "params", "message"} == notice.keys() for notice in reported["notices"])
    info = probe(Path(reported["path"]))
    assert (info.width, info.height) == (reported["width"], reported["height"])


@pytest.mark.slow
def test_a_terminal_shows_a_bar_with_the_time_left(environment: dict[str, str], picture: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = command("generate", picture, "--prompt", PROMPT, "--num-inference-steps", "3")
    child = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = read_terminal(ours, until=b"nobody says this")
    os.close(ours)
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert re.search(rb"denoising \[#{10}-{20}\] 1/3, \d+ s left", shown)
    assert b"3/3, 0 s left" in shown
