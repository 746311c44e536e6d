"""The SQLite file: opened by many at once, undone when a block fails, and refused in words that name it."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.jobs.database import Database
from i2v.jobs.upgrade import Migration
from tests import disks

TABLES = (
    Migration(1, "words", ("CREATE TABLE words (word TEXT NOT NULL) STRICT",)),
    Migration(2, "the first of them", ("INSERT INTO words VALUES ('first')",)),
    Migration(3, "nothing", ()),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "words.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path, TABLES)
    yield database
    database.close()


def words(database: Database) -> list[str]:
    with database.read() as connection:
        return [row["word"] for row in connection.execute("SELECT word FROM words ORDER BY rowid").fetchall()]


def insert(database: Database, word: str) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO words VALUES (?)", [word])


def test_it_is_made_with_its_folder_and_opened_again_as_it_was(database: Database, path: Path) -> None:
    insert(database, "second")
    database.close()
    again = Database(path, TABLES)
    assert words(again) == ["first", "second"]
    again.close()


def test_what_a_failing_block_wrote_is_undone_and_the_connection_goes_on(database: Database) -> None:
    def insert_and_fail() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO words VALUES ('half')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        insert_and_fail()
    insert(database, "second")
    assert words(database) == ["first", "second"]


def test_a_reader_sees_nothing_that_is_not_committed(database: Database) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO words VALUES ('second')")
        assert words(database) == ["first"]
    assert words(database) == ["first", "second"]


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])  # FULL, NORMAL
def test_only_a_durable_commit_waits_for_the_disk(
    database: Database, durable: bool, synchronous: int
) -> None:
    with database.write(durable=not durable):  # the connection is used again
        pass
    with database.write(durable) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == synchronous
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_threads_share_an_object(database: Database) -> None:
    def count_up() -> None:
        for _ in range(25):
            with database.write(durable=False) as connection:
                (found,) = connection.execute("SELECT count(*) FROM words").fetchone()
                connection.execute("INSERT INTO words VALUES (?)", [f"word {found}"])

    threads = [threading.Thread(target=count_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words(database) == ["first", *(f"word {n}" for n in range(1, 151))]


def test_opening_waits_for_who_is_just_making_the_file(path: Path) -> None:
    path.parent.mkdir()
    first = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    first.execute("BEGIN IMMEDIATE")
    first.execute("CREATE TABLE numbers (number)")
    soon = threading.Timer(0.2, lambda: first.execute("COMMIT"))
    soon.start()
    database = Database(path, TABLES)
    assert words(database) == ["first"]
    soon.join()
    first.close()
    database.close()


OPEN_AT = """
import sys, time
from pathlib import Path
from i2v.jobs.database import Database
from i2v.jobs.upgrade import Migration
statements = ("CREATE TABLE words (word TEXT NOT NULL)", "INSERT INTO words VALUES ('first')")
tables = [Migration(1, "words", statements), Migration(3, "nothing", ())]
print("ready", flush=True)
for path in sys.stdin:
    name, start = path.split()
    while time.time() < float(start):
        pass
    Database(Path(name), tables)
    print("open", flush=True)
