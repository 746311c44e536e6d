"""A service on a Ray cluster under seeded kills of actors, nodes, its connection and itself: nothing is lost.

`python -m pytest tests/test_ray_survival.py -m slow -s` prints what happened; it needs the package ray.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from i2v.jobs.model import Job
from tests.ray_cluster import RayHouse, find_actors, open_ray_cluster
from tests.rehearsal import find_workers
from tests.test_survival import assert_nothing_was_lost

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

NODES = 3
KINDS = ("actor", "node", "connection", "service")
PROMPT = "step: sleep 0.2; frame: sleep 0.1"


class Trial:
    """The service's process, the cluster, and what was seen of both."""

    def __init__(self, house: RayHouse, chance: random.Random) -> None:
        self._house = house
        self._chance = chance
        self._added = 0
        self.recoveries: list[float] = []  # seconds from a kill until the job that it hit was given back
        self._start()

    def _start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.ray_survivor",
            self._house.folder,
            self._house.cluster.address,
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def kill(self, kind: str) -> bool:
        """Kill when a job is running, after a while; False: none is left."""
        store = self._house.store
        end = time.monotonic() + 240
        while not (running := store.page("running").jobs):
            counts = store.counts()
            if not counts["queued"] + counts["running"]:
                return False
            assert time.monotonic() < end, "the service stands still"
            time.sleep(0.01)
        time.sleep(self._chance.uniform(0, 1))
        victim, killed = self._chance.choice(running), time.monotonic()
        if kind == "actor":
            actors = find_actors()
            if actors:
                self._chance.choice(actors).kill()
        elif kind == "node":
            nodes = sorted(self._house.cluster.worker_nodes, key=lambda node: node.node_id)
            self._house.cluster.remove_node(self._chance.choice(nodes), allow_graceful=False)
        elif kind == "connection":
            for process in find_workers(self.process.pid):
                process.kill()
        else:
            self.process.kill()
            self._end()
            self._start()
        self._note_recovery(victim, killed)
        if kind == "node":
            self._added += 1
            self._house.add_node(f"added{self._added}")
        return True

    def _note_recovery(self, victim: Job, killed: float) -> None:
        """Note how long it took until the job was given back, if the kill has hit it."""
        while time.monotonic() - killed < 60:
            endings = self._house.store.get(victim.id).history[len(victim.history) :]
            if endings:
                if endings[0].ending != "succeeded":
                    self.recoveries.append(time.monotonic() - killed)
                return
            time.sleep(0.01)

    def finish(self) -> None:
        end = time.monotonic() + 300
        while self._house.store.counts()["queued"] + self._house.store.counts()["running"]:
            assert time.monotonic() < end, "the service stands still"
            time.sleep(0.05)

    def stop(self) -> None:
        """End the service in order."""
        self._end()

    def _end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


@pytest.mark.parametrize(("jobs", "kills", "seed"), [(12, 4, 1), (40, 16, 2)])
def test_a_cluster_under_kills_loses_nothing(tmp_path: Path, jobs: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    schedule = [KINDS[number % len(KINDS)] for number in range(kills)]
    chance.shuffle(schedule)
    with open_ray_cluster(tmp_path, NODES) as house:
        accepted = [house.submit(PROMPT).id for _ in range(jobs)]
        trial = Trial(house, chance)
        try:
            done = [kind for kind in schedule if trial.kill(kind)]
            trial.finish()
        finally:
            trial.stop()
        endings = assert_nothing_was_lost(house.store, house.settings, accepted)
        statuses = {status: count for status, count in house.store.counts().items() if count}
    seconds = sorted(trial.recoveries)
    print(f"\n{Counter(done)}, jobs: {statuses}, attempts: {dict(endings)}")
    print(f"given back after (s): {[round(each, 1) for each in seconds]}")
    assert len(done) == kills, "the jobs were done before"
