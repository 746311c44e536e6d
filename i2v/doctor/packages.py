"""The Python that i2v runs in: its version, its packages, and which torch there is, without importing it."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from i2v.core.errors import Notice
from i2v.doctor.findings import Finding


@dataclass(frozen=True)
class TorchBuild:
    """An installed torch; `cuda` and `hip`: the versions that it was built for, both `None` for the CPU."""

    version: str
    cuda: str | None
    hip: str | None


def find_torch() -> TorchBuild | None:
    """Return the installed torch, `None` where there is none or its files are gone."""
    try:
        file = metadata.distribution("torch").locate_file("torch/version.py")
        facts = runpy.run_path(str(file))
    except (metadata.PackageNotFoundError, OSError):
        return None
    return TorchBuild(facts["__version__"], facts.get("cuda"), facts.get("hip"))


def check_python(version: str, wanted: str) -> Finding:
    """Compare `version` with the range `wanted`, e.g. ">=3.11,<3.14"."""
    found = Notice("doctor.python", {"version": version, "wanted": wanted})
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding("ok", found)
    return Finding("problem", found, Notice("doctor.setup_fix", {}))


def check_packages(requirements: Iterable[str]) -> list[Finding]:
    """Compare what is installed with `requirements`, e.g. "numpy<3,>=1.26"; those of extras are left out."""
    wanted = [
        requirement
        for requirement in map(Requirement, requirements)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    wrong = [found for requirement in wanted if (found := _unmet(requirement)) is not None]
    if not wrong:
        return [Finding("ok", Notice("doctor.packages_ok", {"count": len(wanted)}))]
    return [Finding("problem", found, Notice("doctor.setup_fix", {})) for found in wrong]


def _unmet(requirement: Requirement) -> Notice | None:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Notice("doctor.package_missing", {"name": requirement.name})
    if requirement.specifier.contains(version, prereleases=True):
        return None
    wanted = str(requirement.specifier)
    return Notice("doctor.package_version", {"name": requirement.name, "version": version, "wanted": wanted})
