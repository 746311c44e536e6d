"""What it costs to place jobs on many machines: real job store and dispatcher, workers that only pretend.

    python -m benchmarks.fleet --json fleet.json

Each worker is a thread of the dispatcher, as always, whose actor has a file of a few bytes after a while, so
that all workers together finish `--rate` jobs a second: no process, no Ray. So all that is left is claims,
progress, publishing and the database, in one process. For each number of workers and of waiting jobs it gives

- `idle_cpu`: the share of one core that the workers take while no job may be taken: the queue is paused;
- `blocked_cpu`: the same while all waiting jobs ask for a device that takes none;
- `running`, `busy_cpu`: how many work then, and the same share: each looks once a second whether its job is
  to go on;
- `cpu_ms_per_job`: that, for each job that was finished, and `jobs_per_second`;
- `megabytes`: the process' memory, workers and all, at its peak.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from benchmarks.jobs import fill
from i2v.core.engine_spec import EngineSpec
from i2v.core.memory_plan import DeviceInfo
from i2v.core.results import Result
from i2v.core.settings import Settings
from i2v.core.settings_sources import load_settings
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.jobs.store import JobStore
from i2v.workers.cluster.crew import Setup
from i2v.workers.cluster.dispatcher import Dispatcher, Report
from i2v.workers.cluster.node import Leaving
from i2v.workers.cluster.places import Place
from i2v.workers.cluster.wire import Answer, Errand, FileFacts, Introduction, Made, Message, Shared, Versions
from i2v.workers.maker import Order, WorkerLost

VIDEO = b"video"
FILL_SECONDS = 60.0  # until as many run as may
ENGINES = {I2VGEN_XL.name: I2VGEN_XL}


class Ended(Exception):
    """The measurement is over."""


class Pretender:
    """An actor that has made the clip already; see `handles.StartedHandle`. `seconds`: until it says so."""

    def __init__(
        self, seconds: float, place: Place, shared: Shared, engines: Mapping[str, EngineSpec]
    ) -> None:
        self._seconds = seconds
        self._share = random.random()  # of the first job: not all end together
        self._end = 0.0
        self._device = DeviceInfo("cpu", "CPU", 2**34, free_memory=2**34, id=place.device)

    def look(self, seconds: float) -> Introduction:
        return Introduction(Versions.here(), self._device, tuple(ENGINES))

    def models(self) -> tuple[str, ...]:
        return tuple(ENGINES)

    def make(self, order: Order, inputs: list[bytes]) -> Pretender:
        self._result = Result(order.output, order.generation)
        self._end = time.monotonic() + self._seconds * self._share
        self._share = 1.0
        return self

    def next(self, seconds: float) -> Message | None:
        left = self._end - time.monotonic()
        time.sleep(max(0.0, min(left, seconds)))
        if left > seconds:
            return None
        return Made(self._result, FileFacts("video", len(VIDEO), hashlib.sha256(VIDEO).hexdigest()))

    def fetch(self, errand: Errand) -> Pretender:
        raise WorkerLost("it has all weights")

    def give(self, answer: Answer) -> None: ...

    def stop(self, job_id: str) -> None: ...

    def read(self, kind: str, offset: int, size: int) -> bytes:
        return VIDEO

    def forget(self) -> None: ...

    def leaving(self) -> Leaving:
        return ""

    def end(self) -> None: ...


class Fleet:
    """A dispatcher with so many workers, all of which have looked, and a queue that is paused."""

    def __init__(self, folder: Path, workers: int, queued: int, seconds: float) -> None:
        self.settings = _settings(folder)
        _fill(folder, self.settings, queued)
        self.store = JobStore(self.settings.database)
        self.store.queue.pause(True)
        self._stopping = threading.Event()
        setup = Setup(
            self.settings, self.store, ENGINES, "fleet", self._stopping, partial(Pretender, seconds)
        )
        self._dispatcher = Dispatcher(setup, self._note)
        self._rows = [_row(number) for number in range(workers)]
        self._looked = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while self._looked < workers:
            time.sleep(0.1)

    def _note(self, report: Report) -> None:
        self._looked = sum(state.info is not None for state in report.states)

    def _run(self) -> None:
        with suppress(Ended):
            self._dispatcher.run(self._nodes)

    def _nodes(self) -> list[dict[str, object]]:
        if self._stopping.is_set():
            raise Ended
        return self._rows

    def want(self, device: str | None) -> None:
        """Have all waiting jobs ask for this device."""
        with closing(sqlite3.connect(self.settings.database)) as db:
            db.execute("UPDATE jobs SET wanted_device = ? WHERE status = 'queued'", [device])
            db.commit()

    def cpu_over(self, seconds: float) -> tuple[float, int]:
        """Return the CPU seconds of this process, and how many jobs it finished meanwhile."""
        done, cpu = self.store.counts()["succeeded"], time.process_time()
        time.sleep(seconds)
        return time.process_time() - cpu, self.store.counts()["succeeded"] - done

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        while any(thread.name.startswith("lane ") for thread in threading.enumerate()):
            time.sleep(0.1)


def measure(folder: Path, workers: int, queued: int, seconds: float, rate: float) -> dict[str, float]:
    """Return the figures of one fleet, each over so many seconds."""
    fleet = Fleet(folder, workers, queued, workers / rate)
    with closing(fleet.store):
        idle, _ = fleet.cpu_over(seconds)
        fleet.want("busy")
        fleet.store.devices.add(["busy"])
        fleet.store.queue.pause(False)
        blocked, _ = fleet.cpu_over(seconds)
        fleet.want(None)
        end = time.monotonic() + FILL_SECONDS
        while fleet.store.counts()["running"] < 0.9 * workers and time.monotonic() < end:
            time.sleep(0.1)
        busy, done = fleet.cpu_over(seconds)
        running = fleet.store.counts()["running"]
        fleet.close()
    return {
        "workers": workers,
        "queued": queued,
        "idle_cpu": round(idle / seconds, 3),
        "blocked_cpu": round(blocked / seconds, 3),
        "running": running,
        "busy_cpu": round(busy / seconds, 3),
        "jobs_per_second": round(done / seconds, 1),
        "cpu_ms_per_job": round(1000 * busy / max(1, done), 1),
        "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def _row(number: int) -> dict[str, object]:
    """Return what `ray.nodes()` says of a machine with one CPU."""
    name = f"node{number}"
    return {"NodeID": name, "Alive": True, "NodeManagerHostname": name, "Resources": {"CPU": 1.0}}


def _settings(folder: Path) -> Settings:
    flags = {
        "service.data_dir": folder / "data",
        "output.directory": folder / "videos",
        "models.directory": folder / "models",
        "worker.idle_seconds": 3600,
    }
    settings = load_settings(flags=flags)
    for path in (settings.inputs, settings.output.directory):
        path.mkdir(parents=True)
    return settings


def _fill(folder: Path, settings: Settings, queued: int) -> None:
    fill(settings.database, queued + 2, queued)
    with closing(sqlite3.connect(settings.database)) as db:
        db.execute("UPDATE jobs SET output = ? || seq || '.mp4'", [f"{settings.output.directory}/"])
        db.commit()
        for (name,) in db.execute("SELECT DISTINCT input FROM jobs"):
            (settings.inputs / name).write_bytes(b"picture")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--queued", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        with tempfile.TemporaryDirectory() as folder:
            print(
                json.dumps(
                    measure(Path(folder), asked.workers[0], asked.queued[0], asked.seconds, asked.rate)
                )
            )
        return
    figures = []
    for workers in asked.workers:
        for queued in asked.queued:  # each in a process of its own: memory is a peak
            command = [sys.executable, "-m", "benchmarks.fleet", "--one", "--workers", str(workers)]
            command += ["--queued", str(queued), "--seconds", str(asked.seconds), "--rate", str(asked.rate)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            figures.append(json.loads(done.stdout.splitlines()[-1]) | {"load": os.getloadavg()[0]})
            print(json.dumps(figures[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
