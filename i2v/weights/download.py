"""Downloading a model: what it would be, and doing it. The surface that the command line and the page use.

Imports no heavy library and may run in a thread of the web process. How it is done: `fetching`.
"""

from __future__ import annotations

import errno
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable, Notice
from i2v.core.settings import ModelSettings
from i2v.weights.fetching import (
    HUB,
    Downloaded,
    Fetching,
    fetch_order,
    free_space,
    published_of,
    shown_path,
    unwritable,
)
from i2v.weights.folders import ModelFolder, locate, own_folder, size_of
from i2v.weights.progress import Meter, Progress
from i2v.weights.sources import TICK_SECONDS


@dataclass(frozen=True)
class Plan:
    """What a download would be, said without asking anybody.

    Attributes:
        folder: the model, there or not.
        target: where a download goes.
        size: bytes, about.
        begun: bytes that an earlier download has left.
        free: bytes on the disk of `target`.
    """

    folder: ModelFolder
    target: Path
    size: int
    begun: int
    free: int
    licence: str
    origin: str
    sources: tuple[str, ...]


def plan_download(spec: EngineSpec, models: ModelSettings) -> Plan:
    """Return size, space, licence and origin. Touches no network. Raises `InvalidRequest`."""
    published = published_of(spec)
    target = own_folder(spec, models)
    return Plan(
        locate(spec, models),
        target,
        published.size,
        sum(size_of(path) for path in target.rglob("*")),
        free_space(models.directory),
        published.licence,
        f"{HUB}/{published.repo}/tree/{published.revision}",
        () if models.offline else tuple(fetch_order(models)),
    )


def download(
    spec: EngineSpec,
    models: ModelSettings,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Downloaded:
    """Return the folder of `spec`, fetched into the models folder where no complete one is anywhere.

    Both callables are called from this thread a few times a second, `on_progress` with what is going on.
    Whatever ends this, what was fetched is kept, and the next call goes on from there.

    Raises:
        InvalidRequest: the model is published nowhere.
        ModelUnavailable: no source has it, the disk is full or cannot be written, or we are offline.
        Cancelled: `cancelled` returned true.
    """
    published = published_of(spec)
    found = locate(spec, models)
    if found.missing is None:
        return _nothing_fetched(spec, found)
    if models.offline:
        raise ModelUnavailable("weights.offline", title=spec.title, path=shown_path(found.path))
    meter = Meter(on_progress, cancelled)
    try:
        with alone(spec, models, meter) as lock:
            found = locate(spec, models)
            if found.missing is None:  # meanwhile, by another process
                return _nothing_fetched(spec, found)
            with ExitStack() as stack:
                fetching = Fetching(spec, published, models, meter, lock, stack)
                return fetching.run()
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:  # of no file: a caller's own
            raise
        raise unwritable(models.directory, error.strerror or str(error)) from error


def _nothing_fetched(spec: EngineSpec, found: ModelFolder) -> Downloaded:
    notice = Notice("weights.already_there", {"title": spec.title, "path": shown_path(found.path)})
    return Downloaded(found, 0, None, notice)


@contextmanager
def alone(spec: EngineSpec, models: ModelSettings, meter: Meter) -> Iterator[int]:
    """Hold the model's lock, so that two processes do not fetch the same; yield its file's number."""
    models.directory.mkdir(parents=True, exist_ok=True)
    with (models.directory / f".{spec.name}.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                meter.tell("waiting")
                time.sleep(TICK_SECONDS)
        yield file.fileno()
