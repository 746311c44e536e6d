"""Webhooks over HTTP: named with a job, listed, sent again; nobody reads a secret back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from standardwebhooks import Webhook as Verifier

from tests.receivers import receiving, status
from tests.web.house import House, wait_for

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def open_house(start_house: Callable[..., AbstractContextManager[House]]) -> Iterator[House]:
    """One that may reach receivers on this machine."""
    with start_house(webhooks__allowed_hosts="127.0.0.1") as started:
        yield started


def test_a_job_names_its_webhook_in_a_form_and_in_json(open_house: House) -> None:
    with receiving() as receiver:
        webhook = {"url": receiver.url, "events": ["job.submitted"], "secret": SECRET}
        in_form = open_house.submit(webhook=json.dumps(webhook))
        image = base64.b64encode(open_house.picture).decode()
        body = {"prompt": "zoom in", "image": image, "webhook": webhook}
        in_json = open_house.session.post(f"{open_house.api}/jobs", json=body, timeout=60)
        assert (in_form.status_code, in_json.status_code) == (202, 202), in_json.text
        wait_for(lambda: len(receiver.received) == 2)
        document = {json.loads(each.body)["data"]["job_id"] for each in receiver.received}
        assert document == {in_form.json()["id"], in_json.json()["id"]}
        for answer in (
            in_form.text,
            open_house.get("/jobs").text,
            open_house.get("/webhooks/deliveries").text,
        ):
            assert SECRET not in answer
            assert "/hook" not in answer


def test_a_batch_names_its_webhook_and_so_does_a_video_of_openai_s_api(open_house: House) -> None:
    with receiving() as receiver:
        new = {"name": "two", "webhook": {"url": receiver.url, "secret": SECRET}}
        batch = open_house.session.post(f"{open_house.api}/batches", json=new, timeout=60).json()["id"]
        for _ in range(2):
            files = {"image": ("x.png", open_house.picture)}
            open_house.session.post(
                f"{open_house.api}/batches/{batch}/jobs", data={"prompt": "x"}, files=files, timeout=60
            )
        open_house.post(f"/batches/{batch}/cancel")
        wait_for(lambda: len(receiver.received) == 1)
        body = json.loads(receiver.received[0].body)
        assert (body["type"], body["data"]) == (
            "batch.finished",
            {"batch_id": batch, "counts": {"cancelled": 2}},
        )
        Verifier(SECRET).verify(receiver.received[0].body, receiver.received[0].headers)

        fields = {"prompt": "x", "webhook": json.dumps({"url": receiver.url})}
        files = {"input_reference": ("x.png", open_house.picture)}
        video = open_house.session.post(
            f"{open_house.url}/v1/videos", data=fields, files=files, timeout=60
        ).json()["id"]
        open_house.service.cancel(video)
        wait_for(lambda: len(receiver.received) == 2)
        body = json.loads(receiver.received[1].body)
        assert (body["type"], body["data"]["job_id"]) == ("job.cancelled", video)


@pytest.mark.parametrize(
    ("webhook", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "webhook.url"),
        ({"url": "https://a.example/", "events": ["job.failed"]}, "webhook.events"),
        ({}, "webhook.url"),
        ("https://a.example/", "webhook"),
    ],
)
def test_a_bad_one_of_a_batch_is_refused_with_its_field(
    shared_house: House, webhook: object, field: str
) -> None:
    answer = shared_house.session.post(f"{shared_house.api}/batches", json={"webhook": webhook}, timeout=60)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("webhook", "code", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "webhook.private", "webhook.url"),
        ({"url": "nothing"}, "request.invalid", "webhook.url"),
        ({"url": "https://hooks.example/", "secret": "whsec_mine"}, "request.invalid", "webhook.secret"),
        ({}, "request.missing_field", "webhook.url"),
    ],
)
def test_a_bad_one_is_refused_with_its_field(
    shared_house: House, webhook: object, code: str, field: str
) -> None:
    answer = shared_house.submit(webhook=json.dumps(webhook))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, code, field)
    assert "whsec_mine" not in answer.text


def test_what_was_given_up_is_listed_and_sent_again(open_house: House) -> None:
    with receiving(status(410)) as receiver:
        webhook = {"url": f"{receiver.url}?key=QUERYSECRET", "events": ["job.submitted"]}
        job_id = open_house.submit_id(webhook=json.dumps(webhook))
        listed = lambda: open_house.get("/webhooks/deliveries?status=failed").json()["deliveries"]  # noqa: E731
        wait_for(lambda: len(listed()) == 1)
        (found,) = listed()
        assert (found["job_id"], found["event"], found["status"]) == (job_id, "job.submitted", "failed")
        assert (found["receiver"], found["failed_attempts"]) == (f"http://127.0.0.1:{receiver.port}", 1)
        assert (found["error"]["code"], found["next_attempt_at"]) == ("webhook.gone", None)
        assert "QUERYSECRET" not in json.dumps(found)
        receiver.usual = status(200)
        again = open_house.post(f"/webhooks/deliveries/{found['id']}/redeliver")
        assert (again.status_code, again.json()["status"]) == (202, "pending")
        wait_for(lambda: len(receiver.received) == 2)
        wait_for(lambda: listed() == [])
        assert {each.headers["webhook-id"] for each in receiver.received} == {found["id"]}


def test_what_is_asked_for_wrongly_is_said(shared_house: House) -> None:
    for path in ("status=gone", "cursor=x", "limit=0", "more=1"):
        assert shared_house.get(f"/webhooks/deliveries?{path}").status_code == 422
    unknown = shared_house.post("/webhooks/deliveries/msg_0/redeliver")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "webhook.unknown")
