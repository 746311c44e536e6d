"""Batches: many clips that are asked for together, and seen, cancelled, retried and fetched as one.

A job joins a batch when it is submitted (`submit`), or pictures are handed over all at once (`add`): these
are on the disk when that returns, and a thread makes a job of each in its turn, when the queue has room, also
after a restart. Owns that thread, and the folder of pictures that wait. What is in the tables is
`jobs.batches`' business.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.core.errors import I2VError, InvalidRequest, QueueFull, not_stored
from i2v.core.fields import clean_text, shown
from i2v.core.schema import GenerationRequest
from i2v.core.users import User, acting_as, current_user
from i2v.core.webhook import BatchWebhook
from i2v.jobs.batches import Batch, BatchStore, NewRow, Row
from i2v.jobs.model import Job, JsonObject, Place, new_job_id
from i2v.service.rights import check_owner, check_role

if TYPE_CHECKING:
    from i2v.service.service import Service

MAX_NAME = 200  # characters of a batch's name, and of a row's
PERIOD_SECONDS = 2.0  # how often a full queue is tried again

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A picture that is to become a clip: its bytes, or why they cannot be had.

    fields: of a `GenerationRequest`, before those of the batch.
    """

    name: str
    data: bytes | I2VError
    fields: JsonObject


class Batches:
    """Made by the service, which starts and stops it.

    Methods that take an id raise `InvalidRequest` (`batch.unknown`), and those that change a batch
    `security.*` where whoever asks may not.
    """

    def __init__(
        self,
        data_dir: Path,
        store: BatchStore,
        service: Service,
        seconds_left: Callable[[Batch], float | None],
        users: Mapping[str, User],
    ) -> None:
        self._folder = data_dir / "batches"
        self._store = store
        self._service = service
        self._users = users
        self.seconds_left = seconds_left
        self._keeping = threading.Lock()  # while files have no rows yet
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        """Go on with the rows that wait; files of no row go away."""
        self._sweep()
        self._news.set()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- what is asked for

    def create(
        self,
        name: str = "",
        fields: JsonObject | None = None,
        key: str | None = None,
        webhook: JsonObject | None = None,
    ) -> Batch:
        """Make an empty batch, or return the one that was made with the idempotency key.

        webhook: of `core.webhook.BatchWebhook`.

        Raises:
            InvalidRequest: `request.*`: a field is wrong by itself; `webhook.*`; `job.idempotency_conflict`.
            I2VError: as `Webhooks.admit`.
        """
        check_role("make")
        user = current_user()
        own = None if webhook is None else BatchWebhook.parse(webhook)
        if own is not None:
            self._service.webhooks.admit(own)
        fields = {} if fields is None else fields
        asked = GenerationRequest.parse(fields)
        for field, given in (("inputs", asked.inputs), ("sound", asked.sound)):
            if given:
                allowed = "left out: such files come with a job"
                raise InvalidRequest(
                    "request.invalid", field=field, value=shown(fields[field]), allowed=allowed
                )
        stored = None if own is None else own.model_dump_json()
        name = _checked_name(name)
        return self._store.create(name, fields, key, stored, None if user is None else user.name)

    def submit(
        self,
        batch_id: str,
        name: str,
        fields: JsonObject,
        picture: bytes,
        key: str | None = None,
        others: Sequence[bytes] = (),
        picture_name: str = "",
    ) -> Job:
        """Accept a job as the batch's last row; its own fields go before those of the batch.

        picture_name: of the picture's file, for where `name` is empty. Raises as `Service.submit` does.
        """
        batch, place = self.own(batch_id), Place(batch_id, _checked_name(name))
        return self._service.submit(batch.fields | fields, picture, key, others, place, name or picture_name)

    def add(self, batch_id: str, pictures: Iterable[Picture]) -> None:
        """Keep the pictures; when this returns, they are on the disk, and will be made jobs in their order.

        What is wrong with one becomes its row's error. Raises `EncodeError` (`image.no_space`,
        `image.not_stored`): none of them was kept.
        """
        self.own(batch_id)
        rows: list[NewRow] = []
        with self._keeping:
            try:
                for each in pictures:
                    rows.append(self._kept(each))
                self._store.add(batch_id, rows)
            except BaseException:
                for row in rows:
                    self._remove(row.picture)
                raise
        self._news.set()

    def cancel(self, batch_id: str) -> Batch:
        """Cancel all that has not ended: rows, then jobs, the last one first."""
        self.own(batch_id)
        self._store.cancel_waiting(batch_id)
        for row in reversed(self._store.rows(batch_id)):
            if row.job is not None and row.status in ("queued", "running"):
                with suppress(InvalidRequest):  # it has just finished
                    self._service.cancel(row.job)
        return self._store.get(batch_id)

    def retry(self, batch_id: str) -> Batch:
        """Put all failed and cancelled jobs back into the queue, and refused rows before it.

        Raises `QueueFull` (`job.queue_full`): the rest of them stayed as they are.
        """
        self.own(batch_id)
        self._store.retry_refused(batch_id)
        self._news.set()
        for row in self._store.rows(batch_id):
            if row.job is not None and row.status in ("failed", "cancelled"):
                with suppress(InvalidRequest):  # somebody else was faster
                    self._service.retry(row.job)
        return self._store.get(batch_id)

    def delete(self, batch_id: str, clips: bool = False) -> None:
        """Forget the batch; with `clips`, delete its jobs as `Service.delete` does.

        Rows that wait, or could not become jobs, go in any case. Without `clips` its jobs stay, and go on.

        Raises:
            InvalidRequest: `batch.not_finished`, with `clips`: cancel it first.
            I2VError: as `Service.delete`; the batch is still there then.
        """
        batch = self.own(batch_id)
        rows = self._store.rows(batch_id)
        if clips:
            if not batch.is_finished:
                raise InvalidRequest("batch.not_finished", id=batch_id)
            jobs = [row.job for row in rows if row.job is not None and row.status != "deleted"]
            for job in jobs:
                self._service.own(job)  # of all, before the first one is gone
            for job in jobs:
                self._service.delete(job)
        self._store.delete(batch_id)
        for row in rows:
            self._remove(row.picture)

    # --- what is known

    def get(self, batch_id: str) -> Batch:
        return self._store.get(batch_id)

    def own(self, batch_id: str) -> Batch:
        """Return a batch that whoever asks may change."""
        batch = self._store.get(batch_id)
        check_owner(batch.user)
        return batch

    def page(self, after: str | None = None, limit: int = 50) -> list[Batch]:
        """See `BatchStore.page`."""
        return self._store.page(after, limit)

    def rows(self, batch_id: str) -> list[Row]:
        return self._store.rows(batch_id)

    def videos(self, batch_id: str) -> list[tuple[str, Path]]:
        """Return the videos that are there, each with a name of its own for an archive.

        Raises `InvalidRequest` (`batch.no_videos`).
        """
        found = []
        for row in self._store.rows(batch_id):
            if row.job is not None and row.status == "succeeded":
                with suppress(InvalidRequest):  # the file was moved, or the job deleted
                    found.append((archive_name(row), self._service.video(row.job)))
        if not found:
            raise InvalidRequest("batch.no_videos", id=batch_id)
        return found

    # --- how

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            while not self._stopping.is_set() and not self._feed():
                self._stopping.wait(PERIOD_SECONDS)
            if self._stopping.is_set():
                return

    def _feed(self) -> bool:
        """Make jobs of the rows that wait; return whether none waits any more.

        Who has as many jobs as a user may have does not keep others waiting.
        """
        full: set[str] = set()
        try:
            while not self._stopping.is_set() and (found := self._store.first_waiting(full)) is not None:
                try:
                    self._accept(*found)
                except QueueFull as error:
                    if not error.code.startswith("security."):
                        raise
                    full.add(found[0].user or "")
        except I2VError:  # the queue is full, or no job can be accepted now, which has been logged
            return False
        except Exception:  # a defect must not end all later batches unnoticed
            log.exception("batches: a picture could not be made a job")
            return False
        return not full

    def _accept(self, batch: Batch, row: Row) -> None:
        """Make a job of the row, or say why there is none. Raises what may be otherwise the next time."""
        place = Place(batch.id, row.name, row.number)
        problem = self._service.problem()
        if problem is not None:  # the service's fault, and not the row's
            raise problem
        try:
            with acting_as(self._user(batch)):
                self._service.submit(batch.fields | row.fields, self._read(row), place=place)
        except I2VError as error:
            passes = error.code == "image.decoders_busy" or error.code.startswith("database.")
            if passes or isinstance(error, QueueFull):
                raise
            self._store.refuse(batch.id, row.number, error.to_dict())
            return
        self._remove(row.picture)

    def _user(self, batch: Batch) -> User | None:
        """Return whose the batch is, by name also where the settings have lost that user since."""
        if batch.user is None:
            return None
        return self._users.get(batch.user) or User.model_construct(name=batch.user, role="make")

    def _read(self, row: Row) -> bytes:
        assert row.picture is not None
        try:
            return (self._folder / row.picture).read_bytes()
        except OSError as error:  # somebody tidied up
            name, reason = shown(row.name, limit=300), error.strerror or str(error)
            raise InvalidRequest("image.unreadable", path=name, reason=reason) from error

    def _kept(self, picture: Picture) -> NewRow:
        """Return the row, its picture written to a file and waited for."""
        name = picture.name[:MAX_NAME]
        if isinstance(picture.data, I2VError):
            return NewRow(name, picture.fields, error=picture.data.to_dict())
        file = self._folder / f"{new_job_id()}.upload"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                target.write(picture.data)
                target.flush()
                os.fsync(target.fileno())
        except OSError as error:
            self._remove(file.name)
            raise not_stored(self._folder, error) from error
        return NewRow(name, picture.fields, file.name)

    def _sweep(self) -> None:
        """Remove files that no row has: of an `add` that was cut off, or of a job that has its own by now."""
        if self._service.revision() == 0 or not self._folder.is_dir():  # a new database may not know them
            return
        with self._keeping:
            owned = self._store.pictures()
            for file in self._folder.glob("*.upload"):
                if file.name not in owned:
                    self._remove(file.name)

    def _remove(self, name: str | None) -> None:
        if name is not None:
            try:
                (self._folder / name).unlink(missing_ok=True)
            except OSError as error:  # it is found at the next start
                log.warning("%s could not be removed: %s", self._folder / name, error.strerror or error)


def archive_name(row: Row) -> str:
    """Return a name for the row's video: its number, and what of its picture's name any system takes."""
    stem = re.sub(r"[^\w.() -]", "_", Path(row.name).stem)[:80].strip(" .")
    return f"{row.number:04}_{stem}.mp4" if stem else f"{row.number:04}.mp4"


def _checked_name(name: str) -> str:
    try:
        clean_text(name)
    except ValueError as error:
        raise InvalidRequest("request.invalid", field="name", value=shown(name), allowed=str(error)) from None
    if len(name) > MAX_NAME:
        allowed = f"at most {MAX_NAME} characters"
        raise InvalidRequest("request.invalid", field="name", value=shown(name), allowed=allowed)
    return name
