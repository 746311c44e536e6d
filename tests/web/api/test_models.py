"""/api/v1/models: a download from a hub on this machine, begun, followed and cancelled over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from i2v.engines.registry import engines
from tests.web.house import House, running, wait_for
from tests.weights import hub as hubs
from tests.weights.families import ADAPTER, ASKING, repositories
from tests.weights.hub import Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with hubs.running(Hub(hubs.make_files(), speed=100_000)) as started:
        yield started


@contextmanager
def opened(folder: Path, picture: bytes, hub: Hub) -> Iterator[House]:
    flags = {"sources": hub.address, "search_paths": (), "hub_cache": folder / "nowhere"}
    given = {f"models__{name}": value for name, value in flags.items()}
    with running(folder, picture, {**engines(), "asking": ASKING}, **given) as started:
        yield started


@pytest.fixture
def house(tmp_path: Path, picture: bytes, hub: Hub) -> Iterator[House]:
    with opened(tmp_path, picture, hub) as started:
        yield started


def test_a_download_is_begun_followed_cancelled_and_gone_on_with(house: House, hub: Hub) -> None:
    models = {model["name"]: model for model in house.get("/models").json()["models"]}
    assert models["embedded"]["state"] == "available"
    assert models["embedded"]["download"] is None
    absent = models["i2vgen-xl"]
    assert (absent["state"], absent["missing"], absent["task"]) == ("absent", "model_index.json", None)
    assert absent["download"]["sources"] == [hub.address]
    assert absent["download"]["licence"] == "MIT"

    begun = house.post("/models/i2vgen-xl/download")
    assert begun.status_code == 202
    assert begun.json()["state"] == "downloading"
    again = house.post("/models/i2vgen-xl/verify")
    assert (again.status_code, again.json()["code"]) == (409, "models.busy")
    assert (absent["conversion"], models["wan-ti2v-5b"]["conversion"]) == (None, None)
    nothing = house.post("/models/wan-ti2v-5b/convert")
    assert (nothing.status_code, nothing.json()["code"]) == (422, "weights.nothing_to_convert")

    def task() -> dict[str, object]:
        reported: dict[str, object] = house.get("/models/i2vgen-xl").json()["task"]
        return reported

    wait_for(lambda: bool((reported := task()["progress"]) and reported["speed"] and reported["eta"]))  # type: ignore[index,call-overload]
    assert requests.delete(f"{house.api}/models/i2vgen-xl/task", timeout=30).status_code == 202
    wait_for(lambda: bool(task()["message"]))
    assert task()["error"]["code"] == "weights.cancelled"  # type: ignore[index,call-overload]
    idle = requests.delete(f"{house.api}/models/i2vgen-xl/task", timeout=30)
    assert (idle.status_code, idle.json()["code"]) == (409, "models.idle")

    hub.speed = 0
    house.post("/models/i2vgen-xl/download")
    wait_for(lambda: bool(task()["message"]))
    there = house.get("/models/i2vgen-xl").json()
    assert (there["state"], there["task"]["error"]) == ("available", None)
    assert hub.address in there["checked"]
    engines = {each["name"]: each["available"] for each in house.get("/engines").json()["engines"]}
    assert engines["i2vgen-xl"], "what jobs can ask for is not told anew"


def test_a_download_ends_with_the_service(tmp_path: Path, picture: bytes, hub: Hub) -> None:
    def threads() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name == "download i2vgen-xl"]

    with opened(tmp_path, picture, hub) as house:
        house.post("/models/i2vgen-xl/download")
        assert threads()
    assert not threads()


@pytest.mark.parametrize("name", ["embedded", "unknown", "..%2fx"])
def test_only_models_that_are_published_can_be_downloaded(house: House, name: str) -> None:
    response = house.post(f"/models/{name}/download")
    assert response.status_code in (404, 422)
    assert response.json()["code"] in (
        "weights.not_published",
        "request.unknown_engine",
        "http.no_such_path",
        "http.bad_method",
    )


def test_a_licence_is_named_with_its_repository_and_accepted_in_the_body(house: House, hub: Hub) -> None:
    hub.others, hub.speed = repositories(), 0
    parts = house.get("/models/asking").json()["download"]["parts"]
    assert [(part["licence"], part["must_accept"]) for part in parts] == [("MIT", False), ("Community", True)]
    assert (parts[1]["repo"], parts[1]["licence_url"]) == (ADAPTER, "https://example.org/licence")
    for body in (None, {}, {"accept_licence": False}):
        refused = requests.post(f"{house.api}/models/asking/download", json=body, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (422, "weights.licence")
    wrong = requests.post(f"{house.api}/models/asking/download", json={"accept": True}, timeout=30)
    assert wrong.status_code == 422
    assert hub.requests == []
    accepted = requests.post(f"{house.api}/models/asking/download", json={"accept_licence": True}, timeout=30)
    assert accepted.status_code == 202
    wait_for(lambda: bool(house.get("/models/asking").json()["state"] == "available"))
    parts = house.get("/models/asking").json()["download"]["parts"]
    assert [(part["is_here"], part["must_accept"]) for part in parts] == [(True, False)] * 2