"""


def test_processes_that_open_a_new_file_at_once_all_find_it_made_once(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        assert [child.stdout.readline() for child in children] == ["ready\n"] * 4
        for n in range(4):
            start = time.time() + 0.02
            for child in children:
                child.stdin.write(f"{tmp_path}/{n}.db {start}\n")
                child.stdin.flush()
            assert [child.stdout.readline() for child in children] == ["open\n"] * 4
            database = Database(tmp_path / f"{n}.db", TABLES)
            assert words(database) == ["first"]
            database.close()
    finally:
        for child in children:
            child.communicate()


def test_a_newer_file_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 4")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(
        I2VError, match=r"words\.db was written by a newer version .*\(format 4; this version reads up to 3\)"
    ):
        Database(path, TABLES)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_no_database_is_called_damaged(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to have a header that could be one" * 100)
    with pytest.raises(I2VError, match=r"words\.db is damaged \(file is not a database\)") as caught:
        Database(path, TABLES)
    assert caught.value.code == "database.damaged"


def test_a_file_damaged_in_the_middle_is_called_damaged_when_it_is_read(path: Path) -> None:
    database = Database(path, TABLES)
    for _ in range(50):
        insert(database, "x" * 1000)
    database.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    database = Database(path, TABLES)
    with pytest.raises(I2VError, match=r"words\.db is damaged \(database disk image is malformed\)"):
        words(database)
    database.close()


@pytest.mark.parametrize("obstacle", ["the file is a folder", "the folder is a file"])
def test_a_path_that_cannot_be_opened_is_named(path: Path, obstacle: str) -> None:
    if obstacle == "the file is a folder":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("in the way")
    with pytest.raises(I2VError, match=re.escape(str(path))) as caught:
        Database(path, TABLES)
    assert caught.value.code == "database.unusable"


def test_a_writer_that_waits_too_long_is_told_what_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.jobs.database.BUSY_SECONDS", 0.05)
    with (
        database.write(),
        pytest.raises(I2VError, match=r"Cannot use .*words\.db: database is locked"),
        database.write(),
    ):
        pass


def test_a_full_disk_is_said_and_what_was_committed_stays(tmp_path: Path) -> None:
    with disks.small_disk(tmp_path / "disk", "300k") as disk:
        database = Database(disk / "words.db", TABLES)
        committed: list[str] = []

        def fill() -> None:
            for n in range(100):
                insert(database, f"{n:04}" + "x" * 10_000)
                committed.append(f"{n:04}")

        with pytest.raises(I2VError, match=r"Cannot use .*words\.db: .*(full|I/O)"):
            fill()
        assert len(committed) > 3
        assert [word[:4] for word in words(database)[1:]] == committed
        database.close()


def test_mistakes_in_our_own_sql_are_not_blamed_on_the_file(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.read() as connection:
        connection.execute("SELECT * FROM nowhere")
    with pytest.raises(sqlite3.IntegrityError), database.write() as connection:
        connection.execute("INSERT INTO words VALUES (NULL)")


# --- the file is gone, another one, or emptied


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("is_replaced", [False, True])
def test_nothing_is_answered_or_kept_once_the_file_is_another(
    database: Database, path: Path, tmp_path: Path, suffix: str, is_replaced: bool
) -> None:
    insert(database, "second")
    file, away = Path(f"{path}{suffix}"), tmp_path / "away"
    file.rename(away)
    if is_replaced:
        file.write_bytes(away.read_bytes())
    for use in (lambda: words(database), lambda: insert(database, "lost"), database.check):
        with pytest.raises(I2VError) as caught:
            use()
        assert (caught.value.code, caught.value.params["path"]) == ("database.replaced", str(file))
    away.replace(file)
    assert words(database) == ["first", "second"]
    insert(database, "third")
    database.check()
    assert words(database) == ["first", "second", "third"]


def test_a_commit_to_a_file_that_goes_away_meanwhile_is_no_success(database: Database, path: Path) -> None:
    def insert_while_it_goes() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO words VALUES ('lost')")
            path.rename(path.with_name("away"))

    with pytest.raises(I2VError) as caught:
        insert_while_it_goes()
    assert caught.value.code == "database.replaced"


LOSE_JOURNAL = """
import os, sys
from pathlib import Path
from i2v.jobs.database import Database
from i2v.jobs.upgrade import Migration
from i2v.core.errors import I2VError
tables = [Migration(3, "words", ("CREATE TABLE words (word TEXT NOT NULL)",))]
database = Database(Path(sys.argv[1]), tables)
with database.write() as connection:
    connection.execute("INSERT INTO words VALUES ('kept')")
os.unlink(f"{sys.argv[1]}-wal")
try:
    database.check()
except I2VError as error:
    print(error.code, flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_a_removed_journal_held_is_saved(path: Path) -> None:
    """Even if the process is killed, as soon as anybody has looked."""
    command = [sys.executable, "-c", LOSE_JOURNAL, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "database.replaced\n", done.stderr
    database = Database(path, TABLES)
    assert words(database) == ["kept"]
    database.close()


@pytest.mark.parametrize("content", [b"", b"no database" * 10_000])
def test_a_file_that_is_overwritten_in_its_place_is_damaged(
    database: Database, path: Path, content: bytes
) -> None:
    insert(database, "x" * 100_000)
    with database.write() as connection:
        connection.execute("DELETE FROM words")
    with database.read() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(content)
    with pytest.raises(I2VError) as caught:
        database.check()
    assert caught.value.code == "database.damaged"


def test_lost_tables_are_no_mistake_in_our_sql(database: Database, path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("DROP TABLE words")
    other.execute("PRAGMA user_version = 0")
    other.commit()
    other.close()
    for use in (lambda: words(database), database.check):
        with pytest.raises(I2VError) as caught:
            use()
        assert caught.value.code == "database.damaged"


def test_an_error_that_goes_on_is_logged_once(
    database: Database, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.rename(path.with_name("away"))
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            with pytest.raises(I2VError):
                words(database)
    assert len(caplog.records) == 1
    assert str(path) in caplog.text


def test_only_who_is_meant_to_makes_the_file(path: Path) -> None:
    for _ in range(2):  # without the folder, and without the file
        with pytest.raises(I2VError, match="No such file") as caught:
            Database(path, TABLES, create=False)
        assert caught.value.code == "database.unusable"
        path.parent.mkdir(exist_ok=True)
    assert list(path.parent.iterdir()) == []
    path.touch()
    with pytest.raises(I2VError) as caught:
        Database(path, TABLES, create=False)
    assert caught.value.code == "database.damaged"
    assert path.read_bytes()[:6] != b"CREATE"
    Database(path, TABLES).close()
    opened = Database(path, TABLES, create=False)
    assert words(opened) == ["first"]
    opened.close()


def test_nobody_else_may_read_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        database = Database(path, TABLES)
        insert(database, "second")
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"words.db": 0o600, "words.db-wal": 0o600, "words.db-shm": 0o600}
    database.close()


def test_names_that_a_url_would_take_apart_are_names(tmp_path: Path) -> None:
    path = tmp_path / "100% ?mode=memory#x &ü" / "words.db"
    database = Database(path, TABLES)
    database.check()
    assert path.is_file()
    database.close()
