"""`i2v bench`: the run and its file. The engine is rehearsed; the slow test takes the embedded model."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from i2v.bench.apart import Failure, MeasureFailed
from i2v.bench.checks import Measure
from i2v.bench.trials import Trial
from i2v.cli.main import main
from i2v.core.engine_spec import Preset
from i2v.engines.registry import engines
from tests.cli.running import command
from tests.rehearsal import REHEARSAL, find_workers, write_model

SMALL = Preset(area_side=64, num_frames=4, num_inference_steps=4, fps=8, guidance_scale=1.0)
PRESETS = ["quick", "standard", "high", "extreme"]


@pytest.fixture(autouse=True)
def rehearsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have the rehearsal engine measured, in this process: other processes take seconds to start."""
    write_model(tmp_path)
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "models"))
    monkeypatch.setenv("I2V_ENGINE__DEVICE", "cpu")
    monkeypatch.setattr("i2v.bench.run.choose_engine", lambda *_: REHEARSAL)
    monkeypatch.setitem(engines(), REHEARSAL.name, REHEARSAL)
    monkeypatch.setattr("i2v.pipeline.plan.load_presets", lambda: dict.fromkeys(PRESETS, SMALL))
    measured_by(monkeypatch, lambda measure, task, tell: measure(task, tell))
    monkeypatch.chdir(tmp_path)


def measured_by(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[Measure, Trial, Callable[[float], None]], object]
) -> None:
    def run_here(
        measure: Measure, task: Trial, folder: Path, hear: Callable[[float], None], patience: float
    ) -> object:
        return answer(measure, task, hear)

    monkeypatch.setattr("i2v.bench.run.run_apart", run_here)


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def test_a_bench_is_a_table_and_a_file_that_says_what_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--only", "cancel,presets", "--kernels", "off"]) == 0
    heading, *lines, last = capsys.readouterr().out.splitlines()
    assert heading.startswith("rehearsal on CPU; i2v ")
    assert [line.split()[:3] for line in lines] == [
        *(["presets", name, "ok"] for name in PRESETS),
        ["cancel", "cancel", "ok"],
    ]
    assert "64 x 64 x 4, 4 steps; " in lines[0]
    assert last.startswith("Report: bench.json. ")
    reported = read(tmp_path / "bench.json")
    assert (reported["schema"], reported["complete"], reported["quick"]) == (1, True, False)
    assert reported["only"] == ["presets", "cancel"]
    assert reported["device"]["type"] == "cpu"
    plan = reported["rows"][0]["figures"]["plan"]
    assert (plan["kernels"], plan["cuda_graph"]) == ("off", "auto")
    assert reported["versions"]["torch"]
    assert reported["engine"]["name"] == "rehearsal"
    assert [row["name"] for row in reported["rows"]] == [*PRESETS, "cancel"]
    assert str(tmp_path) not in (tmp_path / "bench.json").read_text()


def test_a_failing_check_is_a_row_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(measure: Measure, task: Trial, tell: Callable[[float], None]) -> object:
        if measure.__name__ == "make_video":
            raise MeasureFailed(Failure("RuntimeError", f"CUDA error in {tmp_path}/models/unet/x"))
        return measure(task, tell)

    measured_by(monkeypatch, answer)
    assert main(["bench", "--only", "presets,cancel", "--json", "card.json"]) == 1
    assert "presets  quick           failed  RuntimeError: CUDA error" in capsys.readouterr().out
    reported = read(tmp_path / "card.json")
    assert [row["status"] for row in reported["rows"]] == ["failed"] * 4 + ["ok"]
    assert reported["rows"][0]["message"].endswith("CUDA error in .../x")
    assert reported["complete"]


def test_an_interrupted_bench_keeps_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(measure: Measure, task: Trial, tell: Callable[[float], None]) -> object:
        if measure.__name__ == "stop_clips":
            raise KeyboardInterrupt
        return measure(task, tell)

    measured_by(monkeypatch, answer)
    assert main(["bench", "--only", "presets,cancel"]) == 130
    assert "The results so far are in bench.json." in capsys.readouterr().err
    reported = read(tmp_path / "bench.json")
    assert not reported["complete"]
    assert [row["name"] for row in reported["rows"]] == PRESETS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--only", "nam"],
            "--only must be one of stock, presets, nan, cancel, memory (got nam)",
        ),
        (["--only", ","], "--only"),
        (["--json", "nowhere/bench.json"], "Cannot write nowhere/bench.json: No such file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_measured(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.slow
def test_every_check_of_the_embedded_model_passes_here(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    arguments = command("bench", "--quick", "--engine", "embedded", "--json", path)
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    reported = read(path)
    assert reported["complete"]
    assert {row["check"] for row in reported["rows"]} == {"stock", "presets", "nan", "cancel", "memory"}
    assert {row["status"] for row in reported["rows"]} == {"ok"}
    by_name = {row["name"]: row["figures"] for row in reported["rows"]}
    assert by_name["frames"]["max_difference"] <= 1
    assert by_name["ladder"]["stepped_down"]
    assert by_name["ladder"]["frames_apart"]["max_difference"] <= 1
    assert by_name["standard"]["stages"][1]["bytes"] > 2**26


@pytest.mark.slow
def test_ctrl_c_ends_the_measurement_too(environment: dict[str, str], tmp_path: Path) -> None:
    arguments = command("bench", "--only", "presets", "--engine", "embedded", "--json", tmp_path / "b.json")
    child = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    deadline = time.monotonic() + 60
    while not (measuring := find_workers(child.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert measuring
    child.send_signal(signal.SIGINT)
    with child.stdout:
        assert child.wait(60) == 130
    assert not any(process.is_running() for process in measuring)
    assert not list(tmp_path.glob("*b.json*"))
