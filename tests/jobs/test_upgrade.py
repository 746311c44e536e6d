"""A file of an older version is upgraded once, after a copy of it was kept; or it stays as it was."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.jobs.database import Database
from i2v.jobs.upgrade import Migration, keep_copy
from tests.disks import small_disk

FIRST = Migration(1, "words", ("CREATE TABLE words (word TEXT NOT NULL) STRICT",))
SECOND = Migration(2, "length", ("ALTER TABLE words ADD COLUMN length INTEGER",))
THIRD = Migration(
    3, "lengths", ("UPDATE words SET length = length(word)", "INSERT INTO words VALUES ('', 0)")
)
NOW = (FIRST, SECOND, THIRD)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of version 1 with two words."""
    path = tmp_path / "words.db"
    with closing(Database(path, [FIRST])) as database, database.write() as connection:
        connection.execute("INSERT INTO words VALUES ('one'), ('three')")
    return path


def rows(path: Path) -> tuple[int, list[tuple[object, ...]]]:
    """Return the version of the file and what is in it."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return version, connection.execute("SELECT * FROM words ORDER BY rowid").fetchall()


def copies(path: Path) -> list[Path]:
    return sorted(path.parent.glob("words.db.*"))


OLD = (1, [("one",), ("three",)])
NEW = (3, [("one", 3), ("three", 5), ("", 0)])


def test_each_version_is_made_of_the_one_before_and_a_copy_says_what_was(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = os.umask(0)
    try:
        with caplog.at_level(logging.INFO):
            Database(path, NOW).close()
    finally:
        os.umask(before)
    assert rows(path) == NEW
    (copy,) = copies(path)
    assert copy.name.startswith("words.db.v1-")
    assert rows(copy) == OLD
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert f"upgraded from version 1 to 3. As it was before, it is kept as {copy}" in caplog.text
    Database(path, NOW).close()
    assert copies(path) == [copy], "nothing was left to do"


def test_a_new_file_is_what_an_upgraded_one_is_and_has_no_copy(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new" / "words.db"
    for each in (path, new):
        Database(each, NOW).close()
    assert copies(new) == []

    def schema(path: Path) -> list[tuple[str]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT sql FROM sqlite_schema").fetchall()

    assert schema(new) == schema(path)


def test_a_file_between_two_versions_runs_the_rest(path: Path) -> None:
    Database(path, [FIRST, SECOND]).close()
    Database(path, NOW).close()
    assert rows(path) == NEW
    assert [copy.name[:11] for copy in copies(path)] == ["words.db.v1", "words.db.v2"]


def test_the_copy_has_what_only_the_journal_has_yet(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("INSERT INTO words VALUES ('fourth')")
        other.commit()
        assert b"fourth" not in path.read_bytes()
        Database(path, NOW).close()
        (copy,) = copies(path)
        assert rows(copy) == (1, [*OLD[1], ("fourth",)])


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("INSERT INTO nowhere VALUES (1)", "from format 1 to 3 .no such table: nowhere"),
        ("INSERT INTO words VALUES (NULL, 0)", "NOT NULL constraint failed: words.word"),
    ],
)
def test_a_migration_that_fails_leaves_the_old_version_whole_and_no_copy(
    path: Path, statement: str, reason: str
) -> None:
    broken = Migration(3, "broken", ("DELETE FROM words", statement))
    with pytest.raises(I2VError, match=reason) as caught:
        Database(path, [FIRST, SECOND, broken])
    assert caught.value.code == "database.not_upgraded"
    assert (rows(path), copies(path)) == (OLD, [])
    Database(path, NOW).close()
    assert rows(path) == NEW


DIE = """
import os, signal, sys
from pathlib import Path
from i2v.jobs.database import Database
from i2v.jobs.upgrade import Migration
class Deadly(tuple):
    def __iter__(self):
        yield "DELETE FROM words"
        os.kill(os.getpid(), signal.SIGKILL)
Database(Path(sys.argv[1]), [Migration(1, "words", ()), Migration(2, "deadly", Deadly())])
"""


def test_a_start_that_is_killed_in_the_middle_leaves_the_old_version_whole(path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", DIE, path], check=False).returncode == -9
    (copy,) = copies(path)
    assert rows(copy) == rows(path) == OLD
    Database(path, NOW).close()
    assert rows(path) == NEW


def test_without_room_for_a_copy_nothing_is_changed(path: Path, tmp_path: Path) -> None:
    with closing(Database(path, [FIRST])) as database, database.write() as connection:
        connection.execute("INSERT INTO words VALUES (?)", ["x" * 400_000])
    with small_disk(tmp_path / "disk", "700k") as disk:
        moved = disk / "words.db"
        moved.write_bytes(path.read_bytes())
        with pytest.raises(I2VError, match="backing it up before the upgrade failed") as caught:
            Database(moved, NOW)
        assert caught.value.code == "database.no_copy"
        assert rows(moved) == rows(path)
        assert copies(moved) == []


def test_no_copy_takes_the_place_of_another_and_no_part_stays(path: Path) -> None:
    abandoned = path.with_name("words.db.v1-20200101_000000.part")
    abandoned.touch()
    with closing(sqlite3.connect(path)) as source:
        made = {keep_copy(source, path, 1) for _ in range(3)}
    assert set(copies(path)) == made
    assert len(made) == 3


def test_who_may_not_upgrade_says_who_does_and_leaves_the_file_alone(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(
        I2VError, match=r"words\.db was written by an older version .*\(format 1; this version needs 3\)"
    ) as caught:
        Database(path, NOW, create=False)
    assert caught.value.code == "database.older"
    assert path.read_bytes() == before
    assert copies(path) == []
    Database(path, NOW).close()
    Database(path, NOW, create=False).close()


OPEN = """
import sys
from pathlib import Path
from i2v.jobs.database import Database
from tests.jobs.test_upgrade import NOW
print("ready", flush=True)
for line in sys.stdin:
    Database(Path(line.strip()), NOW)
    print("open", flush=True)
"""


def test_processes_that_open_an_old_file_at_once_upgrade_it_once(path: Path, tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        assert [child.stdout.readline() for child in children] == ["ready\n"] * 4
        for number in range(4):
            each = tmp_path / f"{number}" / "words.db"
            each.parent.mkdir()
            each.write_bytes(path.read_bytes())
            for child in children:
                child.stdin.write(f"{each}\n")
                child.stdin.flush()
            assert [child.stdout.readline() for child in children] == ["open\n"] * 4
            assert rows(each) == NEW
            assert len(copies(each)) == 1
    finally:
        for child in children:
            child.communicate()
