"""i2v.jobs.devices: which job a worker on a device is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.jobs.devices import UNKNOWN
from i2v.jobs.store import JobStore
from tests.rehearsal import stage, submit

GIB = 2**30


class Queue:
    """A store with two cards, one of 24 and one of 8 GiB, and jobs by the names that a test gives them."""

    def __init__(self, folder: Path) -> None:
        self._settings = stage(folder)
        self.store = JobStore(self._settings.database)
        self.store.devices.replace(["cuda:0", "cuda:1"])
        self.store.devices.measured("cuda:0", 24 * GIB)
        self.store.devices.measured("cuda:1", 8 * GIB)
        self._names: dict[str, str] = {}

    def submit(
        self, name: str, device: str | None = None, gib: int | None = None, source: str = "", extends: int = 0
    ) -> None:
        accept = self.store.submit
        needed = None if gib is None else gib * GIB
        self.store.submit = lambda new: accept(  # type: ignore[method-assign]
            replace(
                new,
                wanted_device=device,
                needed_bytes=needed,
                generation=replace(new.generation, source=source, extends=extends),
            )
        )
        self._names[submit(self.store, self._settings).id] = name
        self.store.submit = accept  # type: ignore[method-assign]

    def claim(self, device: str | None) -> str | None:
        seen = self.store.queue.claimable(device, 1)
        claim = self.store.claim("owner", device)
        assert seen == ([] if claim is None else [claim.job.id])
        if claim is None:
            return None
        assert claim.job.device == device
        return self._names[claim.job.id]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path)
    yield made
    made.store.close()


def test_a_job_goes_to_a_device_that_it_fits_and_lets_later_ones_pass(queue: Queue) -> None:
    queue.submit("large", gib=20)
    queue.submit("small", gib=4)
    queue.submit("unmeasured")
    assert queue.claim("cuda:1") == "small"
    assert queue.claim("cuda:1") == "unmeasured"
    assert queue.claim("cuda:1") is None
    assert queue.claim("cuda:0") == "large"


def test_what_fits_nowhere_goes_to_the_largest(queue: Queue) -> None:
    queue.submit("huge", gib=100)
    assert queue.claim("cuda:1") is None
    assert queue.claim("cuda:0") == "huge"


def test_a_job_waits_for_the_device_that_it_asks_for_also_where_it_does_not_fit(queue: Queue) -> None:
    queue.submit("asks", device="cuda:1", gib=100)
    queue.submit("next")
    assert queue.claim("cuda:0") == "next"
    assert queue.claim("cuda:0") is None
    assert queue.claim("cuda:1") == "asks"


def test_a_device_that_is_gone_holds_nothing_up(queue: Queue) -> None:
    queue.submit("asks", device="cuda:7")
    assert queue.claim("cuda:1") == "asks"


def test_a_device_of_which_nothing_is_known_yet_keeps_its_jobs_and_takes_all(queue: Queue) -> None:
    queue.store.devices.add(["cuda:1", "cuda:2"])  # the first is known already
    queue.submit("asks", device="cuda:2")
    queue.submit("large", gib=20)
    assert queue.claim("cuda:1") is None
    assert queue.claim("cuda:2") == "asks"
    assert queue.claim("cuda:2") == "large"


def test_without_a_device_and_on_the_only_one_all_may_be_taken(queue: Queue) -> None:
    queue.submit("asks", device="cuda:1")
    assert queue.claim(None) == "asks"
    queue.store.devices.replace(["cpu"])
    queue.store.devices.measured("cpu", GIB)
    queue.submit("huge", device="cuda:1", gib=100)
    assert queue.claim("cpu") == "huge"


def test_a_paused_queue_gives_no_device_anything(queue: Queue) -> None:
    queue.submit("any")
    queue.store.queue.pause(True)
    assert queue.claim("cuda:0") is None


def test_a_job_goes_where_the_weights_of_its_engine_are(queue: Queue) -> None:
    queue.store.devices.have_models("cuda:1", ["rehearsal"])
    queue.store.devices.have_models("cuda:0", ["other"])
    queue.store.check()  # SQLite may take a table for damaged whose key has another order than its columns
    queue.submit("first")
    assert queue.claim("cuda:0") is None
    assert queue.claim("cuda:1") == "first"
    queue.submit("large", gib=20)
    assert queue.claim("cuda:1") is None
    assert queue.claim("cuda:0") == "large", "it fits nowhere that has them, and its error says so"
    queue.submit("asks", device="cuda:0")
    assert queue.claim("cuda:0") == "asks"
    queue.store.devices.remove("cuda:1")
    queue.store.devices.add(["cuda:2"])
    queue.store.devices.have_models("cuda:2", [UNKNOWN])
    queue.submit("last")
    assert queue.claim("cuda:0") is None, "somebody may have them"
    queue.store.devices.have_models("cuda:2", [])
    assert queue.claim("cuda:0") == "last", "nobody has them"


def test_a_clip_is_enhanced_wherever_there_is_a_device(queue: Queue) -> None:
    queue.store.devices.have_models("cuda:1", ["rehearsal"])
    queue.store.devices.have_models("cuda:0", [UNKNOWN])
    queue.submit("extend", source="a" * 64, extends=8)
    assert queue.claim("cuda:0") is None, "its new frames need the engine"
    queue.submit("enhance", source="a" * 64)
    assert queue.claim("cuda:0") == "enhance"


def test_a_clip_is_made_longer_where_the_weights_are(queue: Queue) -> None:
    queue.store.devices.have_models("cuda:1", ["rehearsal"])
    queue.store.devices.have_models("cuda:0", [])
    queue.submit("extend", source="a" * 64, extends=4)
    assert queue.claim("cuda:0") is None
    assert queue.claim("cuda:1") == "extend"
