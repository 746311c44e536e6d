"""`i2v plan`: a line for each preset, here or on a card that is named by its memory."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from i2v.cli.main import main
from i2v.core.settings_sources import load_settings
from i2v.engines.registry import engines
from i2v.jobs.store import JobStore
from tests.contrary import CONTRARY
from tests.job_crew import result_of
from tests.rehearsal import submit


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("I2V_ENGINE__DEVICE", "cpu")
    monkeypatch.setenv("I2V_DATA_DIR", str(tmp_path))


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["plan", "--json", *arguments]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return dict(json.loads(line))


def test_a_card_is_planned_for_i2vgen_xl_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--vram", "8", "--ram", "32"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading == "i2vgen-xl on a GPU with 8 GB"
    assert [line.split()[0] for line in lines] == ["quick", "standard", "high", "extreme"]
    assert "Fits in memory: " in lines[0]
    assert "of 6.8 GB" in lines[0]  # some of it is a display's
    assert "512 x 512, 16 frames" in lines[1]


def test_json_has_every_stage_of_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    table = planned(capsys, "--vram", "24", "--ram", "64")
    assert table["device"]["total_memory"] == 24 * 2**30
    assert [row["preset"] for row in table["presets"]] == ["quick", "standard", "high", "extreme"]
    for row in table["presets"]:
        assert row["fits"] is True
        assert [stage["name"] for stage in row["stages"]] == ["condition", "denoise", "decode"]
        most = max(stage["weights"] + stage["activations"] for stage in row["stages"])
        assert row["bytes"] == most + 3 * 2**29
    quick, *_, extreme = table["presets"]  # between them, a smaller clip may be made with larger chunks
    assert quick["bytes"] < extreme["bytes"]


def test_finished_jobs_tell_the_time_on_this_machine_and_not_on_another(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ("--engine", "embedded")
    assert [row["seconds"] for row in planned(capsys, *arguments)["presets"]] == [None] * 4
    settings = load_settings(environ={"I2V_DATA_DIR": str(tmp_path)})
    settings.inputs.mkdir(parents=True)
    with closing(JobStore(settings.database)) as store:
        job = submit(store, settings, engine="embedded", num_inference_steps=10)
        claim = store.claim("test")
        assert claim is not None
        assert claim.job.id == job.id
        store.finish(claim, replace(result_of(job.id), seconds={"denoise": 10.0, "decode": 2.0}))
    quick, standard, *_ = planned(capsys, *arguments)["presets"]
    assert not quick["is_guess"]
    assert 0 < quick["seconds"] < standard["seconds"]
    assert sum(quick["seconds_by_phase"].values()) == pytest.approx(quick["seconds"])
    assert quick["seconds_by_phase"].keys() == {"denoise", "decode"}
    assert planned(capsys, *arguments, "--vram", "8")["presets"][0]["is_guess"]


def test_a_database_that_is_not_upgraded_yet_is_said_and_times_are_guessed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    dump = Path(__file__).parents[1] / "jobs" / "files" / "version_1.sql"
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.executescript(dump.read_text())
    assert main(["plan", "--engine", "embedded", "--json"]) == 0
    printed = capsys.readouterr()
    assert all(row["is_guess"] for row in json.loads(printed.out)["presets"])
    assert "older version of i2v (format 1; this version needs" in printed.err


def test_this_machine_is_planned_with_what_is_free_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    table = planned(capsys, "--engine", "embedded")
    assert (table["device"]["type"], table["presets"][0]["plan"]["dtype"]) == ("cpu", "float32")
    assert 0 < table["device"]["free_ram"] <= 1.2 * table["device"]["total_memory"]
    assert table["presets"][0]["bytes"] < 2**30


def test_little_cpu_memory_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    (quick, *_) = planned(capsys, "--engine", "embedded", "--ram", "1.2")["presets"]
    assert quick["fits"] is False
    assert quick["notices"][0]["code"] == "plan.too_large"


@pytest.mark.parametrize("value", ["much", "0", "-8", "nan", "1e9"])
def test_what_is_no_amount_of_memory_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", f"--vram={value}"]) == 2
    assert f"(got {value})" in capsys.readouterr().err


def test_an_engine_without_prompt_steps_and_seed_is_planned_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {**engines(), CONTRARY.name: CONTRARY}
    monkeypatch.setattr("i2v.engines.registry.engines", lambda: known)
    assert main(["plan", "--engine", "contrary"]) == 0
    heading, quick, *_ = capsys.readouterr().out.splitlines()
    assert heading.startswith("contrary on ")
    assert quick.startswith("quick     64 x 64, 24 frames ")
    assert "steps" not in quick
