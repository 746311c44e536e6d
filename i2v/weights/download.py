"""Downloading a model: what it would be, and doing it. The surface that the command line and the page use.

Imports no heavy library and may run in a thread of the web process. How it is done: `fetching`.
"""

from __future__ import annotations

import errno
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import ModelUnavailable, Notice
from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.fetching import (
    Downloaded,
    Fetching,
    free_space,
    linked_notice,
    shown_path,
    unwritable,
)
from i2v.weights.folders import ModelFolder, files_below, locate, own_folder
from i2v.weights.licences import accept, is_accepted, refuse_unless_accepted
from i2v.weights.parts import name_in_model, needed_files, origin_of, published_of, stored
from i2v.weights.progress import TransferMeter, TransferProgress
from i2v.weights.selection import fetch_order
from i2v.weights.shards import size_of
from i2v.weights.sharing import find_copy, link_copies, linked_files
from i2v.weights.sources import TICK_SECONDS, Fetches, Source


@dataclass(frozen=True)
class PartPlan:
    """One repository of a download.

    Attributes:
        is_here: all its files are in the model's own folder.
        copy: where it is on this machine already: it would be linked to, and not fetched.
        is_accepted: nobody needs to be asked about its licence.
    """

    published: Repository
    is_here: bool
    copy: Path | None
    is_accepted: bool

    @property
    def is_fetched(self) -> bool:
        return not self.is_here and self.copy is None

    @property
    def origin(self) -> str:
        return origin_of(self.published)


@dataclass(frozen=True)
class DownloadPlan:
    """What a download would be, said without asking anybody.

    Attributes:
        folder: the model, there or not.
        target: where a download goes.
        size: bytes, about.
        begun: bytes that an earlier download has left, or that are somewhere else on this machine.
        free: bytes on the disk of `target`.
        linked: those of `begun` that are not in `target`.
    """

    folder: ModelFolder
    target: Path
    size: int
    begun: int
    free: int
    parts: tuple[PartPlan, ...]
    sources: tuple[str, ...]
    linked: int = 0

    @property
    def licence(self) -> str:
        return ", ".join(dict.fromkeys(part.published.licence for part in self.parts))

    @property
    def origin(self) -> str:
        """The page of the repository that the model has its first file from."""
        return self.parts[0].origin

    @property
    def to_accept(self) -> tuple[Repository, ...]:
        """The repositories whose licence a person must accept before this download."""
        return tuple(part.published for part in self.parts if part.is_fetched and not part.is_accepted)


def plan_download(spec: ModelSpec, models: ModelSettings) -> DownloadPlan:
    """Return size, space, licences and origin. Touches no network. Raises `InvalidRequest`."""
    parts = tuple(_plan_part(spec, part, models) for part in published_of(spec))
    target = own_folder(spec, models)
    sizes = {path: size_of(path) for path in files_below(target)}
    linked = sum(size for path, size in sizes.items() if path.is_symlink())
    elsewhere = sum(part.published.size for part in parts if part.copy is not None)
    return DownloadPlan(
        locate(spec, models),
        target,
        spec.published_bytes,
        sum(sizes.values()) + elsewhere,
        free_space(models.directory),
        parts,
        () if models.offline else tuple(fetch_order(models)),
        linked + elsewhere,
    )


