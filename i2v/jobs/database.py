"""One SQLite file shared by threads and processes of one machine: opening, transactions, errors.

Owns the connections, the journal (WAL), when a commit waits for the disk, whether the file is still the one
that was opened, and the words for a file that cannot be used. Deliberately does not know any table: their
owner hands in the migrations that make them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from i2v.core.errors import I2VError
from i2v.core.fields import shown
from i2v.jobs.upgrade import Migration, keep_copy, migrate

MAX_IDLE = 8  # connections that are kept: each has a cache of its own
BUSY_SECONDS = 10.0  # how long a writer waits for another one; a transaction takes milliseconds
QUIET_SECONDS = 60.0  # an error is logged again once it has not been seen for so long
SMALL_BYTES = 8 * 2**20  # a database of this size is read whole in some 10 ms

log = logging.getLogger(__name__)


class Database:
    """Opened at once; refused if a newer version of the program wrote it.

    Safe to share between threads: each transaction has a connection to itself, from a pool that grows as
    needed. A child process opens its own (SQLite's connections do not survive a fork). The file must lie on a
    local disk, because WAL needs memory that all processes share.

    On Linux, a file that was removed can still be read and written by those who have it open, and all of it
    is lost when they end. So each transaction first looks whether the path still leads to the file that was
    opened, and each commit looks again: `database.replaced` where it does not, until the file is put back.
    """

    def __init__(self, path: Path, migrations: Sequence[Migration], create: bool = True) -> None:
        """Open `path`, with the tables that all `migrations` make, in the order of their versions.

        create: make the file, readable by its owner alone, and its folder, if they are not there; upgrade a
            file of an older version, of which a copy is kept beside it. Of several processes that try at
            once, one does it.

        Raises:
            I2VError: `database.*`; the file is damaged, of a newer version (or, without `create`, of an
                older one), or cannot be opened.
        """
        self.path = path
        self._version = migrations[-1].version
        self._idle: list[sqlite3.Connection] = []
        self._files: dict[Path, tuple[int, int] | None] = {}  # and which file each path led to
        self._is_open = False
        self._turn = threading.Lock()  # SQLite's own waiting is by sleeps: of many threads, some starve
        self._seen: dict[str, float] = {}  # when an error was raised last, by its code
        try:
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            path.stat()
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        self._files = {path: _identity(path)}
        try:
            self._turn_to_wal()
            with self.write() as connection:
                found = self._stored_version(connection)
                if found < self._version and not create:
                    raise self._older(found)
                copy = self._upgrade(connection, found, migrations)
            if copy is not None:
                log.warning(
                    "%s was upgraded from version %d to %d. As it was before, it is kept as %s",
                    path, found, self._version, copy,
                )  # fmt: skip
            real = Path(os.path.realpath(path))  # as SQLite names what lies beside it
            for name in (f"{real}-wal", f"{real}-shm"):
                self._files[Path(name)] = _identity(Path(name))
            self._is_open = True
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections; no transaction may be open. What is stored needs no closing."""
        self._files = {self.path: self._files.get(self.path)}  # the last one out removes the others
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for one SELECT, which sees one moment of the database."""
        with self._explained(), self._connection() as connection:
            yield connection

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside a transaction: committed at the end, undone if the block raises.

        Writers come one at a time. Durable: it returns when the disk has it. If not, a power cut may undo it
        (a killed process does not), but only with all that came later: the file stays whole.
        """
        with self._explained(), self._my_turn(), self._connection() as connection:
            # For this connection alone; in WAL, NORMAL syncs at checkpoints only (sqlite.org/pragma.html).
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            self._check_identity()  # what was committed to a file that is gone is lost

    def copy_to(self, path: Path) -> None:
        """Copy the file as it is at one moment, beside all who read and write it, to a new file.

        Nobody waits meanwhile: one step of SQLite's backup reads one moment of the journal.
        """
        with self._explained():
            self._check_identity()
            with closing(self._connect()) as source, closing(sqlite3.connect(path)) as target:
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")  # all of it stands in the one file

    def check(self) -> None:
        """Raise `I2VError` if the file cannot be read or written; a small one is read whole."""
        with self._explained():
            self._check_identity()
            with closing(self._connect()) as fresh:  # it has nothing in memory yet
                if self._stored_version(fresh) != self._version:
                    raise self._damaged("its tables are gone")
                if self.path.stat().st_size <= SMALL_BYTES:
                    (found,) = fresh.execute("PRAGMA quick_check(1)").fetchone()
                    if found != "ok":
                        raise self._damaged(found)
                fresh.execute("BEGIN IMMEDIATE")
                fresh.execute("ROLLBACK")

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=BUSY_SECONDS):
            raise sqlite3.OperationalError("database is locked")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self._check_identity()
        try:
            connection = self._idle.pop()  # one step of the interpreter: two threads cannot pop the same
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        finally:
            if len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        """Open one more connection, to the very file: SQLite itself makes none here."""
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.text_factory = _text
            self._check_identity()
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_identity(self) -> None:
        """Raise `database.replaced` if a path leads to another file than the one that was opened, or to none.

        The journal counts too: without it, what was committed lately is lost.
        """
        changed = [path for path, file in self._files.items() if _identity(path) != file]
        if not changed:
            return
        if self.path not in changed:
            self._save_journal()
        raise self._said(I2VError("database.replaced", path=shown(str(changed[0]), limit=300)))

    def _save_journal(self) -> None:
        """Copy what a removed journal has into the database, as long as somebody has the journal open."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            self._idle.append(connection)

    def _turn_to_wal(self) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        with self._explained(), self._connection() as connection:
            self._stored_version(connection)  # what is newer is left as it is
            while True:  # beside another writer, SQLite refuses this at once instead of waiting
                try:
                    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                    break
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
        if mode != "wal":
            raise self._unusable(f"its file system has no shared memory, so the journal is {mode}")

    def _upgrade(
        self, connection: sqlite3.Connection, found: int, migrations: Sequence[Migration]
    ) -> Path | None:
        """Upgrade the tables in the transaction of `connection`; return where the copy is, if any."""
        if found == self._version:
            return None
        copy = None
        if found:
            with closing(self._connect()) as source:
                copy = keep_copy(source, self.path, found)
        try:
            migrate(connection, self.path, found, migrations)
        except BaseException:
            if copy is not None:  # the file stays as it is; and each try would leave a copy
                copy.unlink(missing_ok=True)
            raise
        return copy

    def _stored_version(self, connection: sqlite3.Connection) -> int:
        """Return the version of the tables in the file, 0 where there are none."""
        found, known = int(connection.execute("PRAGMA user_version").fetchone()[0]), self._version
        if found > known:
            raise I2VError("database.newer", path=shown(str(self.path), limit=300), found=found, known=known)
        return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say SQLite's complaints about the file in words that name it; mistakes in our SQL pass."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one of the extended codes
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or self._has_lost_tables(code):
                raise self._damaged(str(error)) from error
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
                raise self._unusable(str(error)) from error
            raise

    def _has_lost_tables(self, code: int) -> bool:
        """Tell whether a statement failed because the file was emptied, and not because it is wrong."""
        if code != sqlite3.SQLITE_ERROR:
            return False
        try:
            with closing(self._connect()) as fresh:
                return self._stored_version(fresh) != self._version
        except (sqlite3.Error, I2VError):
            return True

    def _older(self, found: int) -> I2VError:
        """Return why a file is not used by one who may not upgrade it."""
        if found == 0:
            return self._damaged("it has no tables")
        path = shown(str(self.path), limit=300)
        return I2VError("database.older", path=path, found=found, known=self._version)

    def _damaged(self, reason: str) -> I2VError:
        path = shown(str(self.path), limit=300)
        return self._said(I2VError("database.damaged", path=path, reason=shown(reason, limit=200)))

    def _unusable(self, reason: str) -> I2VError:
        path = shown(str(self.path), limit=300)
        return self._said(I2VError("database.unusable", path=path, reason=shown(reason, limit=200)))

    def _said(self, error: I2VError) -> I2VError:
        """Log the error of an open database, once for as long as it goes on; return it."""
        now = time.monotonic()
        if self._is_open and now - self._seen.get(error.code, -QUIET_SECONDS) >= QUIET_SECONDS:
            log.error("%s", error.message)
        self._seen[error.code] = now
        return error


def _text(data: bytes) -> str:
    """Read a text that a disk may have damaged: it must not hide the rows beside it."""
    return data.decode("utf-8", "replace")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes the file from one that is put in its place; `None` where none can be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
