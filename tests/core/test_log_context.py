"""The id of a request: where it is known, and what may be one."""

from __future__ import annotations

import asyncio

import pytest
from anyio.to_thread import run_sync

from i2v.core.log_context import about_request, current_request_id, is_request_id, new_request_id


def test_it_follows_a_request_into_threads_and_ends_with_it() -> None:
    async def in_a_thread(request_id: str) -> str:
        with about_request(request_id):
            await asyncio.sleep(0)
            return await run_sync(current_request_id)

    async def both() -> list[str]:
        return await asyncio.gather(in_a_thread("a"), in_a_thread("b"))

    assert asyncio.run(both()) == ["a", "b"]
    assert current_request_id() == ""


def test_an_inner_request_gives_way_to_the_outer_one_again() -> None:
    with about_request("outer"):
        with about_request(None):
            assert current_request_id() == ""
        assert current_request_id() == "outer"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\nb", "é", "a/b", '"'])
def test_what_could_break_a_line_is_no_id(given: str) -> None:
    assert not is_request_id(given)


def test_new_ones_are_ids_and_no_two_are_alike() -> None:
    made = {new_request_id() for _ in range(100)}
    assert len(made) == 100
    assert all(is_request_id(each) for each in made)
