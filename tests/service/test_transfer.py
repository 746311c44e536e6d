"""service.transfer: jobs with their files go to another installation, and nothing else comes along."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.settings import Settings
from i2v.host.archive import reading, writing
from i2v.jobs.model import Job, JsonObject
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from i2v.service.job_files import check_video
from i2v.service.transfer import KIND, Exported, Imported, export_jobs, import_jobs
from tests.clips import names
from tests.rehearsal import picture, stage
from tests.service.moving import in_child, kill_at, quiet, working
from tests.service.waiting import FIELDS


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A clip with star and tags, another of its picture, one that failed, one trashed, one without file."""
    settings = stage(tmp_path_factory.mktemp("home"))
    asked = ("nothing", "nothing", "step 1: fail", "nothing", "nothing")
    with working(settings) as service:
        first, _, _, trashed, gone = (
            service.submit(FIELDS | {"prompt": prompt}, picture(), picture_name="Sea.png").id
            for prompt in asked
        )
        service.library.star(first, True)
        service.library.tag(first, ["sea", "best of may"])
        service.library.trash(trashed)
        Path(service.get(gone).output).unlink()
    return settings


@pytest.fixture
def file(home: Settings, tmp_path: Path) -> Path:
    target = tmp_path / "jobs.zip"
    assert export_jobs(home, None, target, False, quiet) == Exported(4, 2, 1)
    return target


def jobs_of(settings: Settings) -> list[Job]:
    store = JobStore(settings.database, create=False)
    try:
        return list(store.page().jobs)
    finally:
        store.close()


def plain(job: Job) -> JsonObject:
    """Return what a job says wherever it is."""
    own = {"revision", "input", "other_inputs", "output", "result"}
    return {name: value for name, value in vars(job).items() if name not in own}


