"""i2v.web.api.events: the stream itself; what it tells of a real job is in test_api."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import anyio
import pytest

from i2v.jobs.model import Job
from i2v.web.api.events import Seen, event_stream


def read(monkeypatch: pytest.MonkeyPatch, silence: list[float], heartbeat: float) -> list[bytes]:
    """Return the stream of a job of which nothing is heard for these seconds, one after another."""
    now = 0.0
    monkeypatch.setattr("i2v.web.api.events.time", SimpleNamespace(monotonic=lambda: now))

    async def nothing() -> AsyncIterator[Job | None]:
        nonlocal now
        for seconds in silence:
            now += seconds
            yield None

    async def collect() -> list[bytes]:
        return [chunk async for chunk in event_stream(nothing(), Seen(), lambda job: "", "", heartbeat)]

    return anyio.run(collect)


def test_a_long_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = read(monkeypatch, [3.0] * 10, heartbeat=10)
    assert len(chunks) == 2
    assert all(chunk.startswith(b":") and chunk.endswith(b"\n\n") for chunk in chunks)


def test_a_short_silence_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, [0.0] * 10, heartbeat=5) == []


def test_an_events_id_is_read_back() -> None:
    assert Seen.parse(str(Seen(7, 2, 5))) == Seen(7, 2, 5)
    assert Seen.parse("7-2") == Seen.parse("a-b-c") == Seen.parse(None) == Seen()
