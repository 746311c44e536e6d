"""A service with three workers under seeded kill -9s of some of them, and of itself: no job lost, none twice.

`python -m pytest tests/test_device_survival.py -m slow -s` prints what happened, to four and to 30 kills.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from i2v.jobs.store import JobStore
from tests.rehearsal import find_workers, stage, submit
from tests.survivor import KILL_WORKER
from tests.test_survival import Server, assert_nothing_was_lost

WORKERS = 3
KINDS = {"one worker": 1, "two workers": 2, "server": 0, "all": WORKERS}  # and how many workers
PROMPT = "step: sleep 0.1; frame: sleep 0.05"


class Trial:
    """A server, its queue, and what was seen of both."""

    def __init__(self, folder: Path, store: JobStore, chance: random.Random) -> None:
        self._server = Server(folder, WORKERS)
        self._store = store
        self._chance = chance
        self.most = 0  # workers that had a job at the same time

    def wait_for_deaths(self, jobs: list[str]) -> None:
        """Wait until each of the jobs is in its second attempt."""
        end = time.monotonic() + 240
        while any(self._store.get(job).attempt < 2 for job in jobs):
            assert time.monotonic() < end, "they live"
            time.sleep(0.01)

    def wait(self, running: int) -> bool:
        """Wait until so many jobs run; False: none is left."""
        end = time.monotonic() + 240
        while time.monotonic() < end:
            owners = {job.owner for job in self._store.page("running").jobs}
            self.most = max(self.most, len(owners))
            counts = self._store.counts()
            if not counts["queued"] + counts["running"]:
                return False
            if len(owners) >= running and find_workers(self._server.process.pid):
                return True
            time.sleep(0.002)
        raise AssertionError("the service stands still")

    def kill(self, kind: str) -> bool:
        """Kill at a moment at which two workers or more are busy; False: no job is left."""
        if not self.wait(running=2):
            return False
        time.sleep(self._chance.uniform(0, 0.6))
        victims = find_workers(self._server.process.pid)
        self._chance.shuffle(victims)
        for worker in victims[: KINDS[kind]]:
            worker.kill()
        if kind in ("server", "all"):
            self._server.process.kill()
            self._server.restart()
        return True

    def stop(self) -> None:
        self._server.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "kills", "seed"), [(24, 4, 3), (100, 30, 4)])
def test_a_service_with_three_workers_loses_nothing(tmp_path: Path, jobs: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    schedule = [[*KINDS][number % len(KINDS)] for number in range(kills)]
    chance.shuffle(schedule)
    settings = stage(tmp_path)
    with closing(JobStore(settings.database)) as store:
        dying = [submit(store, settings, PROMPT + KILL_WORKER).id for _ in range(2)]
        accepted = [*dying, *(submit(store, settings, PROMPT).id for _ in range(jobs - 2))]
        trial = Trial(tmp_path, store, chance)
        try:
            trial.wait_for_deaths(dying)  # each after the rename, beside workers that go on
            done = [kind for kind in schedule if trial.kill(kind)]
            while trial.wait(running=WORKERS + 1):
                pass
        finally:
            trial.stop()
        endings = assert_nothing_was_lost(store, settings, accepted)
        ends = {status: count for status, count in store.counts().items() if count}
    assert trial.most == WORKERS, "they never worked at the same time"
    assert len(done) == kills, "the jobs were done before"
    assert endings["died"] >= kills // 2, "hardly a worker died at work"
    assert endings["interrupted"] >= kills // 2, "hardly a service died at work"
    print(f"\n{Counter(done)}, jobs: {ends}, attempts: {dict(endings)}")
