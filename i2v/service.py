"""All that the front ends know: submit a picture and a request, follow the job, fetch what came of it.

Owns what happens between a request and the queue: the picture is decoded elsewhere and kept, every number is
settled, the video gets a name that no other job has, and only then the job is accepted. Deliberately does not
know HTTP or pages, nor how jobs are run; torch is never imported here.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from i2v.decoder import decode_to_file
from i2v.errors import InvalidRequest, Notice
from i2v.image import ImageLimits
from i2v.job_store import JobStore
from i2v.jobs import Job, JobStatus, JsonObject, OutputTaken, Page, Submission, new_job_id
from i2v.loading import choose_engine
from i2v.outputs import OutputName, prepare_output
from i2v.pipeline import resolve
from i2v.schema import DeviceInfo, EngineSpec, Generation, GenerationRequest, Preset
from i2v.settings import Settings, load_presets
from i2v.video import check_ffmpeg, read_last_frame
from i2v.worker import clean_up

DECODERS = 2  # pictures that are decoded at the same time: each may take gigabytes


class Executor(Protocol):
    """Who runs the jobs of a store. `executors.process` is the one for use, `executors.inline` for tests."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """Let a running job go back to the queue, and return when nothing runs any more."""
        ...

    def wake(self) -> None:
        """Something was queued."""
        ...

    def device(self) -> DeviceInfo:
        """Return where jobs run; may wait for it, and raises what keeps jobs from being run."""
        ...

    def is_ready(self) -> bool:
        """Tell whether jobs that are queued now would be run."""
        ...


@dataclass(frozen=True)
class Plan:
    """What a request would take here. `None`: not known yet.

    seconds: from the loaded engine to the finished video, by this machine's finished jobs of the same kind.
    """

    fits: bool | None
    bytes: int | None
    seconds: float | None
    options: JsonObject
    message: str


class Service:
    """The application without a front end. `start` it once, `stop` it at the end."""

    def __init__(
        self, settings: Settings, store: JobStore, executor: Executor, engines: Mapping[str, EngineSpec]
    ) -> None:
        self._settings = settings
        self._store = store
        self._executor = executor
        self._presets = load_presets()
        self._decoding = threading.Semaphore(DECODERS)
        self.engines = engines

    def start(self) -> None:
        """Take up where the last service stopped: interrupted jobs go on, files that nobody owns go away."""
        self._settings.inputs.mkdir(parents=True, exist_ok=True)
        for job in self._store.recover_interrupted():
            clean_up(job)
        owned = self._store.inputs()
        for file in self._settings.inputs.iterdir():
            if file.name not in owned:
                file.unlink()
        self._executor.start()

    def stop(self) -> None:
        self._executor.stop()
        self._store.close()

    def is_ready(self) -> bool:
        return self._executor.is_ready()

    # --- jobs

    def submit(self, fields: JsonObject, picture: bytes, idempotency_key: str | None = None) -> Job:
        """Accept a job: when this returns, it is on the disk and will be run.

        Args:
            fields: of `GenerationRequest`.
            picture: the file's bytes, as somebody sent them.
            idempotency_key: a second submission with the key returns the first one's job.
        Raises:
            InvalidRequest: `request.*`, `image.*`, `output.*` or `job.*`; nothing was accepted.
            QueueFull, InsufficientMemory, EncodeError: not now, or not here.
        """
        submitted = datetime.now()
        request = GenerationRequest.parse({"engine": self._settings.engine.name} | fields)
        check_ffmpeg()
        job_id = new_job_id()
        file = self._settings.inputs / f"{job_id}.png"
        try:
            with self._decoding:
                decoded = decode_to_file(picture, ImageLimits.of(self._settings.image), file)
            generation, notices = self._resolve(request, decoded.size)
            job = self._accept(
                Submission(
                    id=job_id,
                    request=request.model_dump(exclude_none=True),
                    generation=asdict(generation),
                    notices=tuple(notice.to_dict() for notice in (*notices, *decoded.notices)),
                    input=file.name,
                    output="",
                    fingerprint=_fingerprint(request, picture),
                    idempotency_key=idempotency_key,
                ),
                OutputName(self._settings.output.directory, submitted, self._settings.output.prefix),
            )
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        if job.id != job_id:  # the idempotency key's earlier job
            file.unlink(missing_ok=True)
        self._executor.wake()
        return job

    def get(self, job_id: str) -> Job:
        """Return the job as it is now; raise `InvalidRequest` (`job.unknown`), as all that take an id do."""
        return self._store.get(job_id)

    def page(self, status: JobStatus | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        return self._store.page(status, cursor, limit)

    def counts(self) -> dict[JobStatus, int]:
        return self._store.counts()

    def cancel(self, job_id: str) -> Job:
        return self._store.cancel(job_id)

    def retry(self, job_id: str) -> Job:
        job = self._store.retry(job_id)
        self._executor.wake()
        return job

    def delete(self, job_id: str) -> Job:
        """Forget a finished job, its picture and its video."""
        job = self._store.delete(job_id)
        (self._settings.inputs / job.input).unlink(missing_ok=True)
        if job.status == "succeeded":
            Path(job.output).unlink(missing_ok=True)
        return job

    def revision(self) -> int:
        """Return a number that is the same as long as no job has changed: cheap to ask often."""
        return self._store.revision()

    def preview(self, job_id: str) -> bytes | None:
        """Return the moving preview of a running job (`preview.MIME_TYPE`), if there is one yet."""
        return self._store.preview(job_id)

    def video(self, job_id: str) -> Path:
        """Return the finished video's path; raise `InvalidRequest` (`job.no_video`) where there is none."""
        job = self._store.get(job_id)
        path = Path(job.output)
        if job.status != "succeeded" or not path.is_file():
            raise InvalidRequest("job.no_video", id=job.id, status=job.status)
        return path

    def last_frame(self, job_id: str) -> bytes:
        """Return the finished video's last frame as a PNG file; raises as `video` does, or `EncodeError`."""
        return read_last_frame(self.video(job_id))

    def picture(self, job: Job) -> bytes | None:
        """Return the picture that the job was given, upright and whole, as PNG; `None` if it is gone."""
        try:
            return (self._settings.inputs / job.input).read_bytes()
        except FileNotFoundError:  # the job was deleted, or somebody tidied up
            return None

    # --- what can be asked for, and what it would take

    def presets(self, spec: EngineSpec) -> dict[str, Preset]:
        """Return the presets as `spec` has them."""
        return {**self._presets, **spec.presets}

    def plan(self, fields: JsonObject, picture_size: tuple[int, int] = (512, 512)) -> Plan:
        """Return what a request would take on this machine; raises `InvalidRequest` as `submit` does."""
        request = GenerationRequest.parse({"engine": self._settings.engine.name} | fields)
        generation, _ = self._resolve(request, picture_size)
        seconds = expected_seconds(generation, self._store.recent_runs())
        notice = (
            Notice("plan.unknown", {})
            if seconds is None
            else Notice("plan.seconds", {"seconds": round(seconds)})
        )
        return Plan(None, None, seconds, asdict(generation), notice.message)

    def expected_start(self, job: Job) -> float | None:
        """Return in how many seconds a queued job should start; `None` if it is not queued or not known."""
        if job.queue_position is None:
            return None
        waiting = [other for other in self._before(job) if other.id != job.id]
        runs = self._store.recent_runs()
        seconds = [
            other.eta_seconds
            if other.eta_seconds is not None
            else expected_seconds(Generation(**other.generation), runs)  # type: ignore[arg-type]  # ours
            for other in waiting
        ]
        return None if None in seconds else sum(second for second in seconds if second is not None)

    # --- how

    def _resolve(
        self, request: GenerationRequest, picture_size: tuple[int, int]
    ) -> tuple[Generation, tuple[Notice, ...]]:
        device = self._executor.device()
        spec = choose_engine(request.engine, device, self._settings.models.directory, self.engines)
        return resolve(request, spec, self._presets, picture_size)

    def _accept(self, new: Submission, names: OutputName) -> Job:
        """Put the job into the queue under the first name that neither a file nor another job has."""
        prepare_output(names)
        for path in names.candidates():
            if path.exists():
                continue
            try:
                return self._store.submit(replace(new, output=str(path.absolute())))
            except OutputTaken:
                continue
        raise AssertionError("names do not end")

    def _before(self, job: Job) -> Iterator[Job]:
        """Yield the running jobs, and the queued ones that come before `job`."""
        for status in ("running", "queued"):
            cursor = None
            while True:
                page = self._store.page(status, cursor)
                yield from (
                    other
                    for other in page.jobs
                    if status == "running" or (other.queue_position or 0) < (job.queue_position or 0)
                )
                cursor = page.next_cursor
                if cursor is None:
                    break


