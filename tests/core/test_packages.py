"""Which package a failure comes from: by the real metadata, and by imports that really fail."""

from __future__ import annotations

import importlib
import tomllib
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement as Reference

from i2v.core.errors import I2VError
from i2v.core.packages import (
    Requirement,
    find_unmet,
    meets,
    package_error,
    read_requirements,
    refuse_old_packages,
)
from i2v.core.settings_sources import ROOT

WRITTEN = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


@pytest.mark.parametrize(
    "version", ["0.1", "0.42.0", "1.26.4", "2.6.0+cu124", "5.9.10", "6", "11.3.0", "2026.1"]
)
def test_ranges_mean_what_pip_takes_them_for(version: str) -> None:
    for line in WRITTEN:
        (requirement,) = read_requirements([line])
        reference = Reference(line)
        assert requirement.name == reference.name
        assert meets(version, requirement.wanted) == reference.specifier.contains(version), line


def test_requirements_are_read_as_metadata_has_them_and_extras_are_left_out() -> None:
    lines = ["numpy<3,>=1.26", "uvicorn[standard] (>=0.34)", 'ruff>=0.15; extra == "test"', "pyyaml"]
    assert list(read_requirements(lines)) == [
        Requirement("numpy", "<3,>=1.26"),
        Requirement("uvicorn", ">=0.34"),
        Requirement("pyyaml", ""),
    ]


def test_what_is_missing_or_out_of_range_is_found() -> None:
    unmet = find_unmet(
        [Requirement("numpy", "<1"), Requirement("no-such", ">=1"), Requirement("torch", ">=2")]
    )
    assert [(each.name, each.version) for each in unmet] == [
        ("numpy", metadata.version("numpy")),
        ("no-such", None),
    ]


def failure_of(module: str, name: str = "") -> Exception:
    try:
        getattr(importlib.import_module(module), name) if name else importlib.import_module(module)
    except Exception as error:
        return error
    raise AssertionError(module)


def test_a_module_that_is_not_there_is_a_missing_package() -> None:
    found = package_error(failure_of("no_such_package.part"))
    assert found is not None
    assert (found.code, found.params) == ("packages.missing", {"name": "no-such-package"})


def test_a_package_that_does_not_load_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("from numpy import no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = package_error(failure_of("broken_package"))
    assert found is not None
    assert (found.code, found.params["name"]) == ("packages.broken", "numpy")
    assert "no_such_name" in found.message


def test_a_package_out_of_range_is_blamed_for_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy<1,>=0.5"])
    found = package_error(AttributeError("no attribute"))
    assert found is not None
    assert found.code == "packages.version"
    assert found.params["wanted"] == "<1,>=0.5"


def test_our_own_defects_are_no_packages() -> None:
    assert package_error(ZeroDivisionError()) is None
    assert package_error(failure_of("i2v.no_such_module")) is None


@pytest.mark.parametrize(("wanted", "refused"), [("<3000,>=1", False), ("<1,>=0.5", False), (">=3000", True)])
def test_only_what_is_too_old_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, wanted: str, refused: bool
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: [f"numpy{wanted}", "no-such-package>=1"])
    with pytest.raises(I2VError, match="numpy is version") if refused else nullcontext():
        refuse_old_packages()
