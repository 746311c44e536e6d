"""Who makes the clips of `i2v batch`: a service in this process, or a server.

Both keep the batch, so that running the command again goes on where it ended: the batch and each of its rows
are asked for by a key, and what a key asked for before is not made again.
"""

from __future__ import annotations

import base64
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from pydantic import BaseModel

from i2v.core.errors import I2VError, InvalidRequest, QueueFull
from i2v.core.fields import shown
from i2v.jobs.batches import RowStatus

if TYPE_CHECKING:
    from i2v.core.engine_spec import EngineSpec
    from i2v.core.settings import Settings
    from i2v.service.service import Service

HOME = ".i2v-batch"  # in the folder of the videos: the queue, what was made, and the log
MAX_QUEUED = 10_000
T = TypeVar("T", bound=BaseModel)
PATIENCE = 60.0  # seconds that a server may be away
TIMEOUT = 120.0  # seconds that it may take to answer
_PAUSE = 1.0


@dataclass(frozen=True)
class JobState:
    """A job at one moment; `error` is for a person."""

    status: RowStatus
    progress: float
    error: str = ""


class Maker(Protocol):
    """Methods raise `InvalidRequest` for what is wrong with a row; any other `I2VError` ends the batch."""

    poll_seconds: float

    def check(self, fields: dict[str, object], size: tuple[int, int]) -> None:
        """Raise `InvalidRequest` if no engine here can do it."""
        ...

    def begin(self) -> None:
        """Make the batch, or find the one that the command made before; comes before all that follows."""
        ...

    def submit(self, name: str, fields: dict[str, object], picture: bytes, key: str) -> str:
        """Return the id of the row's job; raise `QueueFull` where there is no room now."""
        ...

    def states(self) -> tuple[dict[str, JobState], float | None]:
        """Return all jobs of the batch by their ids, and how many seconds are left, if that is known."""
        ...

    def retry(self, job: str) -> None:
        """Put a failed or cancelled job back into the queue."""
        ...

    def result(self, job: str) -> Mapping[str, object]:
        """Return what `i2v generate --json` prints of a job that has succeeded."""
        ...

    def copy_video(self, job: str, target: Path) -> None:
        """Write the job's video to a new file."""
        ...


# --- in this process


@contextmanager
def local_maker(
    settings: Settings, folder: Path, key: str, engines: Mapping[str, EngineSpec]
) -> Iterator[Maker]:
    """Run a service of the folder's own; at the end, a running job goes back to its queue.

    Raises `I2VError` (`server.data_in_use`) where another command runs the same batch.
    """
    from i2v.host import data_folder
    from i2v.host.service_lock import hold
    from i2v.jobs.store import JobStore
    from i2v.service.service import Service
    from i2v.workers.executors.process import ProcessExecutor

    home = folder.absolute() / HOME
    own = settings.model_copy(
        update={
            "service": settings.service.model_copy(update={"data_dir": home, "max_queued": MAX_QUEUED}),
            "output": settings.output.model_copy(update={"directory": home / "videos"}),
            "storage": settings.storage.model_copy(update={"keep_days": 0.0, "keep_gigabytes": 0.0}),
        }
    )
    data_folder.prepare(home)
    with hold(home, (), None):
        data_folder.restrict(home)
        handler = logging.FileHandler(home / "batch.log", encoding="utf-8")
        logging.getLogger().addHandler(handler)  # else warnings would stand in the bar
        store = JobStore(own.database, MAX_QUEUED)
        service = Service(own, store, ProcessExecutor(own, store, engines, home / "logs"), engines)
        try:
            service.start()
            yield LocalMaker(service, key)
        finally:
            service.stop()
            logging.getLogger().removeHandler(handler)
            handler.close()


class LocalMaker:
    """See `Maker`."""

    poll_seconds = 0.25

    def __init__(self, service: Service, key: str) -> None:
        self._service = service
        self._key = key
        self._batch = ""

    def check(self, fields: dict[str, object], size: tuple[int, int]) -> None:
        self._service.plan(fields, size)

    def begin(self) -> None:
        self._batch = self._service.batches.create(key=self._key).id

    def submit(self, name: str, fields: dict[str, object], picture: bytes, key: str) -> str:
        key = f"{self._batch} {key}"
        return self._service.batches.submit(self._batch, name, fields, picture, key).id

    def states(self) -> tuple[dict[str, JobState], float | None]:
        batches = self._service.batches
        found = {}
        for row in batches.rows(self._batch):
            if row.job is not None:
                error = "" if row.error is None else str(row.error["message"])
                found[row.job] = JobState(row.status, row.progress, error)
        return found, batches.seconds_left(batches.get(self._batch))

    def retry(self, job: str) -> None:
        self._service.retry(job)

    def result(self, job: str) -> Mapping[str, object]:
        result = self._service.get(job).result
        return {} if result is None else result.to_dict()

    def copy_video(self, job: str, target: Path) -> None:
        source = self._service.video(job)
        try:
            target.hardlink_to(source)  # takes no space
        except OSError:  # a file system that has no links
            shutil.copyfile(source, target)


