"""An archive of files with their checksums: one ZIP file, whole or not there, and read as a stranger's.

Files are stored as they are (pictures and videos do not get smaller), so that nothing in an archive can
become larger than the archive; `manifest.json`, the last one, has each one's size and SHA-256. Whoever writes
says which kind of archive it is, and what else stands in the manifest. Names in an archive are keys and never
paths. Deliberately does not know what the files are.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import io
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from i2v.core.errors import EncodeError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.stored import parse_json, read_as

MANIFEST = "manifest.json"
MAX_MANIFEST = 2**26  # bytes
VERSION = 1
_CHUNK = 2**20

OnBytes = Callable[[int], None]  # so many more were read or written
Manifest = dict[str, object]


@dataclass(frozen=True)
class Entry:
    """A file of an archive: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    def is_of(self, path: Path) -> bool:
        """Tell whether the file at `path` is the same; a link is not."""
        if path.is_symlink() or not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256


@dataclass(frozen=True)
class _Head:
    """What every manifest begins with."""

    kind: str
    version: int
    files: dict[str, Entry]


class Writer:
    """An archive that is being written; `folder` is for what must be made first, and goes with it."""

    def __init__(self, folder: Path, zipped: zipfile.ZipFile, on_bytes: OnBytes) -> None:
        self.folder = folder
        self._zipped = zipped
        self._on_bytes = on_bytes
        self.files: dict[str, Entry] = {}
        self.manifest: Manifest = {}  # what the writer has to say besides

    def add(self, name: str, path: Path) -> bool:
        """Add a file; return whether it is there. A link is none of ours."""
        try:
            source = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except (FileNotFoundError, NotADirectoryError):
            return False
        digest, size = hashlib.sha256(), 0
        with source, self._zipped.open(zipfile.ZipInfo(name), "w", force_zip64=True) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                self._on_bytes(len(chunk))
        self.files[name] = Entry(size, digest.hexdigest())
        return True


