"""The store under real processes: they race for jobs and die at any moment; nothing is lost or done twice."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from i2v.jobs.store import JobStore
from tests.job_crew import Crew, crew, read_logs, submission


def wait_until(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{what} did not happen in {seconds} s"
        time.sleep(0.01)


def assert_sound(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    running = connection.execute("SELECT id FROM jobs WHERE status = 'running'").fetchall()
    assert connection.execute("SELECT id FROM previews").fetchall() == running
    connection.close()


def test_each_job_is_claimed_by_exactly_one_of_four_processes(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.db", max_queued=100)
    jobs = [store.submit(submission()).id for _ in range(100)]
    with crew(tmp_path / "jobs.db", tmp_path) as members:
        pids = [members.start("claim") for _ in range(4)]
        wait_until(lambda: len(list(tmp_path.glob("claimed-*.log"))) == 4, "the start of all four")
        (tmp_path / "go").touch()
        for pid in pids:
            members.wait(pid)
    claims = read_logs(tmp_path, "claimed")
    assert sorted(claims) == sorted(jobs)
    owners = {job.owner for job in store.page(limit=100).jobs}
    assert len(owners) > 1, "one process took all: nothing raced"
    assert owners <= {str(pid) for pid in pids}
    store.close()


def test_the_job_of_a_process_that_is_gone_is_found_by_time_alone(tmp_path: Path) -> None:
    seconds = 0.0
    store = JobStore(tmp_path / "jobs.db", monotonic=lambda: seconds)
    store.submit(submission())
    (tmp_path / "go").touch()
    with crew(tmp_path / "jobs.db", tmp_path) as members:
        members.wait(members.start("claim"))
    assert store.recover_orphans((), 60) == []
    seconds = 60.0
    assert [job.deaths for job in store.recover_orphans((), 60)] == [1]
    store.close()


def holds_a_job(store: JobStore, pid: int) -> bool:
    return str(pid) in {job.owner for job in store.page("running").jobs}


def kill_at_random(members: Crew, store: JobStore, kills: int, seed: int) -> dict[str, int]:
    """Kill -9 one process after another, start another for each, and return the kills by role."""
    chance = random.Random(seed)
    killed = {"submit": 0, "work": 0}
    for _ in range(kills):
        time.sleep(chance.uniform(0.02, 0.08))
        pid = chance.choice(list(members.roles))
        if members.roles[pid] == "work":  # a busy machine takes its time to start it
            wait_until(lambda pid=pid: holds_a_job(store, pid), "a job of the worker")
        role = members.kill(pid)
        killed[role] += 1
        if role == "work":
            assert len(store.recover(str(pid))) <= 1
        members.start(role)
    return killed


@pytest.mark.parametrize(("kills", "seed"), [(12, 1), pytest.param(500, 3, marks=pytest.mark.slow)], ids=str)
def test_killed_processes_lose_no_job_and_do_none_twice(tmp_path: Path, kills: int, seed: int) -> None:
    path = tmp_path / "jobs.db"
    store = JobStore(path)
    with crew(path, tmp_path) as members:
        for role in ("submit", "work", "work"):
            members.start(role)
        wait_until(lambda: store.counts()["succeeded"] > 0, "the first job")
        killed = kill_at_random(members, store, kills, seed)
        for pid in [pid for pid, role in members.roles.items() if role == "submit"]:
            killed[members.kill(pid)] += 1
        wait_until(lambda: store.counts()["queued"] + store.counts()["running"] == 0, "the last job")
    assert_sound(path)
    jobs = store.page(limit=1_000_000).jobs
    accepted, finished = read_logs(tmp_path, "accepted"), read_logs(tmp_path, "finished")
    assert len(accepted) > kills
    assert set(accepted) <= {job.id for job in jobs}, "accepted, and lost"
    assert len(jobs) - len(accepted) <= killed["submit"], "stored, but nobody submitted it"
    assert sum(job.deaths for job in jobs) <= killed["work"]
    assert sum(job.deaths for job in jobs) > 0, "no worker died at work: nothing was tested"
    for job in jobs:
        endings = [attempt.ending for attempt in job.history]
        if job.status == "succeeded":
            assert endings == ["died"] * job.deaths + ["succeeded"]
            assert Path(job.output).read_text() == job.id
        else:
            assert job.status == "failed"
            assert job.error["code"] == "job.worker_died"
            assert endings == ["died", "died"]
    assert len(finished) == len(set(finished)), "done twice"
    assert set(finished) <= {job.id for job in jobs if job.status == "succeeded"}
    store.close()
