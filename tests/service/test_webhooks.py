"""Webhooks over real sockets: signed, repeated, given up; the slow hold up nobody; no secret is seen."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from i2v.core.errors import InvalidRequest
from i2v.core.settings import Settings
from i2v.jobs.deliveries import Delivery
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.service.webhooks import RETRY_SECONDS, Webhooks, signature
from tests.job_crew import submission
from tests.receivers import Receiver, hang_up, huge_body, receiving, stall, status
from tests.rehearsal import picture, stage
from tests.web.house import wait_for

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OWN_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
QUICK = (0.05, 0.1, 0.2)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.service.webhooks.POLL_SECONDS", 0.05)


@contextmanager
def sending(
    folder: Path,
    endpoints: list[dict[str, object]],
    retry_seconds: tuple[float, ...] = QUICK,
    **flags: object,
) -> Iterator[tuple[Webhooks, JobStore]]:
    """Run webhooks beside a store; whatever is on the loopback interface may be reached."""
    given = {"webhooks__allowed_hosts": "127.0.0.0/8", "webhooks__endpoints": json.dumps(endpoints)}
    settings = stage(folder, **(given | flags))
    with closing(JobStore(settings.database)) as store:
        webhooks = Webhooks(settings, store.deliveries, retry_seconds, send_seconds=0.5)
        webhooks.start()
        try:
            yield webhooks, store
        finally:
            webhooks.stop()


def all_of(webhooks: Webhooks) -> list[Delivery]:
    return list(reversed(webhooks.page(None, None, 200).deliveries))


def end_a_job(store: JobStore, webhook: str | None = None) -> str:
    """Submit and cancel a job: one report to who wants endings."""
    job = store.submit(replace(submission(), webhook=webhook))
    store.cancel(job.id)
    return job.id


def hook(receiver: Receiver, **more: object) -> dict[str, object]:
    return {"url": receiver.url, "secret": SECRET, **more}


# --- what is sent


def test_a_message_is_one_that_the_official_library_takes(tmp_path: Path) -> None:
    with receiving() as receiver, sending(tmp_path, [hook(receiver)]) as (webhooks, store):
        job_id = end_a_job(store)
        wait_for(lambda: webhooks.counts()["delivered"] == 1)
        (request,) = receiver.received
        (delivery,) = all_of(webhooks)
    message = Verifier(SECRET).verify(request.body, request.headers)
    assert (message["type"], message["data"]["job_id"]) == ("job.cancelled", job_id)
    assert request.headers["webhook-id"] == delivery.id
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Verifier(OWN_SECRET).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(request.body.replace(b"cancelled", b"succeeded"), request.headers)


def test_the_signature_is_that_of_the_specification_s_example() -> None:
    """standard-webhooks/spec/standard-webhooks.md and its libraries' tests."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    found = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, secret)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_job_s_own_webhook_is_signed_with_its_own_secret_or_the_service_s(tmp_path: Path) -> None:
    with receiving() as receiver, sending(tmp_path, []) as (webhooks, store):
        for given in ({"url": receiver.url, "secret": OWN_SECRET}, {"url": receiver.url}):
            own = webhooks.parse(given)
            assert own is not None
            end_a_job(store, own.model_dump_json())
            wait_for(lambda: not webhooks.counts()["pending"] and webhooks.counts()["delivered"] > 0)
        wait_for(lambda: len(receiver.received) == 2)
        kept = (tmp_path / "data" / "webhook-secret").read_text().strip()
        for request, secret in zip(receiver.received, (OWN_SECRET, kept), strict=True):
            Verifier(secret).verify(request.body, request.headers)
        assert (tmp_path / "data" / "webhook-secret").stat().st_mode & 0o077 == 0


def test_the_secret_of_the_settings_is_used_where_a_webhook_has_none(tmp_path: Path) -> None:
    with receiving() as receiver:
        flags = {"webhooks__secret": SECRET}
        with sending(tmp_path, [{"url": receiver.url}], **flags) as (webhooks, store):
            end_a_job(store)
            wait_for(lambda: webhooks.counts()["delivered"] == 1)
        Verifier(SECRET).verify(receiver.received[0].body, receiver.received[0].headers)
        assert not (tmp_path / "data" / "webhook-secret").exists()


