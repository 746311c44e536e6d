"""Receivers that fail, stall, lie and recover, and a service that is killed meanwhile: every message arrives.

`python -m pytest tests/test_webhook_survival.py -m slow -s` prints the figures.
"""

from __future__ import annotations

import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifier

from tests.receivers import (
    Answer,
    Handler,
    Receiver,
    drip,
    endless_headers,
    hang_up,
    huge_body,
    nonsense,
    receiving,
    stall,
    status,
)
from tests.rehearsal import stage
from tests.webhook_server import EVENTS, SECRET

JOBS, KILLS = 150, 12
PATIENCE = 240.0  # seconds for what is left when all receivers have recovered
TAKEN = (status(204), status(200), huge_body)  # answers that count as taken


@dataclass
class Moody:
    """A receiver's moods: one of `answers` at random, until it has recovered."""

    answers: tuple[Answer, ...]
    seed: int
    recovered: threading.Event
    taken: Counter[str] = field(default_factory=Counter)  # webhook-ids that were answered with 2xx

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def __call__(self, handler: Handler) -> None:
        answer = TAKEN[0] if self.recovered.is_set() else self._draw.choice(self.answers)
        if answer in TAKEN:
            self.taken[handler.headers["webhook-id"]] += 1
        answer(handler)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(folder: Path, urls: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.webhook_server", str(folder), str(JOBS), *urls]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def query(database: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return connection.execute(statement).fetchall()


def is_done(database: Path) -> bool:
    """Tell whether all jobs have ended, all of it was read, and nothing is pending."""
    (ended,) = query(database, "SELECT count(*) FROM outbox WHERE event = 'failed'")
    (left,) = query(
        database,
        """SELECT (SELECT max(number) FROM outbox) - (SELECT number FROM outbox_readers)
           + (SELECT count(*) FROM deliveries WHERE status = 'pending')""",
    )
    return ended == (JOBS,) and left == (0,)


def check(receiver: Receiver, moody: Moody, expected: int) -> int:
    """Hold what a receiver got to the outbox; return how many messages it took more than once."""
    bodies: dict[str, set[bytes]] = {}
    for each in receiver.received:
        Verifier(SECRET).verify(each.body, each.headers)
        bodies.setdefault(each.headers["webhook-id"], set()).add(each.body)
    assert len(bodies) == expected, "messages, by their ids"
    assert {len(copies) for copies in bodies.values()} == {1}, "one id, one body"
    assert set(moody.taken) == set(bodies), "each was taken in the end"
    return sum(count > 1 for count in moody.taken.values())


@pytest.mark.slow
def test_every_message_arrives_whatever_receivers_and_kills_do(tmp_path: Path) -> None:
    recovered, draw = threading.Event(), random.Random(7)
    database = stage(tmp_path).database
    moods = {
        "steady": (TAKEN[0],),
        "failing": (status(500), status(404), hang_up, nonsense, TAKEN[1]),
        "stalling": (stall(3), drip, TAKEN[1]),
        "lying": (status(302, Location="http://127.0.0.1:1/"), endless_headers, huge_body),
    }
    moody = {name: Moody(answers, seed, recovered) for seed, (name, answers) in enumerate(moods.items())}
    moody["away"] = Moody((TAKEN[0],), 9, recovered)
    away = free_port()
    with ExitStack() as stack:
        receivers = {name: stack.enter_context(receiving(moody[name])) for name in moods}
        urls = [f"{each.url}?{name}" for name, each in receivers.items()] + [f"http://127.0.0.1:{away}/hook"]
        began = time.monotonic()
        process = start(tmp_path, urls)
        for _ in range(KILLS):
            time.sleep(draw.uniform(0.5, 3.0))
            process.kill()
            process.communicate()
            process = start(tmp_path, urls)
        receivers["away"] = stack.enter_context(receiving(moody["away"], port=away))
        recovered.set()
        killed = time.monotonic()
        while not is_done(database):
            assert time.monotonic() - killed < PATIENCE, query(
                database, "SELECT host, status, count(*) FROM deliveries GROUP BY 1, 2"
            )
            time.sleep(0.1)
        done = time.monotonic()
        process.kill()
        process.communicate()
    names = ", ".join(f"'{event.removeprefix('job.')}'" for event in EVENTS)
    ((expected,),) = query(database, f"SELECT count(*) FROM outbox WHERE event IN ({names})")
    assert isinstance(expected, int)
    assert query(database, "SELECT DISTINCT status FROM deliveries") == [("delivered",)]
    repeated = {name: check(receivers[name], moody[name], expected) for name in receivers}
    attempts = {name: len(each.received) for name, each in receivers.items()}
    print(
        f"\n{JOBS} jobs, {expected} reports, {len(receivers)} receivers, {KILLS} kills:"
        f" requests {attempts}, taken more than once {repeated};"
        f" {killed - began:.0f} s under kills, {done - killed:.0f} s to the last message"
    )
