"""The worker on another machine: a Ray actor with one device and one loaded engine, which makes clips there.

Owns its folder of files, which goes with it. A clip is made in a thread of its own, so that the actor answers
meanwhile. It knows neither queue nor store: what becomes of a clip is the service's business.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psutil

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Cancelled, I2VError, InsufficientMemory, Notice
from i2v.core.packages import package_error
from i2v.core.settings import Settings
from i2v.core.settings_sources import load_settings
from i2v.jobs.model import Progress
from i2v.media.checkpoints import SUFFIX
from i2v.media.unpublished import FrameRecorder, find_kept
from i2v.media.video.failures import write_error
from i2v.memory import allocator
from i2v.memory.plan import probe_device
from i2v.weights.download import download, download_from
from i2v.weights.folders import is_available
from i2v.weights.progress import TransferProgress
from i2v.workers.cluster.node import leaving, note_actor
from i2v.workers.cluster.server_source import ServerSource
from i2v.workers.cluster.wire import (
    Answer,
    Errand,
    Fetched,
    FileFacts,
    Introduction,
    LastWord,
    Made,
    Message,
    NotMade,
    Said,
    Shared,
    Versions,
)
from i2v.workers.devices import CPU, Fetch, cuda_id
from i2v.workers.maker import LocalMaker, Order, Reports

MAKING, CONTROL = "making", "control"  # Ray's groups of methods that run at the same time
GROUPS = {MAKING: 1, CONTROL: 4}

log = logging.getLogger(__name__)


class Actor:
    """One device's worker. `make` is called for one clip at a time, the others at any time.

    Args:
        name: of its machine.
        kind, share: as `memory.plan.probe_device` has them.
        gpu: the number of the GPU that Ray gave it, or its UUID.
        threads: for what it computes on the CPU beside its GPU: Ray leaves such a worker one.
    """

    def __init__(
        self,
        name: str,
        kind: Literal["cpu", "cuda"],
        share: int,
        shared: Shared,
        engines: Mapping[str, EngineSpec],
        gpu: str | None,
        threads: int | None = None,
    ) -> None:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # before torch is there: nvidia-smi's
        if threads is not None and os.environ.get("OMP_NUM_THREADS", "1") == "1":  # else a person's choice
            os.environ["OMP_NUM_THREADS"] = str(threads)
        allocator.configure()
        note_actor(os.environ)
        self._id = f"{name}/{CPU if gpu is None else cuda_id(gpu)}"
        self._kind: Literal["cpu", "cuda"] = kind
        self._share = share
        self._engines = engines
        self._settings = _settings(shared)
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))
        self._threads = ThreadPoolExecutor(1, "clip")  # the same for all clips: CUDA is slow with new ones
        self._maker: LocalMaker | None = None
        self._stopped = ""  # the order that nobody waits for any more
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def look(self) -> Introduction:
        """Look at the device, and say who is here. Raises `InsufficientMemory` where it cannot be used."""
        device = replace(probe_device(self._kind, self._share), id=self._id)
        self._maker = LocalMaker(self._settings, self._engines, device)
        return Introduction(Versions.here(), device, self.models())

    def models(self) -> tuple[str, ...]:
        """Return the names of the engines whose weights are on this machine."""
        found = (spec for spec in self._engines.values() if is_available(spec, self._settings.models))
        return tuple(spec.name for spec in found)

    def leaving(self) -> Literal["", "soon", "now"]:
        """Tell whether the machine leaves: "soon": it takes no other job; "now": it gives its job back."""
        return leaving(os.environ)

    def make(self, order: Order, inputs: Sequence[bytes]) -> Generator[Message]:
        """Make the clip, whose files stay here until the next one; the last message says what came of it."""
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._threads.submit(self._make, order, inputs, messages)
        yield from _told(messages)

    def fetch(self, errand: Errand) -> Generator[Message]:
        """Get an engine's weights for this machine; the last message says what came of it."""
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._answers = queue.SimpleQueue()
        self._threads.submit(self._fetch, errand, messages)
        yield from _told(messages)

    def give(self, answer: Answer) -> None:
        """Take what the last `Wanted` has asked for."""
        self._answers.put(answer)

    def stop(self, job_id: str) -> None:
        """Let the clip of this order end at its next step; other attempts at the job have another id.

        Of an errand, that is its ticket.
        """
        self._stopped = job_id

    def read(self, kind: Literal["video", "frames"], offset: int, size: int) -> bytes:
        """Return a piece of the file that the last clip has left."""
        with (self._folder / _FILES[kind]).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def forget(self) -> None:
        """Remove the files of the last clip: they have arrived."""
        for name in _FILES.values():
            (self._folder / name).unlink(missing_ok=True)

    def end(self) -> None:
        """Remove all that is left; the actor is killed then."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fetch(self, errand: Errand, messages: queue.SimpleQueue[Message]) -> None:
        spec, models = self._engines[errand.engine], self._settings.models

        def tell(progress: TransferProgress) -> None:
            messages.put(Said(fetch=Fetch(errand.engine, progress.done, progress.total)))

        def is_stopped() -> bool:
            return self._stopped == errand.ticket

        ended: LastWord
        try:
            if errand.from_server:
                source = ServerSource(spec, messages.put, self._answers)
                download_from(source, spec, models, tell, is_stopped)
            else:
                download(spec, models, tell, is_stopped, accept_licences=errand.is_accepted)
            ended = Fetched(self.models())
        except I2VError as error:
            ended = NotMade(error)
        except Exception as error:  # a defect: whoever waits has to hear of it
            log.exception("the weights of %s", errand.engine)
            ended = NotMade(_reported(error))
        messages.put(ended)

    def _make(self, order: Order, inputs: Sequence[bytes], messages: queue.SimpleQueue[Message]) -> None:
        self.forget()
        names = [f"{number}-{path.name}" for number, path in enumerate(order.inputs)]
        paths = tuple(self._folder / name for name in names)
        order = replace(order, inputs=paths, output=self._folder / _FILES["video"])
        ended: Made | NotMade
        try:
            for path, data in zip(paths, inputs, strict=True):
                path.write_bytes(data)
            ended = self._result(order, messages)
        except OSError as error:  # a full disk, as a rule
            reason = error.strerror or str(error)
            ended = NotMade(write_error(order.output, reason, error.errno))
        except Exception as error:  # a defect: whoever waits has to hear of it
            log.exception("job %s", order.job_id)
            ended = NotMade(_reported(error), is_fit=False)
        for path in paths:
            path.unlink(missing_ok=True)
        shutil.rmtree(self._folder / f"{_KEPT}{SUFFIX}", ignore_errors=True)  # no other attempt asks for them
        messages.put(ended)

    def _result(self, order: Order, messages: queue.SimpleQueue[Message]) -> Made | NotMade:
        maker = self._maker
        assert maker is not None, "it has looked"
        recorder = FrameRecorder(self._folder, _KEPT)

        def say(progress: Progress | None) -> None:
            messages.put(Said(progress))
            if self._stopped == order.job_id:
                raise Cancelled("job.cancelled")

        def note(notices: tuple[Notice, ...]) -> None:
            messages.put(Said(None, notices))

        is_fit = True
        try:
            result = maker.make(order, recorder, Reports(note, say))
        except I2VError as error:
            failure = error
        except MemoryError as error:
            failure = InsufficientMemory("engine.out_of_memory", reason=str(error) or "MemoryError")
        except Exception as error:
            log.exception("job %s", order.job_id)
            failure, is_fit = _reported(error), False
            maker.drop()
        else:
            return Made(result, FileFacts.of("video", order.output), maker.rest())
        is_fit &= maker.rest()
        kept = find_kept(self._folder, _KEPT)
        facts = None if kept is None else FileFacts.of("frames", kept.path)
        return NotMade(failure, facts, recorder.notice, is_fit)


_FOLDER = "i2v-actor-"
_KEPT = "clip"
_FILES: Mapping[Literal["video", "frames"], str] = {"video": "clip.mp4", "frames": f"{_KEPT}.frames"}


def _told(messages: queue.SimpleQueue[Message]) -> Generator[Message]:
    """Yield them up to the last word."""
    while True:
        message = messages.get()
        yield message
        if isinstance(message, LastWord):
            return


def _reported(error: Exception) -> I2VError:
    return package_error(error) or I2VError("job.internal", kind=type(error).__name__)


def _sweep() -> None:
    """Remove the folders of actors that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _settings(shared: Shared) -> Settings:
    """Return this machine's own settings, with those of the service that a clip is made by."""
    own = load_settings(environ=os.environ)
    kept = {name: getattr(shared, name) for name in ("embeddings_megabytes", "embeddings_days")}
    service = own.service.model_copy(update=kept)
    worker = shared.worker.model_copy(update={"keep_latents_seconds": 0.0})  # no other attempt asks for them
    parts = {"engine": shared.engine, "output": shared.output, "worker": worker, "service": service}
    return own.model_copy(update=parts)
