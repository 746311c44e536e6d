"""Messages to webhooks, kept until a receiver has taken them or has refused them for too long.

Owns the table, and the step from the outbox to it: which webhooks a transition is reported to is settled in
the transaction that moves the reader's number, so that each report becomes one message, whoever dies. What
was sent and not noted is sent again, with the same id: at least once. Deliberately does not know HTTP,
signing or threads.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import ValidationError

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.core.stored import parse_json, read_as
from i2v.core.webhook import (
    BatchWebhook,
    Endpoint,
    PredictionWebhook,
    Receiver,
    Webhook,
    WebhookEvent,
    host_of,
)
from i2v.jobs.database import Database
from i2v.jobs.messages import event_of, message, prediction
from i2v.jobs.model import JsonObject
from i2v.jobs.outbox import DAY, Transition, move_position, prune, read_after, read_position
from i2v.jobs.rows import dump

READER = "webhooks"
AT_ONCE = 200  # transitions that are read in one transaction
KEPT_SECONDS = 30 * DAY  # after it was delivered or given up

log = logging.getLogger(__name__)

DeliveryStatus = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True)
class Delivery:
    """One message to one receiver. Times are seconds since 1970.

    Attributes:
        id: the `webhook-id`, the same each time that it is sent.
        job_id, batch_id: what it is about; one of them is `None`.
        is_own: it goes to the job's or batch's own webhook, not to one of the settings.
        secret: of its own webhook, `None` where it has none.
        attempts: that have failed, since it was made or sent again by hand.
        next_at: when it is sent next; `None` unless it is pending.
        error: `{code, params, message}` of the last attempt that failed.
        user: whose job it is about, if anybody's.
    """

    id: str
    job_id: str | None
    batch_id: str | None
    event: WebhookEvent
    url: str
    host: str
    is_own: bool
    secret: str | None
    body: str
    status: DeliveryStatus
    attempts: int
    next_at: float | None
    error: JsonObject | None
    created_at: float
    ended_at: float | None
    user: str | None = None


@dataclass(frozen=True)
class DeliveryPage:
    """Some messages, newest first; `next_cursor` asks for the older ones, `None` where there are none."""

    deliveries: tuple[Delivery, ...]
    next_cursor: str | None


class Deliveries:
    """Every method is one transaction, and may raise `I2VError` (`database.*`)."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def take_up(self, endpoints: Sequence[Endpoint]) -> int:
        """Make messages of the transitions that came since the last call; return how many were read.

        endpoints: those of the settings.
        """
        with self._database.read() as db:
            if not read_after(db, read_position(db, READER), 1):
                return 0
        with self._database.write() as db:
            transitions = read_after(db, read_position(db, READER), AT_ONCE)
            for each in transitions:
                event = event_of(each)
                own = _own(each)
                if own is not None and _wants(own, event):
                    self._insert(db, each, event, own, is_own=True)
                for endpoint in endpoints:
                    if event in endpoint.events:
                        self._insert(db, each, event, endpoint, is_own=False)
            if transitions:
                move_position(db, READER, transitions[-1].number)
            return len(transitions)

    def _insert(
        self, db: sqlite3.Connection, found: Transition, event: WebhookEvent, webhook: Receiver, is_own: bool
    ) -> None:
        scheme, name, port = host_of(webhook.url)
        now = self._clock()
        secret = webhook.secret if is_own else None  # the settings have theirs
        db.execute(
            """INSERT INTO deliveries
                   (id, job, batch, event, url, host, is_own, secret, body, next_at, created_at, user)
               VALUES (:id, :job, :batch, :event, :url, :host, :is_own, :secret, :body, :now, :now, :user)""",
            {
                "id": f"msg_{secrets.token_hex(16)}",
                "job": found.job_id,
                "batch": found.batch_id,
                "event": event,
                "url": webhook.url,
                "host": f"{scheme}://{name}:{port}",
                "is_own": is_own,
                "secret": None if secret is None else secret.get_secret_value(),
                "body": dump(
                    prediction(found, webhook)
                    if isinstance(webhook, PredictionWebhook)
                    else message(found, event)
                ),
                "user": found.user,
                "now": now,
            },
        )

    def due(self, busy: Collection[str], limit: int) -> list[Delivery]:
        """Return up to `limit` messages to be sent now, the most overdue first, one a host.

        busy: hosts that a message is under way to; those wait.
        """
        with self._database.read() as db:
            rows = db.execute(
                """SELECT *, min(next_at) FROM deliveries WHERE status = 'pending' AND next_at <= ?
                   AND host NOT IN (SELECT value FROM json_each(?)) GROUP BY host ORDER BY next_at LIMIT ?""",
                [self._clock(), dump(list(busy)), limit],
            )
            return [_delivery(row) for row in rows.fetchall()]

    def delivered(self, delivery_id: str) -> None:
        """Its receiver has it."""
        with self._database.write() as db:
            db.execute(
                """UPDATE deliveries SET status = 'delivered', next_at = NULL, error = NULL, ended_at = ?
                   WHERE id = ?""",
                [self._clock(), delivery_id],
            )

    def postpone(self, delivery_id: str, seconds: float | None, error: JsonObject) -> None:
        """An attempt has failed: it is sent again in so many seconds; `None`: it is given up."""
        now = self._clock()
        values = {"id": delivery_id, "error": dump(error), "now": now}
        with self._database.write() as db:
            db.execute(
                """UPDATE deliveries SET attempts = attempts + 1, error = :error, status = :status,
                    next_at = :next_at, ended_at = :ended_at WHERE id = :id AND status = 'pending'""",
                values
                | {
                    "status": "failed" if seconds is None else "pending",
                    "next_at": None if seconds is None else now + seconds,
                    "ended_at": now if seconds is None else None,
                },
            )

    def get(self, delivery_id: str) -> Delivery:
        """Return the message; raise `InvalidRequest` (`webhook.unknown`)."""
        with self._database.read() as db:
            found = db.execute(
                "SELECT * FROM deliveries WHERE id = ?", [delivery_id.encode("ascii", "replace").decode()]
            )
            row = found.fetchone()
        if row is None:
            raise InvalidRequest("webhook.unknown", id=shown(delivery_id))
        return _delivery(row)

    def send_again(self, delivery_id: str) -> Delivery:
        """Have a message sent now, whatever became of it; raise `InvalidRequest` (`webhook.unknown`)."""
        with self._database.write() as db:
            # Ids come from clients, and SQLite takes no lone surrogates; ours are ASCII.
            if not (delivery_id.isascii() and self._renew(db, "id = ?", delivery_id)):
                raise InvalidRequest("webhook.unknown", id=shown(delivery_id))
            row = db.execute("SELECT * FROM deliveries WHERE id = ?", [delivery_id]).fetchone()
            return _delivery(row)

    def send_failed_again(self) -> int:
        """Have all messages that were given up sent now; return how many those are."""
        with self._database.write() as db:
            return self._renew(db, "status = ?", "failed")

    def _renew(self, db: sqlite3.Connection, where: str, value: str) -> int:
        return db.execute(
            f"""UPDATE deliveries SET status = 'pending', attempts = 0, next_at = ?, ended_at = NULL
                WHERE {where}""",
            [self._clock(), value],
        ).rowcount

    def page(
        self, status: DeliveryStatus | None, cursor: str | None, limit: int, user: str | None = None
    ) -> DeliveryPage:
        """Return up to `limit` messages, newest first; raise `InvalidRequest` (`job.bad_cursor`).

        user: those about jobs of this user alone, to the jobs' own webhooks; `None` for all.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
            raise InvalidRequest("job.bad_cursor", cursor=shown(cursor))
        wanted = "AND status = :status" if status else ""
        before = "AND seq < :before" if cursor is not None else ""
        own = "AND user = :user AND is_own" if user is not None else ""
        values = {"status": status, "before": int(cursor or 0), "limit": limit + 1, "user": user}
        with self._database.read() as db:
            rows = db.execute(
                f"SELECT * FROM deliveries WHERE true {wanted} {before} {own} ORDER BY seq DESC LIMIT :limit",
                values,
            ).fetchall()
        more = len(rows) > limit
        found = tuple(_delivery(row) for row in rows[:limit])
        return DeliveryPage(found, str(rows[limit - 1]["seq"]) if more else None)

    def counts(self) -> dict[DeliveryStatus, int]:
        """Return how many messages there are of each status."""
        with self._database.read() as db:
            found = dict(db.execute("SELECT status, count(*) FROM deliveries GROUP BY status").fetchall())
        return {status: found.get(status, 0) for status in get_args(DeliveryStatus)}

    def tidy(self) -> None:
        """Remove old messages that are pending no more, and what nobody reads in the outbox."""
        now = self._clock()
        with self._database.write(durable=False) as db:
            db.execute("DELETE FROM deliveries WHERE ended_at < ?", [now - KEPT_SECONDS])
            prune(db, now)


def _own(found: Transition) -> Receiver | None:
    """Return the job's or batch's own webhook, if it has one that this version understands."""
    if found.webhook is None:
        return None
    kinds = (BatchWebhook,) if found.job_id is None else (Webhook, PredictionWebhook)
    for kind in kinds:
        with suppress(ValidationError):  # another version's; in its words may be the secret
            return kind.model_validate_json(found.webhook)
    log.warning("%s: its webhook cannot be read, and is told nothing", found.job_id or found.batch_id)
    return None


def _wants(webhook: Receiver, event: WebhookEvent) -> bool:
    if isinstance(webhook, PredictionWebhook):
        return webhook.wants(event)
    return isinstance(webhook, Webhook | BatchWebhook) and event in webhook.events


def _delivery(row: sqlite3.Row) -> Delivery:
    error = None if row["error"] is None else parse_json(row["error"])
    plain = {name: row[name] for name in row.keys() if name in Delivery.__dataclass_fields__}  # noqa: SIM118
    return read_as(Delivery, {**plain, "job_id": row["job"], "batch_id": row["batch"], "error": error})
