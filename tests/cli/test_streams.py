"""i2v.cli.streams: closed, full and abandoned streams cost nobody their work, and are no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from i2v.core.settings_sources import ROOT
from i2v.media.video import probe
from tests.cli.running import PROMPT, command
from tests.launcher.conftest import free_port
from tests.rehearsal import write_model
from tests.servers import environment_in
from tests.web.house import wait_for

PLAN = ("plan", "--vram", "8", "--json")
MISSING = ("info", "missing.mp4")


# The command with the rehearsal engine, which needs no torch.
REHEARSED = """
import sys
from i2v.__main__ import run
from i2v.engines.registry import engines
from tests.rehearsal import REHEARSAL
engines()[REHEARSAL.name] = REHEARSAL
sys.exit(run())
"""


def redirected(
    environment: dict[str, str], redirection: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    return redirected_program(environment, redirection, command(*arguments))


def redirected_program(
    environment: dict[str, str], redirection: str, program: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run the program as a shell does that redirects its streams."""
    script = f'exec "$@" {redirection}' if "|" not in redirection else f'set -o pipefail; "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *program],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


LOST = "i2v: Cannot write the result to standard output: "
FIX = "Redirect it to a file that can be written, then run the command again."


@pytest.mark.parametrize("arguments", [("generate", "--help"), PLAN], ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        (">/dev/full", "No space left on device"),
        pytest.param(">&-", "it is closed", marks=pytest.mark.slow),
    ],
)
def test_a_result_that_cannot_be_written_is_a_failure_that_is_said(
    environment: dict[str, str], redirection: str, reason: str, arguments: tuple[str, ...]
) -> None:
    done = redirected(environment, redirection, *arguments)
    assert (done.returncode, done.stderr) == (1, f"{LOST}{reason}. {FIX}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("models",), ("models", "--json"), ("doctor", "--json"), ("bench", "--help")],
    ids=" ".join,
)
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_so_it_is_for_every_command(
    environment: dict[str, str], redirection: str, arguments: tuple[str, ...]
) -> None:
    done = redirected(environment, redirection, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(LOST)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=pytest.mark.slow)])
def test_messages_that_nobody_gets_change_neither_result_nor_exit_code(
    environment: dict[str, str], redirection: str
) -> None:
    done = redirected(environment, redirection, *PLAN)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["presets"]
    failed = redirected(environment, redirection, *MISSING)
    assert (failed.returncode, failed.stdout, failed.stderr) == (2, "", "")


@pytest.mark.parametrize(
    "redirection", ["0<&- >&- 2>&-", pytest.param(">/dev/full 2>/dev/full", marks=pytest.mark.slow)]
)
def test_the_exit_code_is_left_where_nothing_can_be_said(
    environment: dict[str, str], redirection: str
) -> None:
    assert redirected(environment, redirection, *PLAN).returncode == 1
    assert redirected(environment, redirection, *MISSING).returncode == 2


@pytest.mark.parametrize("arguments", [("--help",), PLAN], ids=" ".join)
def test_a_reader_that_has_gone_away_is_not_spoken_to(
    environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command(*arguments), env=environment, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_letters_that_the_encoding_lacks_are_escaped(environment: dict[str, str], unbuffered: str) -> None:
    environment |= {"PYTHONIOENCODING": "ascii", "PYTHONUNBUFFERED": unbuffered, "PYTHONUTF8": "0"}
    script = "from i2v.cli.streams import open_streams; open_streams(); print('照片')"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"\\u7167\\u7247\n")


def test_no_file_gets_the_number_of_a_closed_stream(environment: dict[str, str]) -> None:
    """What a library or ffmpeg says would be written into it."""
    script = (
        "import os, sys; from i2v.cli.streams import open_streams; open_streams();"
        "sys.exit(os.open(os.devnull, os.O_RDONLY))"
    )
    closed = ["bash", "-c", 'exec "$@" 0<&- >&- 2>&-', "bash", sys.executable, "-c", script]
    assert subprocess.run(closed, env=environment, timeout=60, check=False).returncode > 2


# --- work that is done


@pytest.mark.parametrize(
    ("redirection", "more", "code"),
    [
        (">/dev/full", ("--json",), 1),
        pytest.param("2>/dev/full", (), 0, marks=pytest.mark.slow),
        pytest.param(">&-", (), 1, marks=pytest.mark.slow),
        pytest.param("| head -0", (), 1, marks=pytest.mark.slow),
        pytest.param(">&- 2>&-", (), 1, marks=pytest.mark.slow),
    ],
)
def test_a_video_is_kept_and_its_path_said_where_that_is_possible(
    environment: dict[str, str],
    picture: Path,
    outputs: Path,
    tmp_path: Path,
    redirection: str,
    more: tuple[str, ...],
    code: int,
) -> None:
    write_model(tmp_path)
    environment |= {"I2V_MODELS__DIRECTORY": str(tmp_path / "models"), "I2V_ENGINE__DEVICE": "cpu"}
    short = ["generate", str(picture), "--prompt", PROMPT, "--engine", "rehearsal", *more]
    done = redirected_program(environment, redirection, [sys.executable, "-c", REHEARSED, *short])
    assert done.returncode == code
    (path,) = outputs.iterdir()
    assert probe(path).num_frames == 4
    assert "Traceback" not in done.stderr
    if "2>" not in redirection:
        assert f"i2v: The video was saved to {path}." in done.stderr.splitlines()


@pytest.mark.slow
def test_a_server_answers_and_ends_in_order_without_streams(tmp_path: Path) -> None:
    port = free_port()
    script = 'exec "$@" 0<&- >/dev/full 2>&-'
    with subprocess.Popen(
        ["bash", "-c", script, "bash", *command("serve", "--port", str(port))], env=environment_in(tmp_path)
    ) as server:
        try:
            wait_for(lambda: server.poll() is not None or is_healthy(port), 60)
            assert server.poll() is None
        finally:
            server.terminate()
    assert server.returncode == 0


def is_healthy(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=30).ok
    except requests.ConnectionError:
        return False
