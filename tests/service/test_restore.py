"""service.restore and host.restored: the data is what it was at the backup, or stays, whoever is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.settings import Settings
from i2v.host import restored
from i2v.host.archive import writing
from i2v.host.service_lock import hold
from i2v.jobs.model import Filters
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from i2v.service.backup import KIND, Backup, back_up
from i2v.service.job_files import check_video
from i2v.service.restore import Restored, restore
from tests.clips import names
from tests.rehearsal import picture, stage
from tests.service.moving import full_house, in_child, kill_at, quiet, states, working
from tests.service.waiting import FIELDS


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return full_house(tmp_path_factory.mktemp("home"))


@pytest.fixture
def file(home: Settings, tmp_path: Path) -> Path:
    target = tmp_path / "house.zip"
    found = back_up(home, target, False, quiet)
    assert found == Backup(4, 2, 1, target.stat().st_size)
    return target


def test_a_house_is_what_it_was_in_another_place(home: Settings, file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    assert restore(there, file, False, quiet) == Restored(4, 2)
    assert states(there) == states(home)
    with working(there) as service:
        job = next(job for job in service.page("succeeded").jobs if job.starred)
        video = check_video(job)
        assert video.parent == there.output.directory
        assert job.result is not None
        assert job.result.path == video
        assert probe(video).num_frames
        assert service.thumbnail(job.id)
        assert service.picture(job)
        [lost] = service.page(filters=Filters(deleted=True)).jobs
        assert check_video(service.library.restore(lost.id)).is_file()
        assert service.delete(job.id).video == "removed"  # it knows its own again
    assert (there.service.data_dir / "token").stat().st_mode & 0o777 == 0o600
    assert not (there.service.data_dir / restored.PART).exists()


def test_videos_that_are_there_are_taken_and_others_never_replaced(
    home: Settings, file: Path, tmp_path: Path
) -> None:
    there = stage(tmp_path / "there", output__directory=home.output.directory)
    before = names(home.output.directory)
    restore(there, file, False, quiet)
    assert names(home.output.directory) == before
    elsewhere = stage(tmp_path / "elsewhere")
    elsewhere.output.directory.mkdir()
    [name] = [name for name in before if not name.startswith(".")]
    (elsewhere.output.directory / name).write_text("mine")
    restore(elsewhere, file, False, quiet)
    assert (elsewhere.output.directory / name).read_text() == "mine"
    with working(elsewhere) as service:
        job = next(job for job in service.page("succeeded").jobs if job.starred)
        assert check_video(job).name != name


def test_a_house_that_is_there_or_runs_is_left_alone(home: Settings, file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    with working(there) as service:
        mine = service.submit(FIELDS, picture()).id
    before = states(there)
    with pytest.raises(InvalidRequest, match="There are jobs"):
        restore(there, file, False, quiet)
    with hold(there.service.data_dir, (), None), pytest.raises(I2VError) as caught:
        restore(there, file, True, quiet)
    assert caught.value.code == "server.data_in_use"
    assert states(there) == before
    restore(there, file, True, quiet)
    assert states(there) == states(home)
    [aside] = (there.service.data_dir / "trash").iterdir()
    with closing(sqlite3.connect(aside / "jobs.db")) as db:
        assert db.execute("SELECT id FROM jobs").fetchall() == [(mine,)]


def test_what_is_damaged_changes_nothing(file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(InvalidRequest) as caught:
        restore(there, file, False, quiet)
    assert caught.value.code == "archive.damaged"
    assert not there.database.exists()
    assert not there.output.directory.exists()


@pytest.mark.parametrize(
    "name", ["../x", "inputs/../../x", "/etc/x", "inputs/.hidden", "logs/x", "inputs/a/b"]
)
def test_names_that_lead_out_of_the_house_are_refused(tmp_path: Path, name: str) -> None:
    there, bad = stage(tmp_path / "there"), tmp_path / "bad.zip"
    (tmp_path / "x").write_text("x")
    with writing(bad, KIND, False, lambda count: None) as writer:
        writer.add("jobs.db", tmp_path / "x")
        writer.add(name, tmp_path / "x")
    with pytest.raises(InvalidRequest, match="does not belong there"):
        restore(there, bad, False, quiet)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE jobs SET input = '../../secret'", "no picture"),
        ("UPDATE jobs SET id = '../../x' WHERE status = 'failed'", "or job"),  # kept frames go by it
        ("UPDATE jobs SET other_inputs = '[\"/etc/passwd\"]'", "no picture"),
        ("PRAGMA user_version = 99", "version"),
        ("DROP TABLE jobs", "no such table"),
    ],
)
def test_a_database_that_leads_out_of_the_house_is_refused(
    home: Settings, tmp_path: Path, change: str, said: str
) -> None:
    copy, bad, there = tmp_path / "jobs.db", tmp_path / "bad.zip", stage(tmp_path / "there")
    store = JobStore(home.database, create=False)
    store.copy_to(copy)
    store.close()
    with closing(sqlite3.connect(copy)) as db:
        db.execute(change)
        db.commit()
    with writing(bad, KIND, False, lambda count: None) as writer:
        writer.add("jobs.db", copy)
    with pytest.raises(I2VError, match=said):
        restore(there, bad, False, quiet)
    assert not there.database.exists()
    assert not (there.service.data_dir / restored.PART).exists()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.7, 1.0])
def test_a_restore_that_is_killed_changes_nothing(file: Path, tmp_path: Path, part: float) -> None:
    there = stage(tmp_path / "there")
    with working(there) as service:
        service.submit(FIELDS, picture())
    before = states(there)
    assert in_child(lambda: restore(there, file, True, kill_at(part))) == signal.SIGKILL
    restored.finish(there.service.data_dir)  # as a start does
    assert states(there) == before
    assert not (there.service.data_dir / restored.PART).exists()
    with working(there) as service:
        assert service.video(service.page().jobs[0].id)
    assert restore(there, file, True, quiet).videos == 2


@pytest.mark.parametrize("renames", range(9))
def test_wherever_the_last_step_is_cut_off_a_start_ends_it(
    home: Settings, file: Path, tmp_path: Path, renames: int
) -> None:
    there = stage(tmp_path / "there")
    with working(there) as service:
        service.submit(FIELDS, picture())
    before, after = states(there), states(home)

    def cut_off() -> None:
        count, rename = 0, Path.rename

        def counted(path: Path, target: Path) -> Path:
            nonlocal count
            count += 1
            if count > renames:
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(path, target)

        Path.rename = counted  # type: ignore[method-assign,assignment]
        restore(there, file, True, quiet)

    ended = in_child(cut_off)
    assert ended in (0, signal.SIGKILL)
    ready = (there.service.data_dir / restored.READY).exists()
    restored.finish(there.service.data_dir)
    assert states(there) == (after if ready or ended == 0 or renames else before)
    with working(there) as service:
        for job in service.page("succeeded").jobs:
            assert service.thumbnail(job.id)


def test_letters_of_another_case_are_another_video_s_name(tmp_path: Path) -> None:
    home, there, file = full_house(tmp_path / "home"), stage(tmp_path / "there"), tmp_path / "house.zip"
    with closing(sqlite3.connect(home.database)) as db:
        for status, name in (("failed", "Sea.mp4"), ("succeeded", "sea.mp4")):
            db.execute(
                """UPDATE jobs SET output = ? WHERE seq =
                       (SELECT seq FROM jobs WHERE status = ? AND deleted_at IS NULL LIMIT 1)""",
                [name, status],
            )
        db.commit()
    back_up(home, file, False, quiet)
    restore(there, file, False, quiet)
    with closing(sqlite3.connect(there.database)) as db:
        outputs = [row[0].lower() for row in db.execute("SELECT output FROM jobs")]
    assert len(set(outputs)) == len(outputs) == 4