@contextmanager
def writing(target: Path, kind: str, force: bool, on_bytes: OnBytes) -> Iterator[Writer]:
    """Write an archive that its owner alone may read: `target`, once the block has ended, and only then.

    force: replace a file that is there.

    Raises:
        InvalidRequest: `archive.exists`.
        EncodeError: `archive.not_written`; nothing was left behind.
    """
    if os.path.lexists(target) and not force:
        raise InvalidRequest("archive.exists", path=_name(target))
    try:
        with _part_folder(target) as folder:
            part = folder / "archive"
            with (
                os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file,
                zipfile.ZipFile(file, "w") as zipped,
            ):
                writer = Writer(folder, zipped, on_bytes)
                yield writer
                files = {name: vars(entry) for name, entry in writer.files.items()}
                head = {"kind": kind, "version": VERSION, "files": files}
                zipped.writestr(zipfile.ZipInfo(MANIFEST), json.dumps({**writer.manifest, **head}))
            _sync(part)
            _publish(part, target, force)
            _sync(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EncodeError("archive.not_written", path=_name(target), reason=reason) from error


@contextmanager
def _part_folder(target: Path) -> Iterator[Path]:
    """Lend a hidden folder beside `target`, locked by this process; those of writers that were killed go."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left)
    folder = target.parent / f".{target.name}.{secrets.token_hex(6)}.part"
    folder.mkdir(mode=0o700)
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; raise `OSError` where another process does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _publish(part: Path, target: Path, force: bool) -> None:
    if force:
        part.replace(target)
        return
    try:
        os.link(part, target)
    except FileExistsError as error:
        raise InvalidRequest("archive.exists", path=_name(target)) from error
    except OSError:  # no hard links here
        if os.path.lexists(target):
            raise InvalidRequest("archive.exists", path=_name(target)) from None
        part.rename(target)


class Reader:
    """An archive whose outline has been checked; what is in its files is, as they are read."""

    def __init__(
        self, zipped: zipfile.ZipFile, path: Path, files: Mapping[str, Entry], manifest: Manifest
    ) -> None:
        self._zipped = zipped
        self._path = path
        self.files = files
        self.manifest = manifest

    @property
    def size(self) -> int:
        """Return how many bytes its files have."""
        return sum(entry.size for entry in self.files.values())

    def copy(self, name: str, target: BinaryIO | None, on_bytes: OnBytes = lambda count: None) -> None:
        """Write a file of the archive to `target`, or only read it; raise where it is not what it should be.

        Raises `InvalidRequest` (`archive.damaged`), and `OSError` of the target.
        """
        entry, digest, size = self.files[name], hashlib.sha256(), 0
        with self._opened(name) as source:
            while size <= entry.size and (chunk := self._read(source, name)):
                size += len(chunk)
                digest.update(chunk)
                if target is not None:
                    target.write(chunk)
                on_bytes(len(chunk))
        if (size, digest.hexdigest()) != (entry.size, entry.sha256):
            raise self.damaged(f"{name} is not what was written")

    def unpack(self, name: str, path: Path, on_bytes: OnBytes, mode: int = 0o600) -> None:
        """Write a file of the archive to a new one; raises as `copy` does."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:
            self.copy(name, target, on_bytes)

    def read(self, name: str, limit: int) -> bytes:
        """Return a file of the archive of at most `limit` bytes."""
        if self.files[name].size > limit:
            raise self.damaged(f"{name} has more than {limit} bytes")
        target = io.BytesIO()
        self.copy(name, target)
        return target.getvalue()

    def check(self, on_bytes: OnBytes = lambda count: None) -> None:
        """Read everything; raise `InvalidRequest` (`archive.damaged`) unless all is as it was written."""
        for name in self.files:
            self.copy(name, None, on_bytes)

    def damaged(self, reason: str) -> InvalidRequest:
        return damaged(self._path, reason)

    def _opened(self, name: str) -> BinaryIO:
        try:
            return self._zipped.open(name)  # type: ignore[return-value]
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
            raise self.damaged(str(error)) from error

    def _read(self, source: BinaryIO, name: str) -> bytes:
        try:
            return source.read(_CHUNK)
        except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
            raise self.damaged(f"{name}: {error}") from error


@contextmanager
def reading(path: Path, kind: str) -> Iterator[Reader]:
    """Open an archive of that kind.

    Raises:
        InvalidRequest: `archive.unreadable`, `archive.damaged`, `archive.other_kind`, `archive.newer`.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidRequest(
            "archive.unreadable", path=_name(path), reason=error.strerror or str(error)
        ) from error
    with file:
        try:
            zipped = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise damaged(path, str(error)) from error
        with zipped:
            head, manifest = _checked(zipped, path, kind)
            yield Reader(zipped, path, head.files, manifest)


def _checked(zipped: zipfile.ZipFile, path: Path, kind: str) -> tuple[_Head, Manifest]:
    members = {info.filename: info for info in zipped.infolist()}
    last = members.get(MANIFEST)
    if last is None or last.file_size > MAX_MANIFEST or len(members) < len(zipped.infolist()):
        raise damaged(path, "it has no manifest, or a name twice")
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in members.values()):
        raise damaged(path, "files are compressed or encrypted, which i2v never does")
    if sum(info.file_size for info in members.values()) > path.stat().st_size:
        raise damaged(path, "its files would be larger than the archive")
    try:
        manifest = parse_json(zipped.read(MANIFEST).decode("utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("its manifest is no object")
        head = read_as(_Head, manifest)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise damaged(path, str(error)) from error
    if head.kind != kind:
        raise InvalidRequest("archive.other_kind", path=_name(path), found=shown(head.kind), wanted=kind)
    if head.version > VERSION:
        raise InvalidRequest("archive.newer", path=_name(path), found=head.version, known=VERSION)
    if head.files.keys() | {MANIFEST} != members.keys():
        raise damaged(path, "it has other files than its manifest says")
    if any(members[name].file_size != entry.size for name, entry in head.files.items()):
        raise damaged(path, "its files have other sizes than its manifest says")
    return head, manifest


def damaged(path: Path, reason: str) -> InvalidRequest:
    return InvalidRequest("archive.damaged", path=_name(path), reason=shown(reason, limit=200))


def _name(path: Path) -> str:
    return shown(str(path), limit=300)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
