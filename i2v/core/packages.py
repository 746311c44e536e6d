"""What i2v's packages have to do with a failure: one is missing, or is another version than asked for.

Asks the installed metadata and needs the standard library alone, since any package may be the one that is
missing. How the packages are put right is `scripts/setup.sh`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata

from i2v.core.errors import I2VError

# Modules that are not named like their package.
_PACKAGES = {"PIL": "pillow", "yaml": "pyyaml", "multipart": "python-multipart"}

_BOUND = re.compile(r"(>=|<=|==|!=|>|<)\s*([\d.]+)")


@dataclass(frozen=True)
class Requirement:
    """`wanted`: a range such as "<3,>=1.26", "" for any version."""

    name: str
    wanted: str


@dataclass(frozen=True)
class Unmet:
    """A requirement that is not met; `version` is `None` where the package is missing."""

    name: str
    wanted: str
    version: str | None

    def to_error(self) -> I2VError:
        if self.version is None:
            return I2VError("packages.missing", name=self.name)
        return I2VError("packages.version", name=self.name, version=self.version, wanted=self.wanted)


def read_requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    """Read requirements of metadata, e.g. "numpy<3,>=1.26"; those of extras are left out."""
    for line in lines:
        requirement, _, marker = line.partition(";")
        found = re.match(r"\s*([\w.-]+)(?:\[.*?\])?\s*\(?([^()]*)", requirement)
        if found is not None and "extra" not in marker:
            yield Requirement(found[1], found[2].strip())


def meets(version: str, wanted: str) -> bool:
    """Tell whether a version is in a range of `>=`, `<` and the like; a pre-release counts as its release."""
    release = _numbers(version)
    for how, bound in _BOUND.findall(wanted):
        width = max(len(release), len(limit := _numbers(bound)))
        ours, theirs = (each + (0,) * (width - len(each)) for each in (release, limit))
        order = (ours > theirs) - (ours < theirs)
        if order not in {">=": (0, 1), "<=": (0, -1), "==": (0,), "!=": (1, -1), ">": (1,), "<": (-1,)}[how]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found is not None else ()


def find_unmet(requirements: Iterable[Requirement]) -> Iterator[Unmet]:
    for each in requirements:
        try:
            version = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            yield Unmet(each.name, each.wanted, None)
            continue
        if not meets(version, each.wanted):
            yield Unmet(each.name, each.wanted, version)


def refuse_old_packages() -> None:
    """Raise `I2VError` (`packages.version`) for a package that is older than asked for, before any work.

    What is missing is told where it is needed, since not all work needs all of it; what is newer may do.
    """
    for each in find_unmet(read_requirements(_requirements())):
        lower = ",".join(bound for bound in each.wanted.split(",") if bound.strip().startswith(">"))
        if each.version is not None and not meets(each.version, lower):
            raise each.to_error()


def package_error(error: BaseException) -> I2VError | None:
    """Return the package that `error` comes from, as far as can be told; `None` where it is none.

    A package that could not be imported is one, however it fails. Any other failure may come from a package
    that is older or newer than asked for, since names and parameters change.
    """
    unmet = {each.name: each for each in find_unmet(read_requirements(_requirements()))}
    failed = _failed_import(error)
    name = "" if failed is None else _package_of(failed)
    if unmet:
        return unmet.get(name, next(iter(unmet.values()))).to_error()
    if failed is None or not name:
        return None
    if isinstance(failed, ModuleNotFoundError) and "." not in str(failed.name):
        return I2VError("packages.missing", name=name)
    return I2VError("packages.broken", name=name, reason=" ".join(str(failed).split())[:200])


def _requirements() -> list[str]:
    try:
        return metadata.requires("i2v") or []
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        return []


def _failed_import(error: BaseException | None) -> ImportError | None:
    """Return the import at the bottom of `error`: libraries that load their parts late wrap it."""
    found = None
    while error is not None:
        if isinstance(error, ImportError) and error.name:
            found = error
        error = error.__cause__ or error.__context__
    return found


def _package_of(failed: ImportError) -> str:
    """Return the package's name as pip has it, "" for i2v's own modules."""
    module = (failed.name or "").partition(".")[0]
    return "" if module == "i2v" else _PACKAGES.get(module, module.replace("_", "-"))
