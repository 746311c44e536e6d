"""The whole service under seeded kill -9s of worker, server and both: nothing is lost, done twice or broken.

`python -m pytest tests/test_survival.py -s` prints how long it took to recover; `-m slow` kills 50 times.
"""

from __future__ import annotations

import queue
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from i2v.core.settings import Settings
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from i2v.workers.cleanup import is_published
from tests.rehearsal import find_workers, stage
from tests.survivor import KILL_BOTH, KILL_WORKER

PROMPT = "step: sleep 0.06; frame: sleep 0.02"  # with encoding, about half a second
AFTER_THE_RENAME = {"worker after the rename": KILL_WORKER, "both after the rename": KILL_BOTH}
KINDS = ("worker", "server", "both", *AFTER_THE_RENAME)


class Server:
    """The server process, started anew when it has died."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self._command = [sys.executable, "-m", "tests.survivor", folder, str(workers)]
        self._dead: list[subprocess.Popen[str]] = []
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def restart(self) -> None:
        self.process.wait(60)
        self._dead.append(self.process)
        self.process = self._start()

    def ask(self, line: str) -> str:
        """Return the answer, or nothing if the server dies meanwhile."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(line, file=process.stdin, flush=True)
        except OSError:
            return ""
        answer = process.stdout.readline().strip()
        return process.stdout.readline().strip() if answer == "ready" else answer

    def stop(self) -> None:
        """End the server in order, and close what is left of the others."""
        for process in (self.process, *self._dead):
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait(60)
            process.stdout.close()


class Client:
    """Submits in a thread, and asks again with the same key until it has an answer."""

    def __init__(self, server: Server, store: JobStore) -> None:
        self._server = server
        self._store = store
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.wishes: queue.SimpleQueue[str] = queue.SimpleQueue()  # prompts, before the usual ones
        self.accepted: list[str] = []
        self.keys = 0

    def _run(self) -> None:
        while not self._over.wait(0.01):
            if self._store.counts()["queued"] < 3:
                self.keys += 1
                prompt = PROMPT if self.wishes.empty() else self.wishes.get()
                while not (job_id := self._server.ask(f"{self.keys} {prompt}")):
                    if self._over.wait(0.01):  # only where the test fails: the server is not started again
                        return
                self.accepted.append(job_id)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def wait_for_job(store: JobStore, ending: str = "", but_not: str | None = None) -> Job:
    """Wait for a running job: with a prompt of this `ending`, in its first attempt; not of this worker."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for job in store.page("running").jobs:
            is_meant = not ending or (job.attempt == 1 and str(job.request["prompt"]).endswith(ending))
            if is_meant and job.owner != but_not:
                return job
        time.sleep(0.002)
    raise AssertionError("no such job is running")


def kill(kind: str, server: Server, client: Client, store: JobStore, chance: random.Random) -> float:
    """Kill, wait until a worker is running a job again, and return how long that took."""
    if kind in AFTER_THE_RENAME:
        client.wishes.put(PROMPT + AFTER_THE_RENAME[kind])
        victim = wait_for_job(store, AFTER_THE_RENAME[kind])
        while not Path(victim.output).exists():  # it dies right after that, by itself
            time.sleep(0.001)
        start = time.monotonic()
    else:
        victim = wait_for_job(store)
        time.sleep(chance.uniform(0, 0.6))
        start = time.monotonic()
        if kind != "server":
            (worker,) = find_workers(server.process.pid)
            worker.kill()
        if kind != "worker":
            server.process.kill()
    if not kind.startswith("worker"):
        server.restart()
    wait_for_job(store, but_not=victim.owner)
    return time.monotonic() - start


def schedule(kills: int, chance: random.Random) -> list[str]:
    """Return each kind about as often, in any order."""
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    chance.shuffle(kinds)
    return kinds


def assert_nothing_was_lost(store: JobStore, settings: Settings, accepted: list[str]) -> Counter[str]:
    """Hold every job and every file to what was promised, and return how the attempts ended."""
    jobs = store.page(limit=10_000).jobs
    assert sorted(accepted) == sorted(job.id for job in jobs), "accepted and lost, or there twice"
    for job in jobs:
        endings = [attempt.ending for attempt in job.history]
        if job.status == "failed":
            assert job.error is not None
            assert (job.error["code"], job.deaths) == ("job.worker_died", 2)
            continue
        assert job.status == "succeeded"
        assert endings.count("succeeded") == 1
        assert probe(Path(job.output)).num_frames == 4, "broken"
        assert is_published(job), "somebody else's"
        if str(job.request["prompt"]).endswith((KILL_WORKER, KILL_BOTH)):
            assert len(endings) >= 2, "it did not die"
            assert Path(job.output).stat().st_mtime <= job.history[0].ended_at, "done twice"
    videos = {str(path) for path in settings.output.directory.iterdir()}
    assert videos == {job.output for job in jobs if job.status == "succeeded"}, "parts, or videos of nobody"
    assert {path.stem for path in settings.inputs.iterdir()} == {Path(name).stem for name in store.inputs()}
    with closing(sqlite3.connect(settings.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    return Counter(attempt.ending for job in jobs for attempt in job.history)


FEW = ["worker after the rename", "server", "both after the rename"]


@pytest.mark.parametrize(
    ("few", "kills", "seed"), [(FEW, 3, 1), pytest.param([], 50, 2, marks=pytest.mark.slow)]
)
def test_a_killed_service_loses_nothing(tmp_path: Path, few: list[str], kills: int, seed: int) -> None:
    chance = random.Random(seed)
    settings = stage(tmp_path)
    recoveries: dict[str, list[float]] = {kind: [] for kind in KINDS}
    server = Server(tmp_path)
    with closing(JobStore(settings.database)) as store:
        try:
            with Client(server, store) as client:
                for kind in few or schedule(kills, chance):
                    recoveries[kind].append(kill(kind, server, client, store, chance))
            end = time.monotonic() + 60
            while store.counts()["queued"] + store.counts()["running"]:
                assert time.monotonic() < end, "the service stands still"
                time.sleep(0.05)
        finally:
            server.stop()
        endings = assert_nothing_was_lost(store, settings, client.accepted)
        ends = {status: count for status, count in store.counts().items() if count}
    assert endings["died"] >= max(1, kills // 4), "hardly a worker died at work: nothing was tested"
    assert endings["interrupted"] >= max(1, kills // 4), "hardly a server died at work: nothing was tested"
    print(f"\n{kills} kills, jobs: {ends}, attempts: {dict(endings)}")
    for kind, taken in recoveries.items():
        if not taken:
            continue
        print(f"recovered from a killed {kind}: {report(taken)}")
    print(f"recovered from all: {report([seconds for taken in recoveries.values() for seconds in taken])}")


def report(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s of {len(ordered)}"
