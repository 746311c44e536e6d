"""Services whose jobs wait, and services that have done them when `submit` returns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.executors.inline import InlineExecutor
from tests.decoded_once import decoded_once
from tests.rehearsal import ENGINES, stage
from tests.service.waiting import Waiting


@pytest.fixture(scope="module", autouse=True)
def _pictures_are_decoded_once() -> Iterator[None]:
    with decoded_once():
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


@pytest.fixture
def executor() -> Waiting:
    return Waiting()


@pytest.fixture
def service(settings: Settings, executor: Waiting) -> Iterator[Service]:
    """A service whose jobs stay in the queue."""
    made = Service(settings, JobStore(settings.database, max_queued=3), executor, ENGINES)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def working(settings: Settings) -> Iterator[Service]:
    """A service that has done its jobs when `submit` returns."""
    store = JobStore(settings.database)
    made = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    made.start()
    yield made
    made.stop()
