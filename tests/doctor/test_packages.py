"""The Python environment: real packages against ranges that they do and do not fulfil."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from i2v.doctor.packages import TorchBuild, check_packages, check_python, find_torch


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.10.12", "problem"), ("3.11.0", "ok"), ("3.13.9", "ok"), ("3.14.0", "problem"), ("3.13.0rc1", "ok")],
)
def test_a_python_out_of_range_is_a_problem(version: str, status: str) -> None:
    assert check_python(version, "<3.14,>=3.11").status == status


def test_the_packages_of_this_environment_are_as_the_project_asks() -> None:
    requirements = metadata.requires("i2v")
    assert requirements is not None
    (finding,) = check_packages(requirements)
    assert finding.status == "ok"
    assert finding.found.params == {"count": sum("extra ==" not in each for each in requirements)}


def test_each_package_that_is_missing_or_out_of_range_is_named() -> None:
    findings = check_packages(
        ["numpy>=1", "numpy<1", "no-such-package>=1", "no-such-either; extra == 'test'", "torch>=2.6,<3"]
    )
    assert [(each.status, each.found.code, each.found.params["name"]) for each in findings] == [
        ("problem", "doctor.package_version", "numpy"),
        ("problem", "doctor.package_missing", "no-such-package"),
    ]
    assert metadata.version("numpy") in findings[0].found.message


def test_torch_is_read_as_it_says_of_itself() -> None:
    assert find_torch() == TorchBuild(torch.__version__, torch.version.cuda, torch.version.hip)


def test_a_torch_without_its_files_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert find_torch() is None
    record = tmp_path / "torch-2.13.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Name: torch\nVersion: 2.13.0\n")
    assert find_torch() is None
