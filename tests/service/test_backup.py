"""service.backup and service.restore: a house as a file, whoever is killed, and back."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.settings import ROOT, Settings
from i2v.host import restored
from i2v.host.archive import reading, writing
from i2v.host.service_lock import hold
from i2v.jobs.model import Filters
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from i2v.service.backup import KIND, Backup, back_up
from i2v.service.job_files import check_video
from i2v.service.restore import Restored, restore
from i2v.service.service import Service
from i2v.workers.executors.inline import InlineExecutor
from tests.clips import names
from tests.rehearsal import ENGINES, picture, stage
from tests.servers import environment_in, launched, staged
from tests.service.waiting import FIELDS
from tests.web.house import wait_for


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


@contextmanager
def working(settings: Settings) -> Iterator[Service]:
    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A house with a clip, one in the trash, one that failed, and one whose video is gone."""
    settings = stage(tmp_path_factory.mktemp("home"))
    with working(settings) as service:
        asked = (("nothing", "teal"), ("nothing", "red"), ("step 1: fail", "red"), ("nothing", "blue"))
        done, trashed, failed, gone = (
            service.submit(FIELDS | {"prompt": prompt}, picture(colour)).id for prompt, colour in asked
        )
        assert service.get(failed).status == "failed"
        service.library.trash(trashed)
        Path(service.get(gone).output).unlink()
        service.library.star(done, True)
    (settings.service.data_dir / "token").write_text("a-token-of-more-than-sixteen-letters\n")
    return settings


@pytest.fixture
def file(home: Settings, tmp_path: Path) -> Path:
    target = tmp_path / "house.zip"
    found = back_up(home, target, False, quiet)
    assert found == Backup(4, 2, 1, target.stat().st_size)
    return target


def states(settings: Settings) -> list[tuple[str, str, bool, bool]]:
    with closing(sqlite3.connect(settings.database)) as db:
        rows = db.execute("SELECT id, status, starred, deleted_at IS NULL FROM jobs ORDER BY seq").fetchall()
    return [tuple(row) for row in rows]


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


def in_child(call: object) -> int:
    """Run the call in a process of its own; return how that ended."""
    child = os.fork()
    if child == 0:
        try:
            call()  # type: ignore[operator]
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def kill_at(part: float) -> object:
    """Return a progress that ends its process there, as kill -9 does."""

    def progress(done: int, total: int) -> None:
        if done >= part * total:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_backup_that_is_killed_leaves_nothing_under_its_name(
    home: Settings, tmp_path: Path, part: float
) -> None:
    target = tmp_path / "house.zip"
    assert in_child(lambda: back_up(home, target, False, kill_at(part))) == signal.SIGKILL  # type: ignore[arg-type]
    assert not target.exists()
    back_up(home, target, False, quiet)
    assert names(tmp_path) == ["house.zip"]
    with reading(target, KIND) as archive:
        archive.check()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.7, 1.0])
def test_a_restore_that_is_killed_changes_nothing(file: Path, tmp_path: Path, part: float) -> None:
    there = stage(tmp_path / "there")
    with working(there) as service:
        service.submit(FIELDS, picture())
    before = states(there)
    assert in_child(lambda: restore(there, file, True, kill_at(part))) == signal.SIGKILL  # type: ignore[arg-type]
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


def test_a_job_that_is_deleted_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    settings, there = stage(tmp_path / "home"), stage(tmp_path / "there")
    with working(settings) as service:
        stays, goes = (service.submit(FIELDS, picture(colour)).id for colour in ("red", "blue"))

        def delete(done: int, total: int) -> None:
            if goes in [job.id for job in service.page().jobs]:  # the first bytes: the copy is made
                service.delete(goes)

        found = back_up(settings, tmp_path / "x.zip", False, delete)
    assert (found.videos, found.missing) == (1, 1)
    restore(there, tmp_path / "x.zip", False, quiet)
    assert [row[0] for row in states(there)] == [stays]


def test_without_a_house_there_is_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(I2VError) as caught:
        back_up(stage(tmp_path), tmp_path / "x.zip", False, quiet)
    assert caught.value.code == "backup.nothing"


def command(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "i2v", *map(str, words)],
        env=environment_in(folder), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_backup_of_a_service_at_work_becomes_a_service_that_answers(tmp_path: Path) -> None:
    """Over real sockets and processes: a clip is done, one is being made, one waits, a batch too."""
    here, there, gate = tmp_path / "here", tmp_path / "there", tmp_path / "gate"
    here.mkdir()
    there.mkdir()

    def jobs(url: str) -> dict[str, dict[str, object]]:
        found = requests.get(f"{url}/api/v1/jobs", timeout=60).json()["jobs"]
        return {job["id"]: job for job in found}

    def submit(url: str, prompt: str) -> str:
        files = {"image": ("a.png", picture())}
        answer = requests.post(f"{url}/api/v1/jobs", data={"prompt": prompt}, files=files, timeout=60)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    with launched(staged(here), here) as server:
        done = submit(server.url, "nothing")
        wait_for(lambda: jobs(server.url)[done]["status"] == "succeeded")
        running = submit(server.url, f"step 2: wait {gate}")
        wait_for(lambda: jobs(server.url)[running]["status"] == "running")
        waiting = submit(server.url, "nothing")
        made = command(here, "backup", tmp_path / "house.zip")
        assert made.returncode == 0, made.stderr
        assert "3 jobs, 1 videos" in made.stdout
        video = requests.get(f"{server.url}/api/v1/jobs/{done}/video", timeout=60).content
        refused = command(here, "restore", tmp_path / "house.zip", "--replace")
        assert (refused.returncode, "Another server" in refused.stderr) == (1, True), refused.stderr
        gate.touch()
        wait_for(lambda: jobs(server.url)[waiting]["status"] == "succeeded")
    put_back = command(there, "restore", tmp_path / "house.zip")
    assert put_back.returncode == 0, put_back.stderr
    with launched(staged(there), there) as server:
        wait_for(lambda: {job["status"] for job in jobs(server.url).values()} == {"succeeded"})
        assert list(jobs(server.url)) == [waiting, running, done]
        assert requests.get(f"{server.url}/api/v1/jobs/{done}/video", timeout=60).content == video
        assert requests.get(f"{server.url}/readyz", timeout=60).text == "ok"
