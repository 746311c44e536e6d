"""The report of a bench: its rows, and `bench.json`.

The file is one JSON object:

    schema        1
    complete      false as long as checks are outstanding: interrupted, or still running
    date          UTC, when it began, as in 2026-11-23T03:04:05Z
    seconds       since then
    quick, only   how it was asked for
    versions      of Python, i2v and the libraries, by name; null where one is not installed
    machine       {system, cpu, cores, ram_bytes}
    device        {type, name, total_memory, free_memory, driver, ...}: bytes; null where nothing tells
    engine        {name, weights_sha256}
    rows          [{check, name, status, message, seconds, figures, error}, ...]

`status` is ok, failed or skipped; `message` a sentence for people, or null; `seconds` how long it took,
loading and all. `figures` are the check's own, and named after their units: `seconds` by phase, `bytes`.
`error` is null or {kind, code, where}: the exception's type, our code for it, and the innermost lines of
code. Nothing in it is about a person: no path outside of the program, no prompt, no name of a machine.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown

SCHEMA = 1

Status = Literal["ok", "failed", "skipped"]
Figures = dict[str, object]


@dataclass(frozen=True)
class Row:
    """What one measurement came to (see the module's text)."""

    check: str
    name: str
    status: Status
    message: str | None = None
    seconds: float | None = None
    figures: Figures = field(default_factory=dict)
    error: dict[str, object] | None = None


@dataclass
class Report:
    """`about`: all of the file that is known before the first check."""

    about: dict[str, object]
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = False

    @property
    def has_failed(self) -> bool:
        return any(row.status == "failed" for row in self.rows)

    def save(self, path: Path, private: Private) -> None:
        """Write the report in one step, without what is `private`.

        Raises `InvalidRequest` (`bench.not_writable`) where it cannot be written.
        """
        content = {
            "schema": SCHEMA,
            "complete": self.complete,
            **self.about,
            "seconds": round(self.seconds, 1),
            "rows": [asdict(row) for row in self.rows],
        }
        text = json.dumps(private.hide_all(content), indent=1, ensure_ascii=False) + "\n"
        try:
            _replace(path, text)
        except OSError as error:
            raise _not_writable(path, error) from error


def check_target(path: Path) -> None:
    """Find out before anything is measured whether `path` can be written (`bench.not_writable`)."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> InvalidRequest:
    reason = error.strerror or str(error)
    return InvalidRequest("bench.not_writable", path=shown(str(path), limit=300), reason=reason)


def _replace(path: Path, content: str) -> None:
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(content)
        Path(name).chmod(0o644)  # it is to be sent around; mkstemp lets nobody read it
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


@dataclass(frozen=True)
class Private:
    """Takes out of texts what is a person's: folders, and the name of the machine."""

    folders: tuple[str, ...]  # the longest first
    machine: str

    @classmethod
    def of(cls, *folders: Path) -> Private:
        """Take out these folders, the home folder and the current one."""
        names = {str(folder) for folder in (*folders, Path.home(), Path.cwd())} - {"/", "."}
        return cls(tuple(sorted(names, key=len, reverse=True)), platform.node())

    def hide(self, text: str) -> str:
        for folder in self.folders:
            text = text.replace(folder, _HIDDEN)
        text = _BELOW_HIDDEN.sub(_HIDDEN + "/", text)
        if len(self.machine) > 1:
            text = re.sub(rf"\b{re.escape(self.machine)}\b", _HIDDEN, text)
        return _FOLDERS.sub(_HIDDEN + "/", text)

    def hide_all(self, value: object) -> object:
        if isinstance(value, dict):
            return {name: self.hide_all(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_all(each) for each in value]
        return self.hide(value) if isinstance(value, str) else value


_HIDDEN = "..."
_BELOW_HIDDEN = re.compile(r"\.\.\./(?:[^/:'\"]+/)*")
# A folder of an absolute path; what comes after the last slash stays, as it tells which file it is about.
_FOLDERS = re.compile(r"(?<![\w.)\]])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\:'\"]+[/\\])+")
