"""What a webhook's message says of a transition: neither prompt nor picture, since it leaves this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, cast

from i2v.core.webhook import PredictionWebhook, WebhookEvent
from i2v.jobs.model import JobStatus, JsonObject
from i2v.jobs.outbox import Transition

PredictionStatus = Literal["starting", "processing", "succeeded", "failed", "canceled"]
PREDICTION_STATUS: dict[JobStatus, PredictionStatus] = {
    "queued": "starting", "running": "processing", "succeeded": "succeeded",
    "failed": "failed", "cancelled": "canceled",
}  # fmt: skip


def event_of(found: Transition) -> WebhookEvent:
    kind = "batch" if found.job_id is None else "job"
    return cast("WebhookEvent", f"{kind}.{found.event}")


def message(found: Transition, event: WebhookEvent) -> JsonObject:
    """Return the body of a message in our own form."""
    data: JsonObject
    if found.job_id is None:
        data = {"batch_id": found.batch_id, "counts": found.details.get("counts")}
    else:
        data = {
            "job_id": found.job_id,
            "attempt": found.attempt,
            "engine": found.engine,
            "error": _error(found),
        }
        data |= {
            name: found.details[name] for name in ("reason", "seconds", "notices") if name in found.details
        }
    return {"type": event, "timestamp": iso_time(found.at), "data": data}


def prediction(found: Transition, webhook: PredictionWebhook) -> JsonObject:
    """Return the body of a message in the form of Cog's API: the prediction without its input."""
    error, duration = _error(found), found.details.get("duration")
    has_ended = isinstance(duration, int | float)
    status = PREDICTION_STATUS["running" if found.event == "started" else cast("JobStatus", found.event)]
    return {
        "id": webhook.prediction or found.job_id,
        "status": status,
        "output": f"{webhook.jobs_url}/{found.job_id}/video" if status == "succeeded" else None,
        "error": None if error is None else error["message"],
        "logs": "",
        "started_at": iso_time(found.at - duration if isinstance(duration, int | float) else found.at),
        "completed_at": None if found.event == "started" else iso_time(found.at),
        "metrics": {"predict_time": duration} if has_ended else {},
    }


def iso_time(seconds: float) -> str:
    """Return seconds since 1970 in ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _error(found: Transition) -> JsonObject | None:
    error = found.details.get("error")
    return {name: error.get(name) for name in ("code", "message")} if isinstance(error, dict) else None
