"""i2v.service.readiness: what would refuse a submission is what a service says that it is not ready for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.service import readiness
from i2v.service.readiness import Readiness
from i2v.service.service import Service
from tests.rehearsal import ENGINES, picture, stage
from tests.service.test_service import Waiting


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


@pytest.fixture
def service(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 0.0)
    made = Service(settings, JobStore(settings.database), Waiting(), ENGINES)
    made.start()
    yield made
    made.stop()


def take_away(path: Path) -> None:
    path.rename(path.with_name("away"))


def put_file_in_place(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.write_text("in the way")


def overwrite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it may still lie in the journal
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(b"no database" * 1000)


Spoil = Callable[[Settings], None]
CASES: list[tuple[Spoil, str]] = [
    (lambda settings: take_away(settings.database), "database.replaced"),
    (lambda settings: take_away(settings.service.data_dir), "database.replaced"),
    (lambda settings: shutil.rmtree(settings.service.data_dir), "database.replaced"),
    (lambda settings: overwrite(settings.database), "database.damaged"),
    (lambda settings: take_away(settings.inputs), "data.unusable"),
    (lambda settings: put_file_in_place(settings.inputs), "data.not_a_folder"),
    (lambda settings: put_file_in_place(settings.output.directory), "output.not_a_folder"),
]


@pytest.mark.parametrize(("spoil", "code"), CASES)
def test_a_submission_is_refused_for_the_very_reason_that_is_reported(
    service: Service, settings: Settings, spoil: Spoil, code: str
) -> None:
    service.submit({"prompt": "x"}, picture())
    assert service.problem() is None
    spoil(settings)
    problem = service.problem()
    assert problem is not None
    with pytest.raises(I2VError) as caught:
        service.submit({"prompt": "x"}, picture())
    assert problem.code == caught.value.code == code
    assert problem.message == caught.value.message


@pytest.mark.parametrize(("name", "code"), [("data", "data.no_space"), ("videos", "output.no_space")])
def test_a_full_disk_is_reported_by_its_folder(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, code: str
) -> None:
    usage = shutil.disk_usage(settings.service.data_dir)

    def full(folder: Path) -> object:
        return usage._replace(free=1000) if name in Path(folder).parts else usage

    monkeypatch.setattr("shutil.disk_usage", full)
    problem = service.problem()
    assert problem is not None
    assert problem.code == code
    with pytest.raises(I2VError) as caught:
        service.submit({"prompt": "x"}, picture())
    assert caught.value.code == code


def test_no_ffmpeg_is_reported(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    problem = service.problem()
    assert problem is not None
    with pytest.raises(I2VError) as caught:
        service.submit({"prompt": "x"}, picture())
    assert problem.code == caught.value.code == "encode.no_ffmpeg"


def test_who_asks_all_the_time_costs_little(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 3600.0)
    store = JobStore(settings.database)
    asked = Readiness(settings, store)
    checks: list[None] = []
    monkeypatch.setattr(asked, "check", lambda: checks.append(None))
    for _ in range(100):
        assert asked.recent_problem() is None
    assert len(checks) == 1
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 0.0)
    asked.recent_problem()
    assert len(checks) == 2
    store.close()
