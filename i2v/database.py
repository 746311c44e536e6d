"""One SQLite file shared by threads and processes of one machine: opening, transactions, errors.

Owns the connections, the journal (WAL), when a commit waits for the disk, and the words for a file that
cannot be used. Deliberately does not know any table: their owner hands in the statements that make them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from i2v.errors import I2VError
from i2v.schema import shown

BUSY_SECONDS = 10.0  # how long a writer waits for another one; a transaction takes milliseconds


class Database:
    """Opened at once: made if it is not there, refused if a newer version of the program wrote it.

    Safe to share between threads: each transaction has a connection to itself, from a pool that grows as
    needed. A child process opens its own (SQLite's connections do not survive a fork). The file must lie on a
    local disk, because WAL needs memory that all processes share.
    """

    def __init__(self, path: Path, schema: Sequence[str], version: int) -> None:
        """Open `path`, running the statements of `schema` if it is new.

        Raises:
            I2VError: `database.*`; the file is damaged, of a newer version, or cannot be opened.
        """
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        try:
            self._turn_to_wal(version)
            with self.write() as connection:
                if self._stored_version(connection, version) == 0:
                    for statement in schema:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {version}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections; no transaction may be open. What is stored needs no closing."""
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
        with self._explained(), self._connection() as connection:
            # For this connection alone; in WAL, NORMAL syncs at checkpoints only (sqlite.org/pragma.html).
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()  # one step of the interpreter: two threads cannot pop the same
        except IndexError:
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _turn_to_wal(self, version: int) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        with self._explained(), self._connection() as connection:
            self._stored_version(connection, version)  # what is newer is left as it is
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

    def _stored_version(self, connection: sqlite3.Connection, known: int) -> int:
        """Return the version of the tables in the file, 0 where there are none."""
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
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
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                path = shown(str(self.path), limit=300)
                raise I2VError("database.damaged", path=path, reason=str(error)) from error
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
                raise self._unusable(str(error)) from error
            raise

    def _unusable(self, reason: str) -> I2VError:
        path = shown(str(self.path), limit=300)
        return I2VError("database.unusable", path=path, reason=shown(reason, limit=200))