def test_jobs_are_what_they_were_with_their_files(home: Settings, file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    assert import_jobs(there, file, quiet) == Imported(4, 0)
    assert [plain(job) for job in jobs_of(there)] == [plain(job) for job in jobs_of(home)]
    with working(there) as service:
        job = next(job for job in service.page("succeeded").jobs if job.starred)
        assert job.result is not None
        assert check_video(job) == job.result.path == there.output.directory / Path(job.output).name
        assert probe(check_video(job)).num_frames
        assert service.picture(job)
        assert service.thumbnail(job.id)
        assert len({each.input for each in service.page().jobs}) == 1  # the picture that all share, once
        assert service.webhooks.counts()["pending"] == 0
        assert service.plan(FIELDS).notice.code != "plan.seconds", "how fast the other machine was"
        failed = service.page("failed").jobs[0]
        assert service.retry(failed.id).id == failed.id
        service.library.star(job.id, False)
        assert service.delete(job.id).video == "removed"


def test_letters_of_another_case_are_another_job_s_name(file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    import_jobs(there, file, quiet)
    with working(there) as service:
        failed, other = service.page("failed").jobs[0], service.page("succeeded").jobs[0]
        service.delete(failed.id)
    taken = str(Path(failed.output).with_name(Path(failed.output).stem.upper() + ".mp4"))
    with closing(sqlite3.connect(there.database)) as db:
        db.execute("UPDATE jobs SET output = ? WHERE id = ?", [taken, other.id])
        db.commit()
    import_jobs(there, file, quiet)
    outputs = [job.output.lower() for job in jobs_of(there)]
    assert len(set(outputs)) == len(outputs) == 4


def test_once_more_changes_nothing_and_adds_what_is_missing(file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    import_jobs(there, file, quiet)
    files = names(there.output.directory), names(there.inputs)
    assert import_jobs(there, file, quiet) == Imported(0, 4)
    assert (names(there.output.directory), names(there.inputs)) == files
    with working(there) as service:
        service.delete(service.page("failed").jobs[0].id)
        assert import_jobs(there, file, quiet) == Imported(1, 3)  # beside a service that runs
        assert service.counts()["failed"] == 1


def test_nothing_here_is_replaced(home: Settings, file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    there.output.directory.mkdir()
    for name in names(home.output.directory):
        (there.output.directory / name).write_text("mine")
    before = set(names(there.output.directory))
    import_jobs(there, file, quiet)
    for name in before:
        assert (there.output.directory / name).read_text() == "mine"
    assert len(names(there.output.directory)) == len(before) + 2
    with working(there) as service:
        for job in service.page("succeeded").jobs:
            assert Path(job.output).name not in before


def test_some_are_chosen_by_their_ids(home: Settings, tmp_path: Path) -> None:
    there, target = stage(tmp_path / "there"), tmp_path / "one.zip"
    job = next(job for job in jobs_of(home) if job.starred)
    assert export_jobs(home, [job.id, job.id], target, False, quiet) == Exported(1, 1, 0)
    import_jobs(there, target, quiet)
    assert [each.id for each in jobs_of(there)] == [job.id]
    with pytest.raises(InvalidRequest, match="no job"):
        export_jobs(home, ["0" * 32], tmp_path / "none.zip", False, quiet)
    assert not (tmp_path / "none.zip").exists()


Change = Callable[[dict[str, JsonObject], dict[str, bytes]], None]


def forged(file: Path, target: Path, change: Change) -> Path:
    """Write an archive again with other jobs (by id) or other files, and checksums that fit."""
    jobs: dict[str, JsonObject] = {}
    files: dict[str, bytes] = {}
    with reading(file, KIND) as archive:
        for name in archive.files:
            data = archive.read(name, 10**9)
            if name.startswith("jobs/"):
                jobs[name[5:-5]] = json.loads(data)
            else:
                files[name] = data
    change(jobs, files)
    with writing(target, KIND, True, lambda count: None) as writer:
        scratch = writer.folder / "scratch"
        for name, data in (
            files.items()
            | {f"jobs/{job}.json": json.dumps(value).encode() for job, value in jobs.items()}.items()
        ):
            scratch.write_bytes(data)
            writer.add(name, scratch)
    return target


def set_all(**changed: object) -> Change:
    def change(jobs: dict[str, JsonObject], files: dict[str, bytes]) -> None:
        for job in jobs.values():
            job.update(changed)

    return change


def first_of(jobs: dict[str, JsonObject]) -> JsonObject:
    return next(job for job in jobs.values() if job["starred"])


def swap_video(jobs: dict[str, JsonObject], files: dict[str, bytes]) -> None:
    files[f"videos/{first_of(jobs)['id']}.mp4"] = b"<script>alert(1)</script>" * 100


def swap_picture(jobs: dict[str, JsonObject], files: dict[str, bytes]) -> None:
    for name in files:
        if name.startswith("inputs/"):
            files[name] = b"no picture"


def stop(jobs: dict[str, JsonObject], files: dict[str, bytes]) -> None:
    generation = first_of(jobs)["generation"]
    assert isinstance(generation, dict)
    generation["fps"] = 0


def add_stranger(jobs: dict[str, JsonObject], files: dict[str, bytes]) -> None:
    files["../../../etc/cron.d/x"] = b"x"


HOSTILE: dict[str, Change] = {
    "status": set_all(status="running"),
    "no result": set_all(result=None),
    "id": lambda jobs, files: jobs.update(x={**first_of(jobs), "id": "../x"}),
    "another's id": lambda jobs, files: jobs.update(x=first_of(jobs)),
    "no inputs": set_all(inputs=[]),
    "too many": set_all(inputs=["a"] * 101),
    "numbers": set_all(attempt=-1),
    "time": set_all(created_at=1e300),
    "frames a second": stop,
    "huge": set_all(step=2**70),
    "nan": set_all(created_at=float("nan")),
    "owner": set_all(owner="a\nb"),
    "notices": set_all(notices=[{"code": "none.such"}]),
    "stranger": add_stranger,
    "video": swap_video,
    "picture": swap_picture,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_export_has_is_refused(file: Path, tmp_path: Path, what: str) -> None:
    there = stage(tmp_path / "there")
    bad = forged(file, tmp_path / "bad.zip", HOSTILE[what])
    with pytest.raises(I2VError) as caught:
        import_jobs(there, bad, quiet)
    assert caught.value.code == ("image.unknown_format" if what == "picture" else "archive.damaged")
    assert [path for path in tmp_path.rglob("*.mp4") if "there" in path.parts] == []
    if there.database.exists():
        assert [job for job in jobs_of(there) if job.status == "succeeded"] == []
        assert {path.suffix for path in there.inputs.iterdir()} <= {".picture", ".jpg"}


@pytest.mark.parametrize(
    "name", ["../../up.mp4", "/etc/x.mp4", "..", ".hidden.mp4", "a/b.mp4", "x" * 300, "\x00", "\ud800.mp4"]
)
def test_a_name_leads_nowhere_else(file: Path, tmp_path: Path, name: str) -> None:
    there = stage(tmp_path / "there")
    bad = forged(file, tmp_path / "bad.zip", set_all(output=name))
    assert import_jobs(there, bad, quiet).added == 4
    for job in jobs_of(there):
        assert Path(job.output).parent == there.output.directory
        assert not Path(job.output).name.startswith(".")


def test_another_jobs_id_is_not_taken(file: Path, tmp_path: Path) -> None:
    there = stage(tmp_path / "there")
    import_jobs(there, file, quiet)
    other = forged(file, tmp_path / "other.zip", set_all(created_at=1_700_000_000.0))
    assert import_jobs(there, other, quiet) == Imported(4, 0)
    assert import_jobs(there, other, quiet) == Imported(0, 4)
    assert len(jobs_of(there)) == 8
    assert len([job for job in jobs_of(there) if Path(job.output).is_file()]) == 4


@pytest.mark.parametrize("part", [0.55, 0.7, 0.9])
def test_an_import_that_is_killed_goes_on_the_next_time(file: Path, tmp_path: Path, part: float) -> None:
    there = stage(tmp_path / "there")

    assert in_child(lambda: import_jobs(there, file, kill_at(part))) == signal.SIGKILL
    assert import_jobs(there, file, quiet).added >= 1
    with working(there) as service:
        assert service.counts()["succeeded"] == 3
        for job in service.page("succeeded").jobs:
            assert service.thumbnail(job.id)
        assert len([job for job in service.page("succeeded").jobs if Path(job.output).is_file()]) == 2