def _fingerprint(request: GenerationRequest, picture: bytes) -> str:
    digest = hashlib.sha256(json.dumps(request.model_dump(), sort_keys=True).encode())
    digest.update(picture)
    return digest.hexdigest()


def expected_seconds(generation: Generation, runs: Iterable[tuple[JsonObject, JsonObject]]) -> float | None:
    """Return what `generation` should take by the nearest of the finished `runs`, (generation, result) pairs.

    Denoising is taken to grow with steps, frames, pixels and the passes of guidance, the rest with frames and
    pixels. Where no run of the same engine is known, the answer is `None`.
    """
    best: tuple[float, float] | None = None
    for then, result in runs:
        spent = result.get("seconds")
        if then.get("engine") != generation.engine or not isinstance(spent, dict) or "denoise" not in spent:
            continue
        before = Generation(**then)  # type: ignore[arg-type]  # ours, from the store
        area = _volume(generation) / _volume(before)
        steps = generation.num_inference_steps * _passes(generation)
        ratio = area * steps / (before.num_inference_steps * _passes(before))
        rest = sum(seconds for phase, seconds in spent.items() if phase not in ("denoise", "load"))
        distance = abs(math.log(ratio))
        if best is None or distance < best[0]:
            best = (distance, ratio * spent["denoise"] + area * rest)
    return None if best is None else best[1]


def _volume(generation: Generation) -> int:
    return generation.generated_width * generation.generated_height * generation.num_frames


def _passes(generation: Generation) -> int:
    return 2 if generation.guidance_scale > 1 else 1
