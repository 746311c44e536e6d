"""service.job_files: a video is played only where it is whole, and removed only where it is the job's own."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.jobs.model import Job, OwnedFiles
from i2v.jobs.store import JobStore
from i2v.media.outputs import OutputFile
from i2v.service.job_files import check_video, has_video, remove_video, video_bytes, video_problem
from i2v.workers.executors.inline import InlineExecutor
from tests.clips import write
from tests.rehearsal import ENGINES, stage, submit

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Job]:
    """Two jobs that have made their videos."""
    settings = stage(tmp_path_factory.mktemp("made"))
    store = JobStore(settings.database)
    jobs = [submit(store, settings) for _ in range(2)]
    InlineExecutor(settings, store, ENGINES).wake()
    first, second = (store.get(job.id) for job in jobs)
    assert (first.status, second.status) == ("succeeded", "succeeded")
    store.close()
    return first, second


@pytest.fixture
def job(made: tuple[Job, Job], tmp_path: Path) -> Job:
    """A job with a copy of its video, in a folder of its own."""
    path = tmp_path / "videos" / "video.mp4"
    path.parent.mkdir()
    shutil.copy(made[0].output, path)
    return replace(made[0], output=str(path))


def owned(job: Job) -> OwnedFiles:
    return OwnedFiles(job.id, job.inputs, job.output, job.finished_at)


def replaced_by(make: Change) -> Change:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def link_to_another(path: Path) -> None:
    path.symlink_to(write(OutputFile(path.with_name("other.mp4"))).path)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def cut(part: float) -> Change:
    return lambda path: os.truncate(path, int(part * path.stat().st_size))


def lose_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def turn_the_folder_into_a_file(path: Path) -> None:
    lose_the_folder(path)
    path.parent.write_text("x")


MISSING: dict[str, Change] = {
    "removed": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("moved.mp4")),
    "a folder": replaced_by(Path.mkdir),
    "a fifo": replaced_by(os.mkfifo),
    "empty": lambda path: os.truncate(path, 0),
    "no folder": lose_the_folder,
    "a file for a folder": turn_the_folder_into_a_file,
    "a dangling link": replaced_by(lambda path: path.symlink_to("nowhere.mp4")),
}
BROKEN: dict[str, Change] = {
    "text": lambda path: path.write_text("no video"),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 50),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "three bytes": lambda path: path.write_bytes(b"abc"),
    "cut": cut(0.5),
    "nearly whole": cut(0.99),
    "a link in a circle": replaced_by(link_to_itself),
}


@pytest.mark.parametrize(
    ("problem", "change"),
    [("missing", change) for change in MISSING.values()] + [("broken", change) for change in BROKEN.values()],
    ids=[*MISSING, *BROKEN],
)
def test_what_is_not_there_or_not_whole_is_no_video(job: Job, problem: str, change: Change) -> None:
    path = Path(job.output)
    assert has_video(job)
    assert check_video(job) == path
    change(path)
    assert (has_video(job), video_problem(job)) == (False, problem)
    with pytest.raises(InvalidRequest) as caught:
        check_video(job)
    assert (caught.value.code, caught.value.params["path"]) == (f"job.video_{problem}", str(path))


def test_a_file_that_may_not_be_read_is_reported(job: Job) -> None:
    path = Path(job.output)
    path.chmod(0)
    child = os.fork()
    if child == 0:  # who runs the tests may be allowed everything; nobody is not
        if os.getuid() == 0:
            os.setuid(65534)
        os._exit(0 if video_problem(job) is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_without_descriptors_does_not_take_videos_for_broken(job: Job) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        problem = video_problem(job)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert problem is None


def test_what_follows_the_frames_is_not_looked_at(job: Job) -> None:
    with Path(job.output).open("ab") as file:
        file.write(b"something that a player skips")
    assert has_video(job)


def test_looking_takes_no_decoding(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a page of the API lists 200 videos: a process for each takes seconds")

    monkeypatch.setattr("subprocess.Popen.__init__", refuse)
    assert has_video(job)


def test_the_jobs_own_video_is_removed_once(job: Job) -> None:
    assert video_bytes(owned(job)) == Path(job.output).stat().st_size
    assert remove_video(job) == "removed"
    assert remove_video(job) == "missing"
    assert video_bytes(owned(job)) == 0


@pytest.mark.parametrize("change", MISSING.values(), ids=MISSING)
def test_what_is_missing_is_removed_without_a_trace_of_its_place(job: Job, change: Change) -> None:
    path = Path(job.output)
    change(path)
    before = os.path.lexists(path)
    assert remove_video(job) == ("kept" if before else "missing")
    assert os.path.lexists(path) == before
    assert video_bytes(owned(job)) == 0


@pytest.mark.parametrize("make", [
    lambda path: write(OutputFile(path)), link_to_another, lambda path: path.write_text("precious"),
], ids=["a clip", "a link", "text"])  # fmt: skip
def test_what_others_put_in_its_place_is_left_to_them(job: Job, make: Change) -> None:
    path = Path(job.output)
    path.unlink()
    make(path)
    before = path.read_bytes()
    assert remove_video(job) == "kept"
    assert path.read_bytes() == before
    assert video_bytes(owned(job)) == 0


def test_another_jobs_video_under_its_name_is_left_alone(made: tuple[Job, Job], job: Job) -> None:
    shutil.copy(made[1].output, job.output)
    assert remove_video(job) == "kept"
    assert Path(job.output).exists()


def test_a_link_to_the_jobs_own_video_is_not_followed(job: Job, tmp_path: Path) -> None:
    path = Path(job.output)
    elsewhere = path.rename(tmp_path / "on another disk.mp4")
    path.symlink_to(elsewhere)
    assert has_video(job)  # it is played all the same
    assert remove_video(job) == "kept"
    assert elsewhere.exists()


def test_a_video_that_cannot_be_removed_is_an_error_that_names_it(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)  # whoever runs the tests may be allowed everything
    with pytest.raises(I2VError) as caught:
        remove_video(job)
    assert caught.value.code == "job.not_removed"
    assert caught.value.params == {"path": job.output, "reason": "Permission denied"}