# --- what becomes of it


def test_attempts_go_on_until_one_succeeds_with_the_same_id_and_body(tmp_path: Path) -> None:
    with receiving() as receiver, sending(tmp_path, [hook(receiver)]) as (webhooks, store):
        receiver.script += [status(500), stall(2), hang_up]
        end_a_job(store)
        wait_for(lambda: webhooks.counts()["delivered"] == 1)
        assert len(receiver.received) == 4
        assert len({(each.headers["webhook-id"], each.body) for each in receiver.received}) == 1
        for each in receiver.received:
            Verifier(SECRET).verify(each.body, each.headers)
        assert webhooks.attempts == {"failed": 3, "delivered": 1}


def test_a_body_of_any_length_is_an_answer(tmp_path: Path) -> None:
    with receiving(huge_body) as receiver, sending(tmp_path, [hook(receiver)]) as (webhooks, store):
        end_a_job(store)
        wait_for(lambda: webhooks.counts()["delivered"] == 1)


@pytest.mark.parametrize(
    ("code", "error", "attempts"),
    [
        (503, "webhook.refused", 4),
        (404, "webhook.refused", 4),
        (302, "webhook.redirect", 4),
        (410, "webhook.gone", 1),
    ],
)
def test_what_no_attempt_brings_there_is_given_up_and_can_be_sent_again(
    tmp_path: Path, code: int, error: str, attempts: int
) -> None:
    with (
        receiving() as other,
        receiving(status(code, Location=other.url)) as receiver,
        sending(tmp_path, [hook(receiver)]) as (webhooks, store),
    ):
        end_a_job(store)
        wait_for(lambda: webhooks.counts()["failed"] == 1)
        (found,) = webhooks.page("failed", None, 10).deliveries
        assert found.error is not None
        assert (found.error["code"], found.attempts) == (error, attempts)
        assert (len(receiver.received), other.received) == (attempts, [])
        receiver.usual = status(200)
        webhooks.redeliver(found.id)
        wait_for(lambda: webhooks.counts()["delivered"] == 1)
        assert receiver.received[-1].headers["webhook-id"] == found.id


def test_the_last_attempt_comes_a_day_after_the_first() -> None:
    assert 20 * 3600 < sum(RETRY_SECONDS) <= 24 * 3600
    assert sorted(RETRY_SECONDS) == list(RETRY_SECONDS)


def test_a_slow_receiver_holds_up_itself_alone(tmp_path: Path) -> None:
    with (
        receiving(stall(0.4)) as slow,
        receiving() as quick,
        sending(tmp_path, [hook(slow), hook(quick)], (60.0,)) as (_, store),
    ):
        for _ in range(5):
            end_a_job(store)
        wait_for(lambda: len(quick.received) == 5)
        assert len(slow.received) < 5


def test_what_was_not_delivered_when_the_service_ended_goes_out_after_its_start(tmp_path: Path) -> None:
    with receiving(status(500)) as receiver:
        with sending(tmp_path, [hook(receiver)], (0.3,) * 100) as (webhooks, store):
            end_a_job(store)
            wait_for(lambda: len(receiver.received) == 1)
            wait_for(lambda: all_of(webhooks)[0].attempts == 1)
            first = receiver.received[0]
        receiver.usual = status(200)
        with sending(tmp_path, [hook(receiver)]) as (webhooks, store):
            wait_for(lambda: webhooks.counts()["delivered"] == 1)
        assert {each.headers["webhook-id"] for each in receiver.received} == {first.headers["webhook-id"]}


def test_what_happens_while_no_service_runs_is_reported_afterwards(tmp_path: Path) -> None:
    with receiving() as receiver:
        with closing(JobStore(stage(tmp_path).database)) as store:
            end_a_job(store)
        with sending(tmp_path, [hook(receiver)]) as (webhooks, _):
            wait_for(lambda: webhooks.counts()["delivered"] == 1)


