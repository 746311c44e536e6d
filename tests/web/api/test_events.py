"""i2v.web.api.events: the stream itself; what it tells of a real job is in test_api."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from i2v.jobs.model import Job
from i2v.web.api.events import Seen, event_stream


def read(silence: list[float], heartbeat: float) -> list[bytes]:
    """Return the stream of a job of which nothing is heard for these seconds, one after another."""

    async def nothing() -> AsyncIterator[Job | None]:
        for seconds in silence:
            await anyio.sleep(seconds)
            yield None

    async def collect() -> list[bytes]:
        return [chunk async for chunk in event_stream(nothing(), Seen(), lambda job: "", "", heartbeat)]

    return anyio.run(collect)


def test_a_long_silence_is_broken_by_comments() -> None:
    chunks = read([0.03] * 10, heartbeat=0.1)
    assert 1 <= len(chunks) <= 3
    assert all(chunk.startswith(b":") and chunk.endswith(b"\n\n") for chunk in chunks)


def test_a_short_silence_is_left_alone() -> None:
    assert read([0.0] * 10, heartbeat=5) == []


def test_an_events_id_is_read_back() -> None:
    assert Seen.parse(str(Seen(7, 2, 5))) == Seen(7, 2, 5)
    assert Seen.parse("7-2") == Seen.parse("a-b-c") == Seen.parse(None) == Seen()
