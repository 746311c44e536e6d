"""i2v.jobs.messages: a transition in Cog's words; in our own, see test_deliveries."""

from __future__ import annotations

import pytest

from i2v.core.webhook import PredictionEvent, PredictionWebhook, WebhookEvent
from i2v.jobs.messages import prediction
from i2v.jobs.model import JsonObject
from i2v.jobs.outbox import JobEvent, Transition

HOOK = PredictionWebhook(url="https://a.example/", prediction="mine", jobs_url="http://here/jobs")


def transition(event: JobEvent, **details: object) -> Transition:
    return Transition(1, "job", None, event, 1_700_000_000.0, 1, "tiny", details, None)


@pytest.mark.parametrize(("found", "expected"), [
    (transition("started"), {"status": "processing", "output": None, "completed_at": None,
                             "started_at": "2023-11-14T22:13:20Z", "metrics": {}}),
    (transition("succeeded", duration=20.0), {
        "status": "succeeded", "output": "http://here/jobs/job/video", "started_at": "2023-11-14T22:13:00Z",
        "completed_at": "2023-11-14T22:13:20Z", "metrics": {"predict_time": 20.0}, "error": None}),
    (transition("failed", duration=1.0, error={"code": "x", "message": "why"}),
     {"status": "failed", "output": None, "error": "why"}),
    (transition("cancelled"), {"status": "canceled", "completed_at": "2023-11-14T22:13:20Z", "metrics": {}}),
])  # fmt: skip
def test_a_message_is_the_prediction(found: Transition, expected: JsonObject) -> None:
    body = prediction(found, HOOK)
    assert body["id"] == "mine"
    assert {name: body[name] for name in expected} == expected


@pytest.mark.parametrize(("events", "wanted"), [
    (["start"], ["job.started"]),
    (["output"], ["job.succeeded"]),
    (["logs"], []),
    (["completed"], ["job.succeeded", "job.failed", "job.cancelled"]),
    (None, ["job.started", "job.succeeded", "job.failed", "job.cancelled"]),
])  # fmt: skip
def test_each_transition_is_one_message_or_none(
    events: tuple[PredictionEvent, ...] | None, wanted: list[WebhookEvent]
) -> None:
    chosen = {} if events is None else {"events": events}
    hook = PredictionWebhook.parse({**HOOK.model_dump(), **chosen})
    every: tuple[WebhookEvent, ...] = (
        "job.submitted", "job.started", "job.requeued", "job.succeeded", "job.failed", "job.cancelled",
        "job.deleted",
    )  # fmt: skip
    assert [event for event in every if hook.wants(event)] == wanted