# --- on a server


class RemoteMaker:
    """See `Maker`; over the REST API. Waits `PATIENCE` for a server that is away: it may be restarted."""

    poll_seconds = 1.0

    def __init__(self, url: str, token: str, key: str) -> None:
        """Raises `InvalidRequest` (`batch.bad_server`, `batch.bad_token`) or `batch.server_away`."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest("batch.bad_server", url=shown(url, limit=300))
        self._api = url.rstrip("/") + "/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opener = _opener(parts.hostname)
        self._key = key
        self._batch = ""
        self._ask(_Listed, "GET", "/batches?limit=1", patience=0)

    def check(self, fields: dict[str, object], size: tuple[int, int]) -> None:
        self._ask(_Plan, "POST", "/plan", {**fields, "picture_size": list(size)})

    def begin(self) -> None:
        self._batch = self._ask(_Made, "POST", "/batches", {}, self._key).id

    def submit(self, name: str, fields: dict[str, object], picture: bytes, key: str) -> str:
        body = {**fields, "image": base64.b64encode(picture).decode()}
        path = f"/batches/{self._batch}/jobs?name={quote(name)}"
        return self._ask(_Made, "POST", path, body, f"{self._batch} {key}").id

    def states(self) -> tuple[dict[str, JobState], float | None]:
        batch = self._ask(_Batch, "GET", f"/batches/{self._batch}")
        found = {
            row.job_id: JobState(row.status, row.progress, "" if row.error is None else row.error.message)
            for row in batch.rows
            if row.job_id is not None
        }
        return found, batch.seconds_left

    def retry(self, job: str) -> None:
        self._ask(_Made, "POST", f"/jobs/{job}/retry")

    def result(self, job: str) -> Mapping[str, object]:
        return self._ask(_Made, "GET", f"/jobs/{job}").result or {}

    def copy_video(self, job: str, target: Path) -> None:
        with (
            self._open("GET", f"/jobs/{job}/video", None, None, PATIENCE) as answer,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
            length = answer.headers.get("Content-Length")
            if length is not None and file.tell() != int(length):
                raise self._away("the video was cut off")

    def _ask(
        self,
        kind: type[T],
        method: str,
        path: str,
        body: object = None,
        key: str | None = None,
        patience: float = PATIENCE,
    ) -> T:
        with self._open(method, path, body, key, patience) as answer:
            try:
                return kind.model_validate_json(answer.read())
            except (ValueError, OSError, HTTPException) as error:
                raise self._away(f"it does not answer as i2v does ({error})") from error

    def _open(self, method: str, path: str, body: object, key: str | None, patience: float) -> HTTPResponse:
        """Send a request, again while nobody answers: each of ours may be sent twice."""
        headers = {**self._headers, "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._api + path, data, headers, method=method)
        end = time.monotonic() + patience
        while True:
            try:
                answer: HTTPResponse = self._opener.open(request, timeout=TIMEOUT)
                return answer
            except HTTPError as error:
                with error:
                    if error.code not in (502, 503, 504) or time.monotonic() > end:
                        self._refuse(error)
            except (URLError, OSError, HTTPException) as error:
                if time.monotonic() > end:
                    raise self._away(str(getattr(error, "reason", error))) from error
            time.sleep(_PAUSE)

    def _refuse(self, answer: HTTPError) -> NoReturn:
        """Raise what the answer says."""
        if answer.code == 401:
            raise InvalidRequest("batch.bad_token", url=self._api)
        try:
            problem = json.loads(answer.read())
            code, detail = str(problem["code"]), shown(str(problem["detail"]), limit=500)
        except (ValueError, TypeError, KeyError, OSError, HTTPException):
            raise self._away(f"status {answer.code}, and no words of i2v") from answer
        if code in ("job.queue_full", "security.too_many_waiting"):
            raise QueueFull("batch.server_full", url=self._api)
        if answer.code in (403, 409, 413, 415, 422) and not code.startswith("weights."):
            raise InvalidRequest("batch.refused", reason=detail)
        raise self._away(detail)

    def _away(self, reason: str) -> I2VError:
        return I2VError("batch.server_away", url=shown(self._api, limit=300), reason=shown(reason, limit=500))


class _Made(BaseModel):
    """What is read of a batch or a job that an address answers with."""

    id: str
    result: dict[str, object] | None = None


class _Listed(BaseModel):
    batches: list[_Made]


class _Plan(BaseModel):
    fits: bool | None


class _Error(BaseModel):
    message: str


class _Row(BaseModel):
    job_id: str | None
    status: RowStatus
    progress: float
    error: _Error | None


class _Batch(BaseModel):
    seconds_left: float | None
    rows: list[_Row]


class _Stays(HTTPRedirectHandler):
    """Follows no redirect: the token is for the server that was named."""

    def redirect_request(self, *_: object) -> None:
        return None


def _opener(host: str) -> OpenerDirector:
    direct = [ProxyHandler({})] if host in ("localhost", "127.0.0.1", "::1") else []
    return build_opener(_Stays, *direct)
