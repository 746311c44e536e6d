"""i2v.web.api.predictions: Cog's requests over a real socket, as its documentation has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook as Verifier

from tests.receivers import receiving
from tests.web.house import House, running, wait_for

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("cog")
    with running(folder, picture, webhooks__allowed_hosts="127.0.0.1") as started:
        yield started


def body(house: House, **more: Any) -> dict[str, Any]:
    image = f"data:image/png;base64,{base64.b64encode(house.picture).decode()}"
    given = {"image": image, "prompt": "waves", "num_inference_steps": 2, **more.pop("input", {})}
    return {"input": given, **more}


def ask(house: House, method: str, path: str = "", **more: Any) -> requests.Response:
    return requests.request(method, f"{house.url}/predictions{path}", timeout=60, **more)


def test_a_request_is_answered_when_the_video_is_done(house: House) -> None:
    with house.executor.working():
        answer = ask(house, "POST", json=body(house))
    made = answer.json()
    assert (answer.status_code, made["status"], made["error"]) == (200, "succeeded", None)
    assert made["input"]["prompt"] == "waves"
    assert "image" not in made["input"]
    assert made["metrics"]["predict_time"] > 0
    video = requests.get(made["output"], timeout=60)
    assert (video.status_code, video.headers["content-type"]) == (200, "video/mp4")
    assert ask(house, "GET", f"/{made['id']}").json() == made
    assert house.store.get(made["id"]).status == "succeeded", "it is a job like any other"


def test_one_that_is_not_waited_for_is_followed_and_cancelled(house: House) -> None:
    given = body(house, version="x", input={"image_name": "Sea.png"})
    answer = ask(house, "POST", json=given, headers=ASYNC)
    made = answer.json()
    assert house.store.get(made["id"]).picture_name == "Sea.png"
    assert (answer.status_code, made["status"], made["output"]) == (202, "starting", None)
    assert requests.get(made["urls"]["get"], timeout=60).json() == made
    for _ in range(2):  # the second changes nothing
        ended = requests.post(made["urls"]["cancel"], timeout=60)
        assert (ended.status_code, ended.json()["status"]) == (200, "canceled")
    assert ask(house, "POST", "/nothing/cancel").status_code == 404


@pytest.mark.parametrize(("prefer", "at_least"), [("wait=1", 1.0), ("respond-async, wait=9", 0.0)])
def test_who_waits_for_a_while_gets_what_there_is_by_then(house: House, prefer: str, at_least: float) -> None:
    answer = ask(house, "POST", json=body(house), headers={"Prefer": prefer})
    assert (answer.status_code, answer.json()["status"]) == (202, "starting")
    assert answer.elapsed.total_seconds() >= at_least
    house.service.cancel(answer.json()["id"])


def test_an_id_of_the_client_s_makes_one_video(house: House) -> None:
    path = "/wjx3whax6rf4vphkegkhcvpv6a"
    before = len(house.store.after(None, 200))
    for _ in range(2):
        answer = ask(house, "PUT", path, json=body(house), headers=ASYNC)
        assert (answer.status_code, answer.json()["id"]) == (202, path[1:])
    assert len(house.store.after(None, 200)) == before + 1
    other = ask(house, "PUT", path, json=body(house, input={"prompt": "fog"}), headers=ASYNC)
    assert (other.status_code, other.json()["code"]) == (422, "job.idempotency_conflict")
    with house.executor.working():
        done = ask(house, "PUT", path, json=body(house))
    assert (done.status_code, done.json()["status"]) == (200, "succeeded")
    assert ask(house, "GET", path).json() == done.json()
    again = ask(house, "POST", json=body(house, id=path[1:]))
    assert again.json() == done.json(), "the id may stand in the body too"


def test_a_failure_is_an_answer(house: House) -> None:
    with house.executor.working():
        answer = ask(house, "POST", json=body(house, input={"prompt": "step 1: refuse"}))
    made = answer.json()
    assert (answer.status_code, made["status"], made["output"]) == (200, "failed", None)
    assert made["error"]


def test_the_webhook_gets_the_prediction(house: House) -> None:
    with receiving() as receiver:
        sent = body(house, webhook=receiver.url, webhook_events_filter=["start", "completed"])
        with house.executor.working():
            done = ask(house, "PUT", "/mine", json=sent).json()
            wait_for(lambda: len(receiver.received) == 2)
        kept = (house.settings.service.data_dir / "webhook-secret").read_text().strip()
        for each in receiver.received:
            Verifier(kept).verify(each.body, each.headers)
        start, end = sorted(
            (json.loads(each.body) for each in receiver.received), key=lambda it: it["status"]
        )
        assert (start["id"], start["status"], start["output"]) == ("mine", "processing", None)
        assert (end["id"], end["status"], end["output"]) == ("mine", "succeeded", done["output"])
        assert end["metrics"]["predict_time"] == pytest.approx(done["metrics"]["predict_time"])
        assert end["completed_at"] == done["completed_at"]


def test_a_client_that_hangs_up_leaves_the_video_to_be_made(house: House) -> None:
    def new() -> set[str]:
        return {job.id for job in house.store.after(None, 200)} - before

    before = {job.id for job in house.store.after(None, 200)}
    connection = HTTPConnection(house.url.removeprefix("http://"), timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/predictions", json.dumps(body(house)), headers)
    wait_for(lambda: len(new()) == 1)
    connection.close()
    (left,) = new()
    with house.executor.working():
        wait_for(lambda: house.store.get(left).status == "succeeded")


@pytest.mark.parametrize(("more", "code", "field"), [
    ({"input": {"fps": 0}}, "request.invalid", "fps"),
    ({"input": {"image": "https://example.com/a.png"}}, "image.address", "image"),
    ({"input": {"webhook": {"url": "https://a.example/"}}}, "request.invalid", "webhook"),
    ({"webhook": "http://10.0.0.1/"}, "webhook.private", "webhook.url"),
    ({"webhook": "ftp://a.example/"}, "request.invalid", "webhook"),
    ({"webhook": "https://a.example/", "webhook_events_filter": ["end"]}, "request.invalid",
     "webhook_events_filter"),
    ({"id": "a b"}, "request.invalid", "id"),
    ({"output_file_prefix": "https://a.example/"}, "request.unknown_field", "output_file_prefix"),
])  # fmt: skip
def test_what_is_wrong_is_named(house: House, more: Any, code: str, field: str) -> None:
    answer = ask(house, "POST", json=body(house, **more), headers=ASYNC)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, code, field)


def test_an_input_is_needed_and_an_id_is_a_plain_one(house: House) -> None:
    assert ask(house, "POST", data=b"{}").status_code == 415
    assert ask(house, "POST", json={}).json()["field"] == "input"
    assert ask(house, "POST", json={"input": "x"}).json()["field"] == "input"
    assert ask(house, "PUT", "/a%20b", json=body(house)).json()["field"] == "prediction_id"
    assert ask(house, "GET", "/unknown").status_code == 404
    assert ask(house, "PATCH", "/unknown").headers["Allow"] == "GET, HEAD, OPTIONS, PUT"
