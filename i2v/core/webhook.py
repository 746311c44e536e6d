"""A webhook: where the service reports what becomes of jobs and batches, which events, and what signs them.

Owns what a URL, a choice of events and a secret may be, for settings and requests alike. The secret is never
part of a complaint. Deliberately does not know how anything is sent, nor which addresses may be reached.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    model_validator,
)

from i2v.core.errors import InvalidRequest
from i2v.core.schema import invalid_field
from i2v.core.setting_values import host

JobWebhookEvent = Literal[
    "job.submitted",
    "job.started",
    "job.requeued",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "job.deleted",
]
BatchWebhookEvent = Literal["batch.finished"]
WebhookEvent = Literal[JobWebhookEvent, BatchWebhookEvent]
PredictionEvent = Literal["start", "output", "logs", "completed"]  # Cog's
ENDINGS: tuple[JobWebhookEvent, ...] = ("job.succeeded", "job.failed", "job.cancelled")
MAX_URL = 2000  # characters
SECRET_PREFIX = "whsec_"  # github.com/standard-webhooks/standard-webhooks, spec: 24 to 64 bytes in base64
SECRET_BYTES = range(24, 65)
HIDDEN = "(not shown)"  # stands in complaints where a secret would

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = "the address of a receiver, such as https://hooks.example/i2v"


def secret_bytes(secret: str) -> bytes:
    """Return the key in a secret; raise `ValueError` with what is allowed."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
        least, most = SECRET_BYTES[0], SECRET_BYTES[-1]
        raise ValueError(f"{SECRET_PREFIX} and then {least} to {most} random bytes in base64")
    return key


def host_of(url: str) -> tuple[str, str, int]:
    """Return scheme, name and port of a webhook's URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None  # `_url` has seen it
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]


def origin_of(url: str) -> str:
    """Return what may be shown of a webhook's URL: its path often is a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _url(value: object) -> str:
    """Return the URL with its host in the usual form."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value.strip()):
        raise ValueError(f"{_URL}, in ASCII (others are written as %E4 or xn--)")
    given = value.strip()
    if len(given) > MAX_URL:
        raise ValueError(f"{_URL}, of at most {MAX_URL} characters")
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise ValueError(_URL) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"{_URL}: it begins with https:// or http://")
    if "@" in parts.netloc or "\\" in given or "#" in given or port == 0:
        raise ValueError(f"{_URL}, without a password, backslashes and #")
    try:
        name = host(parts.hostname or "")
    except ValueError:
        raise ValueError(_URL) from None
    place = f"[{name}]" if ":" in name else name
    if port not in (None, _DEFAULT_PORTS[parts.scheme]):
        place += f":{port}"
    return parts._replace(netloc=place, path=parts.path or "/").geturl()


def _events(value: object) -> object:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise ValueError("a list with at least one event")
    return tuple(dict.fromkeys(names)) if all(isinstance(name, str) for name in names) else names


def read_secret(value: object) -> object:
    """Check a secret, for pydantic; nothing stands for none."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return value
    if not isinstance(value, str):
        raise ValueError(f"{SECRET_PREFIX} and then random bytes in base64")
    secret_bytes(value)
    return value


class Receiver(BaseModel):
    """Who is told of something. Without a `secret`, messages are signed with the service's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, BeforeValidator(_url)] = Field(
        description="https:// or http://; only public addresses, unless the server's settings allow others"
    )
    secret: Annotated[SecretStr | None, BeforeValidator(read_secret)] = Field(
        default=None, description="whsec_ and base64; it is kept and never shown. None: the server's own"
    )

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, value: object) -> object:
        if not isinstance(value, dict) or set(value) - set(cls.model_fields):
            raise ValueError("an object of url, events and secret, and nothing else")
        return value

    @field_serializer("secret", when_used="json")
    def _store_secret(self, value: SecretStr | None) -> str | None:
        """For the database, the only place where it is written."""
        return None if value is None else value.get_secret_value()

    @classmethod
    def parse(cls, given: object) -> Self:
        """Return the `webhook` of a request, which may be JSON as text, since forms have nothing else.

        Raises:
            InvalidRequest: naming the field; a secret is not shown.
        """
        try:
            return cls.model_validate(from_text(given))
        except ValidationError as error:
            wrong = invalid_field(error)
            name = str(wrong.params["field"])
            field = "webhook" if name == "request" else f"webhook.{name}"
            if name == "url" and wrong.code == "request.missing_field":
                raise InvalidRequest("request.missing_field", field=field) from None
            shown = wrong.params.get("value") if name in ("url", "events") else HIDDEN
            allowed = wrong.params.get("allowed")
            raise InvalidRequest("request.invalid", field=field, value=shown, allowed=allowed) from None


class Webhook(Receiver):
    """Who is told of one job."""

    events: Annotated[tuple[JobWebhookEvent, ...], BeforeValidator(_events)] = Field(
        default=ENDINGS, description="what is reported", min_length=1
    )


class BatchWebhook(Receiver):
    """Who is told of one batch."""

    events: Annotated[tuple[BatchWebhookEvent, ...], BeforeValidator(_events)] = Field(
        default=get_args(BatchWebhookEvent), description="what is reported", min_length=1
    )


class PredictionWebhook(Receiver):
    """Who is told of one job that was asked for as a prediction, in the words of Cog's API.

    Attributes:
        events: a job has neither output nor logs before its end, so that these two say nothing of their own.
        prediction: the id that its messages give the job; `None`: the job's.
        jobs_url: the address of /api/v1/jobs as the client reaches it, for the `output`.
    """

    events: Annotated[tuple[PredictionEvent, ...], BeforeValidator(_events)] = Field(
        default=get_args(PredictionEvent), min_length=1
    )
    prediction: str | None
    jobs_url: str

    def wants(self, event: WebhookEvent) -> bool:
        """Tell whether a transition of the job is reported."""
        if event == "job.started":
            return "start" in self.events
        if event == "job.succeeded" and "output" in self.events:
            return True
        return event in ENDINGS and "completed" in self.events


class Endpoint(Receiver):
    """Who is told of all jobs and batches: one of the settings."""

    events: Annotated[tuple[WebhookEvent, ...], BeforeValidator(_events)] = Field(
        default=ENDINGS, description="what is reported", min_length=1
    )


def from_text(given: object) -> object:
    """Return what JSON in a text says; anything else as it is."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        return given


def read_endpoints(value: object) -> object:
    """Read the webhooks of the settings: a list, or one text with JSON, as the environment has it."""
    given = from_text(value)
    if not isinstance(given, list | tuple):
        raise ValueError("a list of {url, events, secret}; [] for none")
    return tuple(given)


def check_endpoints(found: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Refuse two webhooks with one URL: it is what tells them apart."""
    if len({each.url for each in found}) < len(found):
        raise ValueError("a list in which no url stands twice")
    return found
