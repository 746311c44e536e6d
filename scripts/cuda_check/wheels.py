"""`scripts/cuda_wheels.sh`: pip settles what another machine needs; what it lacks is packed."""

from __future__ import annotations

import argparse
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from i2v.core.packages import Requirement, read_requirements
from i2v.core.settings_sources import ROOT

TOOLS = ("pytest", "requests", "hypothesis")  # of the tests that are marked cuda, and their shared files
# Left out where there is no room: HEIC pictures, then the page.
OPTIONAL = ("pillow-heif", "gradio")
# torch brings these, or they are of no use beside it.
WITH_TORCH = (
    "torch", "triton", "cuda-*", "nvidia-*", "filelock", "fsspec", "jinja2", "markupsafe", "mpmath",
    "networkx", "setuptools", "sympy", "typing-extensions",
)  # fmt: skip
GLIBC = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(34, 16, -1)),
    "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64",
)  # fmt: skip
# Most of the bytes are ffmpeg's machine code: the first filter is for that.
FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9}]
# The oldest that i2v takes: its ffmpeg is less than half as large as later ones.
FFMPEG = "imageio-ffmpeg"


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    needs: tuple[str, ...]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def settle(python: str) -> dict[str, Package]:
    """Return every package that i2v and its tests need under `python`, by name. Nothing is installed."""
    wanted = [f"{each.name}{each.wanted}" for each in _own_requirements()]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _pip(
            *("install", "--dry-run", "--ignore-installed", "--report", str(report)),
            *("--target", folder, "--constraint", str(ROOT / "constraints.txt")),
            *_for(python), *wanted, *TOOLS,
        )  # fmt: skip
        listed = json.loads(report.read_text())
    packages = {}
    for each in listed["install"]:
        own = each["metadata"]
        needs = tuple(normal(found.name) for found in read_requirements(own.get("requires_dist", [])))
        packages[normal(own["name"])] = Package(normal(own["name"]), own["version"], needs)
    return packages


def with_small_ffmpeg(packages: Mapping[str, Package]) -> dict[str, Package]:
    (wanted,) = (each.wanted for each in _own_requirements() if each.name == FFMPEG)
    (oldest,) = re.findall(r">=([\d.]+)", wanted)
    return {**packages, FFMPEG: replace(packages[FFMPEG], version=oldest)}


def _own_requirements() -> list[Requirement]:
    return list(read_requirements(metadata.requires("i2v") or []))


def _for(python: str) -> Iterator[str]:
    yield from ("--only-binary", ":all:", "--python-version", python, "--implementation", "cp")
    for platform in GLIBC:
        yield from ("--platform", platform)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip()[-2000:])


def missing(packages: Mapping[str, Package], roots: Iterable[str], have: Iterable[str]) -> dict[str, Package]:
    """Return those that `roots` need and the machine lacks; what a package it has needs, it has too."""
    there = tuple(have)
    found: dict[str, Package] = {}
    open_ = list(roots)
    while open_:
        name = open_.pop()
        if name in found or name not in packages or _is_there(name, there):
            continue
        found[name] = packages[name]
        open_ += packages[name].needs
    return found


def _is_there(name: str, have: tuple[str, ...]) -> bool:
    return any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in have)


def read_have(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return WITH_TORCH
    lines = re.split(r"[\s,]+", path.read_text(encoding="utf-8"))
    return (*WITH_TORCH, *(normal(re.split(r"[=<>@ ]", line)[0]) for line in lines if line))


def unpack(packages: Iterable[Package], python: str, site: Path) -> None:
    """Install packages of the other machine's Python into `site`, without scripts and compiled modules."""
    pinned = [f"{each.name}=={each.version}" for each in packages]
    if pinned:
        _pip("install", "--no-deps", "--no-compile", "--target", str(site), *_for(python), *pinned)
        shutil.rmtree(site / "bin", ignore_errors=True)


def pack(site: Path, archive: Path) -> int:
    """Pack what `site` holds, in half the room that its wheels take; return the bytes of the archive."""
    with lzma.open(archive, "wb", filters=FILTERS) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for entry in sorted(site.iterdir()):
            tar.add(entry, entry.name)
    return archive.stat().st_size


def write_metadata(site: Path) -> None:
    """Write i2v's own metadata, which tell its version and needs. Its code travels as it is."""
    own = metadata.distribution("i2v")
    lines = ["Metadata-Version: 2.1", "Name: i2v", f"Version: {own.version}"]
    lines += [f"Requires-Python: {own.metadata['Requires-Python']}"]
    lines += [f"Requires-Dist: {each}" for each in own.requires or ()]
    folder = site / f"i2v-{own.version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")


def tracked_bytes() -> int:
    """Return the size of the files that git knows in this folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = (ROOT / name for name in listed.decode().split("\0") if name)
    return sum(file.stat().st_size for file in files if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/cuda_wheels.sh", description=__doc__)
    parser.add_argument("--python", default="3.12", help="of the other machine (default: 3.12)")
    parser.add_argument("--have", type=Path, metavar="FILE", help="names of the packages that it has")
    parser.add_argument("--megabytes", type=float, default=62.0, help="for this tree and the wheels together")
    parser.add_argument("--out", type=Path, default=ROOT / "wheels", help="for the archives")
    options = parser.parse_args()
    have, packages = read_have(options.have), with_small_ffmpeg(settle(options.python))
    roots = {normal(each.name) for each in _own_requirements()} | {*TOOLS}
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    needed = missing(packages, roots - set(OPTIONAL), have)
    room = options.megabytes * 1e6 - tracked_bytes()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        unpack(needed.values(), options.python, site)
        write_metadata(site)
        size = pack(site, options.out / "site.tar.xz")
    print(f"{size / 1e6:6.1f} MB  {', '.join(sorted(needed))}")
    if size > room:
        raise SystemExit(f"only {room / 1e6:.1f} MB are left beside the tree: name what is there (--have)")
    for name in OPTIONAL:
        more = missing(packages, [name], (*have, *needed))
        with tempfile.TemporaryDirectory() as folder:
            unpack(more.values(), options.python, Path(folder))
            extra = pack(Path(folder), archive := options.out / f"{name}.tar.xz")
        line = f"{extra / 1e6:6.1f} MB  {', '.join(sorted(more))}"
        if size + extra > room:
            archive.unlink()
            line += ": LEFT OUT, no room"
        else:
            size += extra
        print(line)
    print(f"{size / 1e6:6.1f} MB together; with the tree {options.megabytes - (room - size) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
