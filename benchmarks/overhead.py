"""What a job costs beyond its clip: service and worker against the bare pipeline on the same clip.

    python -m benchmarks.overhead --json overhead.json

Three sides make the clip in turn, with the same weights, the engine loaded before:

    bare      the pipeline in this process, from the picture's bytes to the published file; nothing is told
    inline    a job whose worker is this process, with a clock around all that it tells: progress and previews
    service   a job for a worker process, from the call of `submit` until `succeeded` can be read

`beyond` is what a job of the service took more than the bare clip before it, and as noisy as two clips. What
it is made of is measured within each job: `submit` (a process for the picture, the commit), `queued` (until
the worker takes it; below zero if that is before `submit` returns), `worker` (what its run took more than the
phases of the clip: progress and previews, provenance, the commits) and `seen` (from the end to the reader,
who asks every 2 ms); `parts` is their sum. `reporting` is the clock of the inline job. Shares are of the job.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar
from unittest import mock

from i2v.core.engine_spec import EngineSpec
from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT, load_settings
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.jobs.model import Job, JsonObject
from i2v.jobs.store import JobStore
from i2v.media.image import decode_picture
from i2v.media.outputs import OutputFile
from i2v.memory.plan import probe_device
from i2v.pipeline.clip import Output
from i2v.pipeline.engines import EngineCache
from i2v.pipeline.make import make_clip
from i2v.pipeline.plan import ClipPlanner
from i2v.service.service import Service
from i2v.workers.attempt import Attempt
from i2v.workers.executors.inline import InlineExecutor
from i2v.workers.executors.process import ProcessExecutor
from i2v.workers.progress import Meter

PICTURE = ROOT / "examples" / "cat.jpg"
PARTS = ("submit", "queued", "worker", "seen")
Figures = dict[str, list[float]]
P = ParamSpec("P")
R = TypeVar("R")


class Clock:
    """Adds up the seconds that functions take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


class Bare:
    """The pipeline alone, as `i2v generate` runs it once the engine is loaded."""

    def __init__(self, settings: Settings, spec: EngineSpec) -> None:
        self._settings = settings
        self._planner = ClipPlanner(settings, {spec.name: spec})
        self._cache = EngineCache(settings.models)
        self._device = probe_device(settings.engine.device)
        self._made = 0

    def run(self, fields: JsonObject, data: bytes) -> dict[str, float]:
        start = time.perf_counter()
        picture = decode_picture(data)
        plan = self._planner.plan_clip(self._planner.parse(fields), picture.image.size, self._device)
        self._made += 1
        target = OutputFile(self._settings.output.directory / f"bare_{self._made}.mp4")
        target.folder.mkdir(parents=True, exist_ok=True)
        make_clip(plan, [picture], Output(target), self._cache, self._settings)
        return {"bare": time.perf_counter() - start}


@contextmanager
def service(settings: Settings, spec: EngineSpec, is_inline: bool) -> Iterator[Service]:
    """A service with a folder of its own, whose worker runs in this process or in another."""
    folder = settings.service.data_dir / ("inline" if is_inline else "process")
    own = settings.model_copy(update={"service": settings.service.model_copy(update={"data_dir": folder})})
    store, engines = JobStore(own.database), {spec.name: spec}
    executor = (
        InlineExecutor(own, store, engines) if is_inline else ProcessExecutor(own, store, engines, folder)
    )
    started = Service(own, store, executor, engines)
    started.start()
    try:
        yield started
    finally:
        started.stop()


def run_inline(inline: Service, fields: JsonObject, data: bytes) -> dict[str, float]:
    clock = Clock()
    with (
        mock.patch.object(Attempt, "_say", clock.around(Attempt._say)),
        mock.patch.object(Meter, "read", clock.around(Meter.read)),
    ):
        job = finished(inline, inline.submit(fields, data).id)
    taken = ran(job)
    return {"inline": taken, "reporting": clock.seconds, "reporting_share": clock.seconds / taken}


def run_service(other: Service, fields: JsonObject, data: bytes) -> dict[str, float]:
    start = time.time()
    submitted = other.submit(fields, data)
    answered = time.time()
    job = finished(other, submitted.id)
    seen = time.time()
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.result is not None
    seconds = job.result.seconds
    return {
        "service": seen - start,
        "submit": answered - start,
        "queued": job.started_at - answered,
        "worker": ran(job) - sum(seconds.values()),
        "seen": seen - job.finished_at,
    }


def finished(where: Service, job_id: str) -> Job:
    while (job := where.get(job_id)).finished_at is None:
        time.sleep(0.002)
    if job.status != "succeeded":
        raise SystemExit(f"The job {job.status}: {job.error}")
    return job


def ran(job: Job) -> float:
    assert job.started_at is not None
    assert job.finished_at is not None
    return job.finished_at - job.started_at


def measure(settings: Settings, spec: EngineSpec, fields: JsonObject, data: bytes, repeats: int) -> Figures:
    """Return all figures in seconds, run by run; before the first, each side has made the clip once."""
    figures: Figures = {}
    bare = Bare(settings, spec)
    with service(settings, spec, True) as inline, service(settings, spec, False) as other:
        for number in range(repeats + 1):
            run = bare.run(fields, data) | run_service(other, fields, data) | run_inline(inline, fields, data)
            run["beyond"] = run["service"] - run["bare"]
            run["parts"] = sum(run[part] for part in PARTS)
            run["parts_share"] = run["parts"] / run["service"]
            if number:
                for name, seconds in run.items():
                    figures.setdefault(name, []).append(seconds)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--repeats", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch, on both sides (default: %(default)s)"
    )
    parser.add_argument("--preset", default="standard", help="(default: %(default)s)")
    arguments = parser.parse_args()
    fields: JsonObject = {"prompt": "the camera pans left", "seed": 7, "preset": arguments.preset}
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        flags = {
            "output.directory": folder / "videos",
            "service.data_dir": folder / "data",
            "engine.name": EMBEDDED.name,
            "engine.device": "cpu",
            "engine.threads": arguments.threads,
        }
        settings = load_settings(environ={}, flags=flags)
        figures = measure(settings, EMBEDDED, fields, PICTURE.read_bytes(), arguments.repeats)
    for figure, values in figures.items():
        unit, scale = ("%", 100) if figure.endswith("_share") else ("ms", 1000)
        low, middle, high = (scale * value for value in (min(values), median(values), max(values)))
        print(f"{figure:<13} median {middle:>9.2f} {unit:<2}   {low:>9.2f} to {high:>9.2f}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    if arguments.json:
        machine = {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "system": platform.platform()}
        setting = {"engine": EMBEDDED.name, "threads": arguments.threads, **fields}
        report = {"setting": setting, "machine": machine, "seconds": figures}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
