"""What is kept about weights' files: what a hub says they are, and the SHA-256 they were found to have.

In our own folder the records stand beside the files (`.i2v/`); of folders of others they are kept in the
models folder, since those are not written to. A record holds for one size and time of change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable
from i2v.core.settings import ModelSettings
from i2v.weights.folders import weights_file
from i2v.weights.model_files import unreadable

RECORDS = ".i2v"
BLOCK = 2**23  # bytes read at a time
LARGE = 2**26  # bytes; smaller files are read in an instant

How = Literal["sha256", "git-sha1", "size"]


@dataclass(frozen=True)
class Expected:
    """What a hub says a file is: large files have a SHA-256 there, small ones git's SHA-1 of their blob."""

    size: int
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def how(self) -> How:
        """What the file can be held to."""
        return "sha256" if self.sha256 else "git-sha1" if self.git_sha1 else "size"

    def agrees(self, other: Expected) -> bool:
        """Tell whether both can be of one file."""
        hashes = ((self.sha256, other.sha256), (self.git_sha1, other.git_sha1))
        return self.size == other.size and all(not (a and b) or a == b for a, b in hashes)


@dataclass(frozen=True)
class Listing:
    """The files of a repository as a source lists them."""

    told_by: str
    revision: str
    files: Mapping[str, Expected]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def rebuilt(cls, told: object) -> Listing:
        """Return the listing that `to_dict` told; raises `ValueError`, `KeyError` or `TypeError`."""
        if not isinstance(told, dict):
            raise TypeError("a listing is a table")
        files = {str(name): Expected(**row) for name, row in told["files"].items()}
        return cls(str(told["told_by"]), str(told["revision"]), files)

    def only(self, names: list[str]) -> Listing:
        return Listing(self.told_by, self.revision, {name: self.files[name] for name in names})


@dataclass(frozen=True)
class Hashes:
    """Of one file's content."""

    size: int
    sha256: str
    git_sha1: str

    def fits(self, expected: Expected) -> bool:
        return Expected(self.size, self.sha256, self.git_sha1).agrees(expected)


def hash_file(path: Path, tick: Callable[[int], None] = lambda done: None) -> Hashes:
    """Read the file once; `tick` is told the bytes so far, and may raise. Raises `OSError`."""
    sha256 = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        # a blob's name in git is the hash of this header and the content (git-scm.com, Git Objects)
        git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        is_small = size < LARGE  # hubs name large files by their SHA-256
        while block := file.read(BLOCK):
            sha256.update(block)
            if is_small:
                git.update(block)
            done += len(block)
            tick(done)
    return Hashes(size, sha256.hexdigest(), git.hexdigest() if is_small else "")


class Digests:
    """SHA-256 of files by path, size and time of change, so that gigabytes are read once."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "digests.json"
        self._rows: dict[str, dict[str, object]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):  # what cannot be read is computed again
            rows = json.loads(self._file.read_text(encoding="utf-8"))
            self._rows = {str(name): dict(row) for name, row in dict(rows).items()}
        self._is_new = False

    def known(self, path: Path) -> str | None:
        """Return the file's SHA-256 if it was computed since the file changed. Raises `OSError`."""
        row = self._rows.get(str(path), {})
        found = row.get("sha256")
        return found if isinstance(found, str) and _state(path) == _state_of(row) else None

    def keep(self, path: Path, sha256: str, source: str | None = None, checked: How | None = None) -> None:
        """Remember the digest, where the file is from, and what it was held to. Raises `OSError`."""
        size, changed = _state(path)
        row = {"size": size, "mtime_ns": changed, "sha256": sha256, "source": source, "checked": checked}
        self._rows[str(path)] = row
        self._is_new = True

    def discard(self, path: Path) -> None:
        """Take a wrong file away; one that never was right is not ours, and is kept as `NAME.replaced`."""
        if self._rows.get(str(path), {}).get("checked"):
            path.unlink()
        else:
            path.replace(path.with_name(f"{path.name}.replaced"))

    def save(self) -> None:
        if not self._is_new:
            return
        with contextlib.suppress(OSError):  # a read-only or full disk: hashed again next time
            write_json(self._file, self._rows)


def weights_digest(spec: EngineSpec, folder: Path, records: Path | None = None) -> str:
    """Return one SHA-256, in hexadecimal, over all files of `folder` that the engine reads.

    `records`: where digests of large files are kept (`records_folder`), so that they are read once and not
    before every clip; `None`: nowhere. Raises `ModelUnavailable` for what is missing.
    """
    whole = hashlib.sha256()
    digests = Digests(records) if records is not None else None
    present = [name for name in spec.optional_files if (folder / name).is_file()]
    for name in (*spec.files, *present):
        path = weights_file(folder / name)
        try:
            whole.update(f"{name}\0{_digest(path, digests)}\n".encode())
        except FileNotFoundError as error:
            raise ModelUnavailable("weights.missing_file", title=spec.title, path=str(path)) from error
        except OSError as error:
            raise unreadable(spec, path, error.strerror or str(error)) from error
    if digests is not None:
        digests.save()
    return whole.hexdigest()


def known_digest(spec: EngineSpec, folder: Path, records: Path) -> str | None:
    """Return `weights_digest` where that takes no reading of large files, else `None`."""
    digests = Digests(records)
    try:
        paths = [weights_file(folder / name) for name in spec.files]
        if any(path.stat().st_size >= LARGE and digests.known(path) is None for path in paths):
            return None
        return weights_digest(spec, folder, records)
    except (OSError, ModelUnavailable):
        return None


def _digest(path: Path, digests: Digests | None) -> str:
    if digests is None or path.stat().st_size < LARGE:
        return hash_file(path).sha256
    found = digests.known(path)
    if found is None:
        found = hash_file(path).sha256
        digests.keep(path, found)
    return found


def records_folder(folder: Path, models: ModelSettings) -> Path:
    """Return where the records of a model folder are kept."""
    if folder.is_relative_to(models.directory):
        return folder / RECORDS
    name = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return models.directory / RECORDS / name


def read_listing(records: Path) -> Listing | None:
    """Return what a hub said of the folder's files when they were fetched."""
    try:
        return Listing.rebuilt(json.loads((records / "listing.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_listing(records: Path, listing: Listing) -> None:
    """Raises `OSError`."""
    write_json(records / "listing.json", listing.to_dict())


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(path)


def _state(path: Path) -> tuple[object, object]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _state_of(row: Mapping[str, object]) -> tuple[object, object]:
    return row.get("size"), row.get("mtime_ns")
