"""The REST API's part about webhooks: which messages were sent, which were not, and sending one again.

Of a receiver only scheme, host and port are shown: the rest of its address often is a secret.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from i2v.core.messages import hint
from i2v.core.webhook import WebhookEvent, origin_of
from i2v.jobs.deliveries import Delivery, DeliveryStatus
from i2v.web.api.charsets import check_query
from i2v.web.api.schemas import JobError
from i2v.web.context import PREFIX, AppContext
from i2v.web.problems import problems

router = APIRouter(prefix=f"{PREFIX}/webhooks", tags=["webhooks"])


class DeliveryBody(BaseModel):
    """A message to a receiver."""

    id: str = Field(description="the webhook-id that the receiver gets")
    job_id: str | None
    batch_id: str | None = Field(description="of a message about a batch")
    event: WebhookEvent
    receiver: str = Field(description="scheme, host and port of its address")
    status: DeliveryStatus = Field(description="failed: it was given up, and is sent again only by hand")
    failed_attempts: int
    next_attempt_at: datetime | None = Field(description="null unless it is pending")
    error: JobError | None = Field(description="why the last attempt failed")
    created_at: datetime
    ended_at: datetime | None = Field(description="when it was delivered or given up")


class DeliveriesBody(BaseModel):
    """Some messages, newest first."""

    deliveries: list[DeliveryBody]
    next_cursor: str | None = Field(description="asks for the older ones; null where there are none")


class DeliveryListing(BaseModel):
    """Which messages are asked for."""

    model_config = ConfigDict(extra="forbid")

    status: DeliveryStatus | None = None
    cursor: str | None = Field(None, description="next_cursor of the page before")
    limit: int = Field(50, ge=1, le=200)


@router.get("/deliveries", responses=problems(422, 503))
def list_deliveries(request: Request, listing: Annotated[DeliveryListing, Query()]) -> DeliveriesBody:
    """List messages to webhooks, newest first; status=failed are those that were given up."""
    check_query(request.scope["query_string"])
    page = AppContext.of(request).service.webhooks.page(listing.status, listing.cursor, listing.limit)
    return DeliveriesBody(deliveries=[_body(each) for each in page.deliveries], next_cursor=page.next_cursor)


@router.post("/deliveries/{delivery_id}/redeliver", status_code=202, responses=problems(403, 404, 503))
def redeliver(request: Request, delivery_id: str) -> DeliveryBody:
    """Send a message again, with the same webhook-id, whatever became of it."""
    return _body(AppContext.of(request).service.webhooks.redeliver(delivery_id))


def _body(found: Delivery) -> DeliveryBody:
    code = None if found.error is None else str(found.error["code"])
    return DeliveryBody(
        id=found.id,
        job_id=found.job_id,
        batch_id=found.batch_id,
        event=found.event,
        receiver=origin_of(found.url),
        status=found.status,
        failed_attempts=found.attempts,
        next_attempt_at=_time(found.next_at),
        error=None
        if found.error is None or code is None
        else JobError(code=code, message=str(found.error["message"]), hint=hint(code)),
        created_at=datetime.fromtimestamp(found.created_at, UTC),
        ended_at=_time(found.ended_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
