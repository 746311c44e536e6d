"""The house that the tests of executors share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from i2v.workers.executors import supervisor, watch
from tests.house import Clock, House, open_house


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what happens noticed, and a worker started again, sooner than a person needs it."""
    monkeypatch.setattr(watch, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(supervisor, "FIRST_BACK_OFF", 0.02)
    monkeypatch.setattr(supervisor, "RETRY_SECONDS", 0.1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests of a file that need no other settings: a worker that dies is started again anyway."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened
