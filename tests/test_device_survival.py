"""A service with three workers under seeded kill -9s of some of them, and of itself: no job lost, none twice.

`python -m pytest tests/test_device_survival.py -s` prints what happened; `-m slow` kills 30 times.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from i2v.jobs.store import JobStore
from tests.rehearsal import find_workers, stage
from tests.survivor import KILL_BOTH, KILL_WORKER
from tests.test_survival import Client, Server, assert_nothing_was_lost

WORKERS = 3
KINDS = ("one", "two", "server", "all", "one after the rename", "server after the rename")
PROMPT = "step: sleep 0.06; frame: sleep 0.02"


def kill(kind: str, server: Server, client: Client, store: JobStore, chance: random.Random) -> None:
    """Kill at some moment at which all workers are busy, or as many as there are within a minute."""
    if kind.endswith("after the rename"):
        client.wishes.put(PROMPT + (KILL_WORKER if kind.startswith("one") else KILL_BOTH))
        if kind.startswith("server"):
            server.process.wait(120)
            server.restart()
        return
    end = time.monotonic() + 60
    while store.counts()["running"] < WORKERS and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.6))
    victims: list[psutil.Process] = find_workers(server.process.pid)
    chance.shuffle(victims)
    for worker in victims[: {"one": 1, "two": 2, "server": 0, "all": WORKERS}[kind]]:
        worker.kill()
    if kind in ("server", "all"):
        server.process.kill()
        server.restart()


@pytest.mark.parametrize(("kills", "seed"), [(6, 3), pytest.param(30, 4, marks=pytest.mark.slow)])
def test_a_service_with_three_workers_loses_nothing(tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    schedule = [KINDS[number % len(KINDS)] for number in range(kills)]
    chance.shuffle(schedule)
    settings = stage(tmp_path)
    server = Server(tmp_path, WORKERS)
    most = 0
    with closing(JobStore(settings.database)) as store:
        try:
            with Client(server, store, queued=6) as client:
                for kind in schedule:
                    kill(kind, server, client, store, chance)
                    most = max(most, len({job.owner for job in store.page("running").jobs}))
                while len(client.accepted) < 24:
                    time.sleep(0.05)
                    most = max(most, len({job.owner for job in store.page("running").jobs}))
            end = time.monotonic() + 120
            while store.counts()["queued"] + store.counts()["running"]:
                assert time.monotonic() < end, "the service stands still"
                time.sleep(0.05)
        finally:
            server.stop()
        endings = assert_nothing_was_lost(store, settings, client.accepted)
        ends = {status: count for status, count in store.counts().items() if count}
        by_owner = Counter(job.device for job in store.page(limit=10_000).jobs)
    assert most == WORKERS, "they never worked at the same time: nothing was tested"
    assert endings["died"] >= kills // 3, "hardly a worker died at work"
    assert endings["interrupted"] >= kills // 3, "hardly a service died at work"
    assert set(by_owner) == {"cpu"}
    print(f"\n{kills} kills, jobs: {ends}, attempts: {dict(endings)}")
