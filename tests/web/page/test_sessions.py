"""`i2v.web.page.sessions`: how many windows are remembered, who is forgotten first, what nobody fetches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack

import gradio as gr
import pytest
import requests

import i2v.web.page.sessions
from i2v.core.errors import I2VError
from i2v.web.page.sessions import MAX_EVENTS, MAX_OPEN_SESSIONS, MAX_SESSIONS, Sessions
from tests.web.house import House
from tests.web.pages import page_house


@pytest.fixture
def sessions() -> Sessions:
    async def make() -> Sessions:
        with gr.Blocks() as blocks:
            box = gr.Textbox()
            box.change(lambda text: text, box, box)
        return Sessions(blocks)

    return asyncio.run(make())  # where it finds no loop, Gradio makes one that it never closes


def use(sessions: Sessions, *names: str) -> None:
    for name in names:
        assert sessions[name] is sessions[name]


def names(count: int, letter: str = "s") -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def test_no_more_windows_are_remembered_than_there_is_memory_for(sessions: Sessions) -> None:
    use(sessions, *names(3 * MAX_SESSIONS))
    assert list(sessions.session_data) == names(3 * MAX_SESSIONS)[-MAX_SESSIONS:]
    assert len(sessions.time_last_used) == MAX_SESSIONS


def test_an_open_window_is_not_forgotten_for_others(sessions: Sessions) -> None:
    with sessions.streaming("mine"):
        use(sessions, "mine", *names(3 * MAX_SESSIONS))
        assert "mine" in sessions
    use(sessions, *names(3 * MAX_SESSIONS))
    assert "mine" not in sessions


def test_open_windows_are_bounded_too(sessions: Sessions) -> None:
    with ExitStack() as stack:
        for name in names(2 * MAX_OPEN_SESSIONS):
            stack.enter_context(sessions.streaming(name))
            use(sessions, name)
        assert len(sessions.session_data) == MAX_OPEN_SESSIONS
        use(sessions, "new")
        assert "new" in sessions


def test_who_has_left_is_forgotten_after_a_while(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2v.web.page.sessions, "KEPT_SECONDS", -1.0)
    with sessions.streaming("open"):
        use(sessions, "open")
        asyncio.run(sessions.admit("left"))
        use(sessions, "left")
        sessions.delete_all_expired_state()
        assert list(sessions.session_data) == ["open"]


# --- over HTTP


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with page_house(tmp_path_factory.mktemp("page"), picture) as started:
        yield started


def live(house: House) -> int:
    events = house.session.get(f"{house.url}/config", timeout=30).json()["dependencies"]
    return int(next(event["id"] for event in events if event["api_name"] == "live"))


def join(house: House, function: int, session: str) -> requests.Response:
    body = {"data": [None], "fn_index": function, "session_hash": session}
    return house.session.post(f"{house.url}/gradio_api/queue/join", json=body, timeout=30)


def first_word(house: House, session: str) -> dict[str, object]:
    address = f"{house.url}/gradio_api/queue/data?session_hash={session}"
    with requests.get(address, stream=True, timeout=30) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data: ") and "process_generating" in line:
                found: dict[str, object] = json.loads(line[6:])
                return found
    raise AssertionError("the stream ended")


def test_one_window_has_so_many_events_under_way_and_others_are_served(house: House) -> None:
    function = live(house)
    answers = [join(house, function, "greedy") for _ in range(MAX_EVENTS + 3)]
    assert [answer.status_code for answer in answers[:MAX_EVENTS]] == [200] * MAX_EVENTS
    assert {answer.status_code for answer in answers[MAX_EVENTS:]} == {429}
    assert answers[-1].json()["code"] == "page.busy"
    assert join(house, function, "modest").ok
    assert first_word(house, "modest")["success"] is True


@pytest.mark.slow
def test_events_whose_answers_nobody_fetches_make_room_for_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i2v.web.page.sessions, "MAX_ALL_EVENTS", 15)
    function = live(house)
    for number in range(20):
        assert join(house, function, f"silent{number}").status_code == 200
    assert join(house, function, "modest2").ok
    assert first_word(house, "modest2")["success"] is True
    left = house.session.get(f"{house.url}/gradio_api/queue/data?session_hash=silent0", timeout=30)
    assert (left.status_code, left.json()["code"]) == (404, "page.unknown_session")


def test_where_all_are_fetched_no_more_is_let_in(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2v.web.page.sessions, "MAX_ALL_EVENTS", 0)
    with sessions.streaming("open"), pytest.raises(I2VError) as caught:
        asyncio.run(sessions.admit("another"))
    assert caught.value.code == "page.busy"