def download(
    spec: ModelSpec,
    models: ModelSettings,
    on_progress: Callable[[TransferProgress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
    accept_licences: bool = False,
) -> Downloaded:
    """Return the folder of `spec`, fetched into the models folder where no complete one is anywhere.

    Both callables are called from this thread a few times a second, `on_progress` with what is going on.
    Whatever ends this, what was fetched is kept, and the next call goes on from there. `accept_licences`: a
    person has just accepted those of `DownloadPlan.to_accept`, which is recorded.

    Raises:
        InvalidRequest: the model is published nowhere, or a licence was not accepted (`weights.licence`).
        ModelUnavailable: no source has it, the disk is full or cannot be written, or we are offline.
        Cancelled: `cancelled` returned true.
    """
    published_of(spec)
    found = locate(spec, models)
    if found.missing is None:
        return _nothing_fetched(spec, found)
    meter = TransferMeter(on_progress, cancelled)
    try:
        if models.offline:
            return _linked_only(spec, models, meter)
        settle_licences(spec, models, accept_licences)
        with alone(spec, models, meter) as lock:
            found = locate(spec, models)
            if found.missing is None:  # meanwhile, by another process
                return _nothing_fetched(spec, found)
            with ExitStack() as stack:
                sources = [
                    stack.enter_context(closing(Source(name, models, lock))) for name in fetch_order(models)
                ]
                return Fetching(spec, models, meter, sources).run()
    except OSError as error:
        raise _of_disk(error, models) from error


def download_from(
    source: Fetches,
    spec: ModelSpec,
    models: ModelSettings,
    on_progress: Callable[[TransferProgress], None],
    cancelled: Callable[[], bool],
) -> Downloaded:
    """Do as `download`, from one source alone, which has the files and nothing else; also of a model that is
    published nowhere. Licences are not asked for: who has the files has answered.
    """
    meter = TransferMeter(on_progress, cancelled)
    try:
        with alone(spec, models, meter):
            found = locate(spec, models)
            if found.missing is None:
                return _nothing_fetched(spec, found)
            return Fetching(spec, models, meter, [source], takes_all=True).run()
    except OSError as error:
        raise _of_disk(error, models) from error


def _of_disk(error: OSError, models: ModelSettings) -> ModelUnavailable:
    """Return what an error of a file means; raise one that is a caller's own."""
    if error.filename is None and error.errno != errno.ENOSPC:
        raise error
    return unwritable(models.directory, error.strerror or str(error))


def settle_licences(spec: ModelSpec, models: ModelSettings, accept_licences: bool) -> None:
    """Record that a person accepts what is to be accepted before a download, or refuse.

    Raises `InvalidRequest` (`weights.licence`), and `OSError` where it cannot be recorded.
    """
    pending = plan_download(spec, models).to_accept
    if accept_licences:
        accept(pending, models)
    else:
        refuse_unless_accepted(spec, pending, models)


def _plan_part(spec: ModelSpec, part: Repository, models: ModelSettings) -> PartPlan:
    own = own_folder(spec, models)
    names = (name_in_model(part, name) for name in needed_files(spec, part))
    is_here = all(stored(spec, own, name).missing is None for name in names)
    copy = None if is_here else find_copy(spec, part, models)
    return PartPlan(part, is_here, copy, is_accepted(part, models))


def _linked_only(spec: ModelSpec, models: ModelSettings, meter: TransferMeter) -> Downloaded:
    """Return the folder if copies on this machine complete it; raise `ModelUnavailable`."""
    if any(part.copy for part in plan_download(spec, models).parts):
        with alone(spec, models, meter):
            link_copies(spec, models, meter)
    found = locate(spec, models)
    if found.missing is not None:
        raise ModelUnavailable("weights.offline", title=spec.title, path=shown_path(found.path))
    return Downloaded(found, 0, None, linked_notice(spec, len(linked_files(spec, models))))


def _nothing_fetched(spec: ModelSpec, found: ModelFolder) -> Downloaded:
    notice = Notice("weights.already_there", {"title": spec.title, "path": shown_path(found.path)})
    return Downloaded(found, 0, None, notice)


@contextmanager
def alone(spec: ModelSpec, models: ModelSettings, meter: TransferMeter) -> Iterator[int]:
    """Hold the model's lock, so that two processes do not fetch the same; yield its file's number."""
    models.directory.mkdir(parents=True, exist_ok=True)
    with (models.directory / f".{spec.name}.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                meter.report("waiting")
                time.sleep(TICK_SECONDS)
        yield file.fileno()
