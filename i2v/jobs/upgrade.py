"""A database file is brought to the version of its tables that this program knows, and is copied before that.

Owns the order of migrations, and the copy. The caller holds the file's write lock: nothing changes the file
between the copy and the first migration, and all migrations of one start are one transaction, so that the
file is either as it was or as it should be. Deliberately does not know any table.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from i2v.core.errors import I2VError
from i2v.core.fields import shown

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Migration:
    """What makes the tables of this `version` out of those of the one before; 1 begins with an empty file."""

    version: int
    title: str
    statements: tuple[str, ...]


# SQLite's codes for what a statement and the rows that it found have to do with each other, and no disk.
_MISFITS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH)


def migrate(connection: sqlite3.Connection, path: Path, found: int, migrations: Sequence[Migration]) -> None:
    """Run the migrations after version `found`, in the transaction that the connection is in.

    Raises:
        I2VError: `database.not_upgraded`; the transaction is to be undone.
    """
    for migration in migrations:
        if migration.version <= found:
            continue
        try:
            for statement in migration.statements:
                connection.execute(statement)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _MISFITS:
                raise
            name, reason = shown(str(path), limit=300), shown(str(error), limit=200)
            raise I2VError(
                "database.not_upgraded", path=name, found=found, version=migration.version, reason=reason
            ) from error
        connection.execute(f"PRAGMA user_version = {migration.version}")
        if found:
            log.info("%s: version %d: %s", path, migration.version, migration.title)


def keep_copy(source: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the database at `path` to a new file beside it, readable by its owner alone; return where.

    source: a connection to it with no transaction of its own.

    Raises:
        I2VError: `database.no_copy`; no file is left behind.
    """
    stem = f"{path.name}.v{version}-{datetime.now():%Y%m%d_%H%M%S}"
    part = path.with_name(f"{stem}.part")
    try:
        for abandoned in path.parent.glob(f"{path.name}.v*.part*"):  # of a start that was killed
            abandoned.unlink()
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(part)) as target:
            source.backup(target)
        _sync(part)
        names = (path.with_name(stem if number == 1 else f"{stem}-{number}") for number in count(1))
        copy = next(name for name in names if not os.path.lexists(name))
        part.rename(copy)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error)
        raise I2VError(
            "database.no_copy", path=shown(str(path), limit=300), reason=shown(reason, limit=200)
        ) from error
    return copy


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