def test_a_webhook_that_was_taken_out_of_the_settings_gets_nothing_more(tmp_path: Path) -> None:
    with receiving(status(500)) as receiver:
        with sending(tmp_path, [hook(receiver)], (0.2,) * 100) as (webhooks, store):
            end_a_job(store)
            wait_for(lambda: len(receiver.received) == 1)
        count = len(receiver.received)
        with sending(tmp_path, []) as (webhooks, _):
            wait_for(lambda: webhooks.counts()["failed"] == 1)
            (found,) = all_of(webhooks)
        assert found.error is not None
        assert found.error["code"] == "webhook.removed"
        assert len(receiver.received) == count


def test_nothing_is_sent_to_a_private_address_that_the_settings_do_not_name(tmp_path: Path) -> None:
    with receiving() as receiver:
        flags = {"webhooks__allowed_hosts": ""}
        with sending(tmp_path, [hook(receiver)], **flags) as (webhooks, store):
            end_a_job(store)
            wait_for(lambda: webhooks.counts()["failed"] == 1)
            (found,) = all_of(webhooks)
        assert found.error is not None
        assert found.error["code"] == "webhook.private"
        assert receiver.received == []


def test_no_secret_and_no_path_stands_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving(status(500)) as receiver:
        endpoint = {"url": f"{receiver.url}/T0/PATHSECRET?key=QUERYSECRET", "secret": SECRET}
        with sending(tmp_path, [endpoint]) as (webhooks, store):
            end_a_job(store)
            wait_for(lambda: webhooks.counts()["failed"] == 1)
    assert "it is given up" in caplog.text
    assert f"http://127.0.0.1:{receiver.port}" in caplog.text
    for hidden in ("PATHSECRET", "QUERYSECRET", SECRET, SECRET[6:]):
        assert hidden not in caplog.text


# --- with the whole service


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path, webhooks__allowed_hosts="127.0.0.1")


def test_a_job_reports_its_way_to_its_own_webhook(settings: Settings, working: Service) -> None:
    with receiving() as receiver:
        events = ["job.submitted", "job.started", "job.succeeded", "job.deleted"]
        webhook = {"url": receiver.url, "secret": SECRET, "events": events}
        job = working.submit({"prompt": "waves", "webhook": webhook}, picture())
        wait_for(lambda: len(receiver.received) == 3)
        assert working.get(job.id).status == "succeeded"
        assert "webhook" not in job.request
        working.delete(job.id)
        wait_for(lambda: len(receiver.received) == 4)
    messages = [Verifier(SECRET).verify(each.body, each.headers) for each in receiver.received]
    assert [each["type"] for each in messages] == events
    assert {each["data"]["job_id"] for each in messages} == {job.id}
    assert messages[2]["data"]["seconds"].keys() >= {"denoise", "decode"}
    assert not any(b"waves" in each.body for each in receiver.received)


@pytest.mark.parametrize(
    ("webhook", "code", "field"),
    [
        ({"url": "http://169.254.169.254/latest"}, "webhook.private", "webhook.url"),
        ({"url": "https://hooks.example:25/"}, "webhook.port", "webhook.url"),
        ({"url": "ftp://hooks.example"}, "request.invalid", "webhook.url"),
        ({"url": "https://hooks.example", "events": ["all"]}, "request.invalid", "webhook.events"),
        ("https://hooks.example", "request.invalid", "webhook"),
    ],
)
def test_a_bad_webhook_is_refused_and_no_job_is_made(
    service: Service, webhook: object, code: str, field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        service.submit({"prompt": "waves", "webhook": webhook}, picture())
    assert caught.value.code == code
    if "field" in caught.value.params:
        assert caught.value.params["field"] == field
    assert service.page().jobs == ()


def test_the_same_key_with_another_webhook_is_another_request(service: Service) -> None:
    def submit(path: str) -> str:
        webhook = {"url": f"https://hooks.example/{path}"}
        return service.submit({"prompt": "waves", "webhook": webhook}, picture(), "key").id

    assert submit("a") == submit("a")
    with pytest.raises(InvalidRequest) as caught:
        submit("b")
    assert caught.value.code == "job.idempotency_conflict"
