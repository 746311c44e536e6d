"""What is kept about weights' files: what a hub says they are, and the SHA-256 they were found to have.

In our own folder the records stand beside the files (`.i2v/`); of folders of others they are kept in the
models folder, since those are not written to. A record holds for one size and time of change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from i2v.core.errors import ModelUnavailable
from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.model_files import unreadable
from i2v.weights.parts import name_in_model, parts_of, stored
from i2v.weights.shards import missing_file

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
    """The files of a repository as a source lists them.

    Attributes:
        hash_source: whose word their hashes are; `told_by` in the JSON, as it was called at first.
        repo: which repository; older records do not say it.
    """

    hash_source: str
    revision: str
    files: Mapping[str, Expected]
    repo: str = ""

    def to_dict(self) -> dict[str, object]:
        files = {name: asdict(file) for name, file in self.files.items()}
        return {"told_by": self.hash_source, "revision": self.revision, "files": files, "repo": self.repo}

    @classmethod
    def rebuilt(cls, stored: object) -> Listing:
        """Return the listing of which `to_dict` made this; raises `ValueError`, `KeyError` or `TypeError`."""
        if not isinstance(stored, dict):
            raise TypeError("a listing is a table")
        files = {str(name): Expected(**row) for name, row in stored["files"].items()}
        return cls(str(stored["told_by"]), str(stored["revision"]), files, str(stored.get("repo", "")))

    def only(self, names: list[str]) -> Listing:
        return replace(self, files={name: self.files[name] for name in names})


@dataclass(frozen=True)
class Hashes:
    """Of one file's content."""

    size: int
    sha256: str
    git_sha1: str

    def fits(self, expected: Expected) -> bool:
        return Expected(self.size, self.sha256, self.git_sha1).agrees(expected)


def hash_file(path: Path, tick: Callable[[int], None] = lambda done: None) -> Hashes:
    """Read the file once; `tick` is called with the bytes so far, and may raise. Raises `OSError`."""
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
        """Take a wrong file away; one that never was right is not ours, and is kept as `NAME.replaced`.

        Of a link to somebody else's file only the link goes.
        """
        if path.is_symlink() or self._rows.get(str(path), {}).get("checked"):
            path.unlink()
        else:
            path.replace(path.with_name(f"{path.name}.replaced"))

    def save(self) -> None:
        if not self._is_new:
            return
        with contextlib.suppress(OSError):  # a read-only or full disk: hashed again next time
            write_json(self._file, self._rows)


def weights_digest(
    spec: ModelSpec, folder: Path, records: Path | None = None, parts: Collection[str] = ()
) -> str:
    """Return one SHA-256, in hexadecimal, over all files of `folder` that the engine reads.

    `parts`: sub-folders, where only their files count.

    A file goes in by the name that the spec has for it, shards and their index by their own.

    `records`: where digests of large files are kept (`records_folder`), so that they are read once and not
    before every clip; `None`: nowhere. Raises `ModelUnavailable` for what is missing.
    """
    whole = hashlib.sha256()
    digests = Digests(records) if records is not None else None
    for name, path in _read_files(spec, folder):
        if parts and name.partition("/")[0] not in parts:
            continue
        try:
            whole.update(f"{name}\0{_digest(path, digests)}\n".encode())
        except OSError as error:
            raise unreadable(spec, path, error.strerror or str(error)) from error
    if digests is not None:
        digests.save()
    return whole.hexdigest()


def known_digest(spec: ModelSpec, folder: Path, records: Path) -> str | None:
    """Return `weights_digest` where that takes no reading of large files, else `None`."""
    digests = Digests(records)
    try:
        paths = [path for _, path in _read_files(spec, folder)]
        if any(path.stat().st_size >= LARGE and digests.known(path) is None for path in paths):
            return None
        return weights_digest(spec, folder, records)
    except (OSError, ModelUnavailable):
        return None


def _read_files(spec: ModelSpec, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what the engine reads, by the names that a digest has; raises `ModelUnavailable`."""
    for name in (*spec.files, *spec.optional_files):
        found = stored(spec, folder, name)
        if found.missing is not None:
            if name in spec.files:
                raise missing_file(spec, found.missing)
            continue
        is_sharded = len(found.files) > 1
        for path in found.files:
            yield (path.relative_to(folder).as_posix() if is_sharded else name), path


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


def read_listing(records: Path, part: Repository | None = None) -> Listing | None:
    """Return what a hub said of the files of the model, or of `part`, when they were fetched."""
    path = records / (part.folder if part else "") / "listing.json"
    try:
        return Listing.rebuilt(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_listing(records: Path, listing: Listing, part: Repository | None = None) -> None:
    """Raises `OSError`."""
    write_json(records / (part.folder if part else "") / "listing.json", listing.to_dict())


def merged(spec: ModelSpec, find: Callable[[Repository], Listing | None]) -> Listing | None:
    """Return one listing of all repositories, by names in the model's folder; `None` if there is none.

    `find` has that of one repository. Files of one without a listing are not in it.
    """
    found = [(part, listing) for part in parts_of(spec) if (listing := find(part)) is not None]
    if not found:
        return None
    files = {
        name_in_model(part, name): expected
        for part, listing in found
        for name, expected in listing.files.items()
    }
    hash_source = ", ".join(dict.fromkeys(listing.hash_source for _, listing in found))
    return Listing(hash_source, "", files)


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
