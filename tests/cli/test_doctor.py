"""`i2v doctor` as a person runs it. An nvidia-smi of ours stands in for the real one: no card was at hand."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from i2v.cli.doctor import HEADINGS
from i2v.cli.main import main
from i2v.core.messages import catalogue
from tests.cli.running import run, run_here

CASES = [
    "out_of_memory",
    "no_response",
    "stiff_motion",
    "black_output",
    "page_unreachable",
    "slow",
    "several_runs",
    "set_up",
]


@pytest.fixture
def environment(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A machine without a card, whatever this one has."""
    return environment | with_nvidia_smi(tmp_path, "exit 0")


def with_nvidia_smi(folder: Path, script: str) -> dict[str, str]:
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "nvidia-smi").chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}"}


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    """Return what `--json` told, by code."""
    (line,) = done.stdout.splitlines()
    return {finding["code"]: finding for finding in json.loads(line)["findings"]}


def test_a_sound_machine_has_no_problem_and_torch_is_not_loaded(
    environment: dict[str, str], free_port: int
) -> None:
    code = (
        "import sys; from i2v.cli.main import main; code = main(sys.argv[1:]); print('torch' in sys.modules)"
    )
    arguments = ["doctor", "--json", "--port", str(free_port)]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(code)", *arguments],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    message, torch_loaded = done.stdout.splitlines()
    assert done.returncode == 0, message
    assert torch_loaded == "False"
    found = json.loads(message)["findings"]
    assert list(dict.fromkeys(finding["case"] for finding in found)) == CASES
    for finding in found:
        assert finding.keys() == {"case", "status", "code", "params", "message", "fix"}
        assert finding["code"] in catalogue()
        assert finding["status"] in ("ok", "info", "warning")
    codes = {finding["code"] for finding in found}
    assert {"doctor.memory", "doctor.weights_ok", "doctor.reading", "doctor.ffmpeg_ok"} <= codes
    assert {"doctor.port_free", "doctor.no_card", "doctor.packages_ok", "doctor.output_ok"} <= codes


def test_what_is_broken_is_a_problem_and_the_exit_code_says_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment["IMAGEIO_FFMPEG_EXE"] = str(tmp_path / "no-ffmpeg")
    environment["I2V_OUTPUT__DIRECTORY"] = "/proc"
    environment["I2V_MODELS__DIRECTORY"] = str(tmp_path)
    (tmp_path / "i2vgen-xl").mkdir()
    (tmp_path / "i2vgen-xl" / "model_index.json").touch()
    environment |= with_nvidia_smi(tmp_path, "echo NVIDIA-SMI has failed.; exit 9")
    with socket.create_server(("", 0)) as server:
        done = run(environment, "doctor", "--json", "--port", str(server.getsockname()[1]))
    assert done.returncode == 1, done.stderr
    found = findings(done)
    problems = {code for code, finding in found.items() if finding["status"] == "problem"}
    assert problems == {
        "doctor.ffmpeg_broken",
        "output.not_writable",
        "weights.missing_file",
        "doctor.card_silent",
        "doctor.port_taken",
    }
    assert found["doctor.port_taken"]["params"]["pid"] == os.getpid()  # type: ignore[index]
    assert "NVIDIA-SMI has failed" in str(found["doctor.card_silent"]["message"])


@pytest.mark.slow
def test_a_card_with_an_old_driver_and_little_memory_is_judged_by_the_torch_that_is_installed(
    environment: dict[str, str], tmp_path: Path, free_port: int
) -> None:
    # a torch of which only its own words about its build are there, before the real one
    package = tmp_path / "packages"
    for folder in ("torch", "torch-2.13.0.dist-info"):
        (package / folder).mkdir(parents=True)
    (package / "torch-2.13.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 2.13.0\n")
    version = package / "torch" / "version.py"
    version.write_text("__version__ = '2.13.0+cu130'\ncuda = '13.0'\nhip = None\n")
    environment["PYTHONPATH"] = str(package)
    environment["I2V_ENGINE__NAME"] = "i2vgen-xl"

    def smi(driver: str) -> dict[str, str]:
        card = f"echo RTX 3060, {driver}, 12288, 11000"
        return with_nvidia_smi(tmp_path, f'case "$1" in *gpu=name*) {card};; esac')

    old = findings(run(environment | smi("560.35.03"), "doctor", "--json", "--port", str(free_port)))
    assert old["doctor.driver_old"]["status"] == "problem"
    assert old["weights.missing_folder"]["status"] == "problem"
    new = findings(run(environment | smi("580.65.06"), "doctor", "--json", "--port", str(free_port)))
    assert "doctor.driver_old" not in new
    assert new["doctor.card_ok"]["status"] == "ok"
    assert new["doctor.card_memory"]["status"] == "warning"


def test_plain_output_has_a_line_for_each_finding_and_its_fix_below(
    environment: dict[str, str], tmp_path: Path, free_port: int
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("output: {prefx: clip_}")
    done = run_here(environment, "doctor", "--config", config, "--port", str(free_port))
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [HEADINGS[case] for case in CASES]
    assert f"  problem  {config}: unknown setting 'output.prefx'. Did you mean 'output.prefix'?" in lines
    assert f"  info     {catalogue()['doctor.not_checked'].message}" in lines
    motion = lines.index("Stiff motion")
    assert lines[motion + 1 : motion + 3] == [
        f"  info     {catalogue()['doctor.motion'].message}",
        f"    fix: {catalogue()['doctor.motion_fix'].message}",
    ]


def test_a_missing_package_is_a_problem_and_no_crash(environment: dict[str, str], tmp_path: Path) -> None:
    # stands for an environment in which the package was never installed
    (tmp_path / "psutil.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'psutil'\", name='psutil')"
    )
    done = run(environment | {"PYTHONPATH": str(tmp_path)}, "doctor")
    assert done.returncode == 1
    assert "problem  Package psutil is not installed. Run bash scripts/setup.sh." in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_that_cannot_be_is_bad_input(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--port", port]) == 2
    assert capsys.readouterr().err == f"i2v: --port must be a whole number from 1 to 65535 (got {port}).\n"
