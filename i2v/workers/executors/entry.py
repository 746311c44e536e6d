"""The worker process from inside: how it starts, what it sends to the service, and how it ends.

Owns signals, the log, and dying with the service. What a job goes through is `worker`'s business; when the
process is started and ended is `executors.supervisor`'s.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError
from i2v.core.log_context import request_id_of
from i2v.core.memory_plan import DeviceInfo
from i2v.core.packages import package_error
from i2v.core.settings import Settings
from i2v.core.signals import die_with
from i2v.host.log_formats import TextFormatter
from i2v.jobs.store import JobStore
from i2v.memory import allocator
from i2v.memory.plan import count_cards, probe_device
from i2v.workers.devices import Slot, environment, slots_beside
from i2v.workers.worker import Beat, Worker

LOG_BYTES = 5_000_000  # a longer log is put aside, and takes the place of the one before it
LOG_SECONDS, RETRY_LOG_SECONDS = 2.0, 60.0  # between two looks at its length

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """How many GPUs there are, where the settings leave it to that: `slots_beside` says who works on them."""

    cards: int


@dataclass(frozen=True)
class Ready:
    """The worker's first word: it takes jobs from now on."""

    device: DeviceInfo


@dataclass(frozen=True)
class Unable:
    """The worker's last word: it cannot take jobs."""

    error: I2VError


@dataclass(frozen=True)
class LogLine:
    """A line for the service's log."""

    logger: str
    level: int
    text: str
    request_id: str = ""


Message = Found | Ready | Beat | Unable | LogLine


def work(
    settings: Settings,
    owner: str,
    channel: Connection,
    engines: Mapping[str, EngineSpec],
    logs: Path,
    slot: Slot,
) -> None:
    """Be the worker process of `slot`, from its start to its end; `channel` takes its messages."""
    sending = threading.Lock()  # a thread of the worker's may log a line

    def send(message: Message) -> None:
        try:
            with sending:
                channel.send(message)
        except OSError:  # the service is gone, on a system where that has not ended us already
            raise KeyboardInterrupt from None

    begin_process(logs / slot.log_name, send)
    os.environ.update(environment(slot.device, os.environ))  # before torch is there
    allocator.configure()  # the same
    try:
        store = JobStore(settings.database, create=False)
        device = _look(slot, store, send)
        send(Ready(device))
        Worker(settings, store, engines, device, owner, send).run()
    except KeyboardInterrupt:
        return
    except I2VError as error:
        log.exception("the worker cannot work")
        send(Unable(error))
        sys.exit(1)
    except Exception as error:
        found = package_error(error)
        if found is None:
            raise
        log.exception("the worker cannot work")
        send(Unable(found))
        sys.exit(1)


def begin_process(log_file: Path, send: Callable[[LogLine], None]) -> None:
    """Be a process of the service's: die with it, log to a file, unwind at SIGTERM, send it what i2v logs."""
    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        die_with(parent.pid, signal.SIGKILL)
    os.setsid()  # out of reach of Ctrl-C, which is for the service; and ffmpeg is found by the session
    _log_to(log_file)
    signal.signal(signal.SIGTERM, _end)
    logging.getLogger("i2v").addHandler(_LogForwarder(send))


def _look(slot: Slot, store: JobStore, send: Callable[[Message], None]) -> DeviceInfo:
    """Return the device of `slot`, and let all jobs know of it; first of all the others, if it finds any."""
    if slot.device is None:
        cards = count_cards(slot.wanted)
        beside = (each.device for each in slots_beside(slot, cards))
        store.devices.add([slot.device_of("cuda" if cards else "cpu"), *filter(None, beside)])
        send(Found(cards))
    device = probe_device(slot.wanted, slot.share)
    device = replace(device, id=slot.device_of(device.type))
    if slot.number == 1:  # the others would find what this one has left
        store.devices.measured(device.id, device.free_memory)
    return device


class _LogForwarder(logging.Handler):
    """Lets the service's log have what i2v logs here, without tracebacks and without what libraries log."""

    def __init__(self, send: Callable[[LogLine], None]) -> None:
        super().__init__(logging.INFO)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        line = LogLine(record.name, record.levelno, record.getMessage(), request_id_of(record))
        self._send(line)


def _end(number: int, frame: FrameType | None) -> None:
    """Unwind from wherever this is, so that part files go away; a second signal must not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _log_to(path: Path) -> None:
    """Let all that this process says go to a file: tracebacks, libraries' words, a crash's last stack.

    The file is never much longer than `LOG_BYTES`; the one before it is kept.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size > LOG_BYTES:
            path.replace(_before(path))
        _write_to(path)
    except OSError as error:  # `i2v doctor` warns of it; the service's own standard error is taken instead
        print(f"{path} cannot be written: {error}", file=sys.stderr)
    else:
        threading.Thread(target=_keep_short, args=(path,), name="worker-log", daemon=True).start()
    faulthandler.enable(2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _before(path: Path) -> Path:
    return path.with_suffix(".1.log")


def _write_to(path: Path) -> None:
    with path.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _keep_short(path: Path) -> None:
    """Begin a new file when this one is full or was removed; libraries write to its descriptor directly."""
    while True:
        time.sleep(LOG_SECONDS)
        try:
            now = os.fstat(2)
            if now.st_size > LOG_BYTES and now.st_nlink:
                path.replace(_before(path))
                _write_to(path)
            elif not now.st_nlink:
                _write_to(path)
        except OSError as error:  # a full disk, a folder that is gone: what is written goes where it went
            log.warning("%s cannot be written anew: %s", path, error)
            time.sleep(RETRY_LOG_SECONDS)
