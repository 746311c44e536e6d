"""Webhooks: messages about jobs and batches, signed and sent until they arrive or a day is over.

Owns when a message is sent, how it is signed (Standard Webhooks, https://www.standardwebhooks.com), what an
answer means, and the threads. Messages stand in the database (`jobs.deliveries`): a restart goes on there.
One is under way to a host at a time, and to several hosts at once, so that a slow receiver holds up itself
alone. Deliberately does not know which addresses may be reached: `host.outgoing` does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from i2v.core.errors import I2VError
from i2v.core.settings import Settings
from i2v.core.webhook import SECRET_PREFIX, Receiver, Webhook, secret_bytes
from i2v.host.outgoing import Destinations, post
from i2v.host.token_file import read_or_make
from i2v.jobs.deliveries import Deliveries, Delivery, DeliveryPage, DeliveryStatus
from i2v.service.rights import check_owner, check_role, restricted_to

# After the first attempt, the second and so on: 24 hours together, as Standard Webhooks advises.
RETRY_SECONDS = (5.0, 60.0, 300.0, 1800.0, 2 * 3600.0, 5 * 3600.0, 7 * 3600.0, 9 * 3600.0)
SEND_SECONDS = 10.0  # that a receiver may take
AT_ONCE = 16  # hosts that messages are under way to
POLL_SECONDS = 0.5
TIDY_SECONDS = 3600.0
PATIENCE = 3.0  # seconds that the end of the service waits for messages that are under way
_FINAL = ("webhook.private", "webhook.port", "webhook.gone", "webhook.removed")  # trying again does not help

log = logging.getLogger(__name__)


class Webhooks:
    """`start` it once; what is under way at `stop` is sent again after the next start.

    Attributes:
        attempts: how many there were since the start, by what came of them: "delivered" or "failed".
    """

    def __init__(
        self,
        settings: Settings,
        deliveries: Deliveries,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        send_seconds: float = SEND_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Args:
        retry_seconds: between one attempt and the next; after the last of them a message is given up.
        send_seconds: that a receiver may take.
        tls: which certificates count; `None`: those of the system.
        """
        self._settings = settings.webhooks
        self._endpoints = {each.url: each for each in settings.webhooks.endpoints}
        self._secret_file = settings.service.data_dir / "webhook-secret"
        self._destinations = Destinations(settings.webhooks.allowed_hosts)
        self._deliveries = deliveries
        self._retry_seconds = tuple(retry_seconds)
        self._send_seconds = send_seconds
        self._tls = tls
        self._busy: dict[str, threading.Thread] = {}  # by host
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self.attempts: Counter[str] = Counter()

    def start(self) -> None:
        """Raises `I2VError` (`server.token_file`) if a secret is needed, and cannot be kept."""
        if any(each.secret is None for each in self._endpoints.values()):
            self._own_secret()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join()
        deadline = time.monotonic() + PATIENCE
        with self._lock:
            under_way = list(self._busy.values())
        for thread in under_way:
            thread.join(max(0.0, deadline - time.monotonic()))

    def parse(self, given: object) -> Receiver | None:
        """Return the `webhook` of a job's request, which may have been parsed; `None` where there is none.

        Raises as `admit`, and `InvalidRequest` naming what is wrong with it.
        """
        if given is None:
            return None
        webhook = given if isinstance(given, Receiver) else Webhook.parse(given)
        self.admit(webhook)
        return webhook

    def admit(self, webhook: Receiver) -> None:
        """See that messages to `webhook` can be sent.

        Raises:
            InvalidRequest: `webhook.private`, `webhook.port`.
            I2VError: `server.token_file`; the service has no secret to sign with.
        """
        self._destinations.check(webhook.url)
        if webhook.secret is None:
            self._own_secret()  # it is there to be read before the first message comes

    def page(self, status: DeliveryStatus | None, cursor: str | None, limit: int) -> DeliveryPage:
        """See `Deliveries.page`. Users who do not administer see the messages of their jobs' own webhooks."""
        return self._deliveries.page(status, cursor, limit, restricted_to())

    def counts(self) -> dict[DeliveryStatus, int]:
        """See `Deliveries.counts`."""
        return self._deliveries.counts()

    def redeliver(self, delivery_id: str) -> Delivery:
        """See `Deliveries.send_again`; raises `security.*` where whoever asks may not."""
        found = self._deliveries.get(delivery_id)
        check_owner(found.user if found.is_own else None)
        delivery = self._deliveries.send_again(delivery_id)
        self._wanted.set()
        return delivery

    def redeliver_failed(self) -> int:
        """See `Deliveries.send_failed_again`; raises `security.role` where whoever asks may not."""
        check_role("administer")
        count = self._deliveries.send_failed_again()
        self._wanted.set()
        return count

    def _run(self) -> None:
        tidied = -TIDY_SECONDS
        trouble = ""
        while not self._stopping.is_set():
            self._wanted.clear()  # before anything is looked at: what comes later sets it again
            try:
                while self._deliveries.take_up(tuple(self._endpoints.values())):
                    pass
                self._send_due()
                if time.monotonic() - tidied > TIDY_SECONDS:
                    self._deliveries.tidy()
                    tidied = time.monotonic()
                trouble = ""
            except I2VError as error:  # the database is away
                if error.message != trouble:
                    log.warning("webhooks: not now: %s", error)
                trouble = error.message
            except Exception:  # a defect in one round must not end all later ones unnoticed
                log.exception("webhooks: this round was given up")
                self._stopping.wait(10 * POLL_SECONDS)
            self._wanted.wait(POLL_SECONDS)

    def _send_due(self) -> None:
        with self._lock:
            busy = list(self._busy)
        if len(busy) >= AT_ONCE:
            return
        for delivery in self._deliveries.due(busy, AT_ONCE - len(busy)):
            thread = threading.Thread(target=self._deliver, args=(delivery,), name="webhook", daemon=True)
            with self._lock:
                self._busy[delivery.host] = thread
            thread.start()

    def _deliver(self, delivery: Delivery) -> None:
        """Send a message, and note what came of it; what cannot be noted is sent again."""
        try:
            self._attempt(delivery)
        except I2VError as error:
            log.warning("webhook message %s: its end could not be stored: %s", delivery.id, error)
            self._stopping.wait(2 * POLL_SECONDS)
        except Exception:
            log.exception("webhook message %s", delivery.id)
            self._stopping.wait(10 * POLL_SECONDS)
        finally:
            with self._lock:
                del self._busy[delivery.host]
            self._wanted.set()

    def _attempt(self, delivery: Delivery) -> None:
        try:
            self._send(delivery)
        except I2VError as error:
            self.attempts["failed"] += 1
            is_last = error.code in _FINAL or delivery.attempts >= len(self._retry_seconds)
            pause = None if is_last else self._retry_seconds[delivery.attempts]
            then = "it is given up" if pause is None else f"again in {pause:g} s"
            log.warning("webhook message %s to %s: %s: %s", delivery.id, delivery.host, then, error)
            self._deliveries.postpone(delivery.id, pause, error.to_dict())
        else:
            self.attempts["delivered"] += 1
            self._deliveries.delivered(delivery.id)

    def _send(self, delivery: Delivery) -> None:
        """Raise `I2VError` (`webhook.*`) unless the receiver has taken the message."""
        body = delivery.body.encode("ascii")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"i2v/{version('i2v')}",
            **signature(delivery.id, int(time.time()), body, self._secret_of(delivery)),
        }
        status = post(delivery.url, body, headers, self._destinations, self._send_seconds, self._tls)
        if status == 410:  # as Standard Webhooks has it: the receiver wants no more of these
            raise I2VError("webhook.gone")
        if 300 <= status < 400:
            raise I2VError("webhook.redirect", status=status)
        if not 200 <= status < 300:
            raise I2VError("webhook.refused", status=status)

    def _secret_of(self, delivery: Delivery) -> str:
        if delivery.is_own:
            return delivery.secret or self._own_secret()
        endpoint = self._endpoints.get(delivery.url)
        if endpoint is None:
            raise I2VError("webhook.removed")
        return self._own_secret() if endpoint.secret is None else endpoint.secret.get_secret_value()

    def _own_secret(self) -> str:
        given = self._settings.secret.get_secret_value()
        return given or read_or_make(self._secret_file, _new_secret)[0]


def signature(message_id: str, timestamp: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers that tell a receiver who has sent `body`, and when (unix seconds)."""
    signed = f"{message_id}.{timestamp}.".encode("ascii") + body
    digest = hmac.new(secret_bytes(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode('ascii')}",
    }


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")
