"""i2v.doctor.examination for a service that runs; what `i2v doctor` says is tested in tests/cli."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.doctor.examination import CASES, Report, examine, examine_service
from tests.rehearsal import ENGINES, stage


def codes(report: Report, case: str) -> list[str]:
    return [finding.found.code for finding in report[case]]


def test_a_service_is_examined_with_its_own_settings_engines_and_logs(tmp_path: Path) -> None:
    settings = stage(tmp_path, output__directory=tmp_path / "mine")
    report = examine_service(settings, ENGINES, os.environ, tmp_path / "logs")
    assert list(report) == [case for case in CASES if case != "page_unreachable"]
    assert codes(report, "no_response") == ["doctor.weights_ok", "doctor.reading"]
    assert "Rehearsal" in report["no_response"][0].found.message
    reported = [finding.found.message for finding in report["set_up"]]
    assert any(str(tmp_path / "mine") in line for line in reported)
    assert any(str(tmp_path / "logs") in line for line in reported)
    assert not {"doctor.settings_ok", "doctor.settings_default"} & set(codes(report, "set_up"))


def test_an_engine_that_the_service_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no model rehearsal"):
        examine_service(stage(tmp_path), {}, os.environ, tmp_path)


def test_without_usable_settings_the_rest_is_examined_all_the_same(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("engine: {nmae: auto}")
    report = examine(config, os.environ, None)
    assert list(report) == list(CASES)
    assert codes(report, "page_unreachable") == codes(report, "out_of_memory") == ["doctor.not_checked"]
    assert [finding.status for finding in report["set_up"]].count("problem") == 1
