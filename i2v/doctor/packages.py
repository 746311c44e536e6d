"""The Python that i2v runs in: its version, its packages, and which torch there is, without importing it."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from i2v.core.errors import Notice
from i2v.core.packages import Unmet, find_unmet, meets, read_requirements
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
    if meets(version, wanted):
        return Finding("ok", found)
    return Finding("problem", found, Notice("doctor.setup_fix", {}))


def check_packages(requirements: Iterable[str]) -> list[Finding]:
    """Compare what is installed with `requirements`, e.g. "numpy<3,>=1.26"; those of extras are left out."""
    wanted = list(read_requirements(requirements))
    wrong = list(find_unmet(wanted))
    if not wrong:
        return [Finding("ok", Notice("doctor.packages_ok", {"count": len(wanted)}))]
    return [Finding("problem", _notice(each), Notice("doctor.setup_fix", {})) for each in wrong]


def _notice(unmet: Unmet) -> Notice:
    if unmet.version is None:
        return Notice("doctor.package_missing", {"name": unmet.name})
    return Notice(
        "doctor.package_version", {"name": unmet.name, "version": unmet.version, "wanted": unmet.wanted}
    )
