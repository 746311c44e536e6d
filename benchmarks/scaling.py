"""How many more jobs a service finishes with more workers: a test engine that sleeps, on shares of the CPU.

    python -m benchmarks.scaling --json scaling.json
    python -m benchmarks.scaling --ray       the same with each worker on a node of a Ray cluster at 127.0.0.1

The engine does nothing but wait, as a CPU does while a GPU computes. What is measured is the rest: claims,
progress, encoding, publishing and the database of one service with 1, 2, 4 and 8 workers. All jobs are queued
while the queue is paused, and all workers have loaded the engine; the clock runs from the moment the queue
goes on to the end of the last job. `overhead_seconds` is what a job takes besides its sleep; `linear` is a
worker's throughput beside that of the only one, 1 at best.
It says nothing of how GPUs share a machine's memory, bus and disk.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.executors.process import ProcessExecutor
from tests.rehearsal import ENGINES, picture, stage

STEPS = 4  # of a job of that engine
POLL_SECONDS = 0.05


def measure(folder: Path, workers: int, jobs: int, seconds: float) -> float:
    """Return the jobs a second of so many workers, each of which runs so many jobs of so many seconds."""
    settings = stage(folder, worker__devices="cpu", worker__per_device=workers, service__max_queued=10_000)
    store = JobStore(settings.database, settings.service.max_queued)
    executor = ProcessExecutor(settings, store, ENGINES, folder / "logs")
    return measure_service(folder, Service(settings, store, executor, ENGINES), workers, jobs, seconds)


def measure_ray(folder: Path, workers: int, jobs: int, seconds: float) -> float:
    """Return the same with workers on nodes of a Ray cluster."""
    from tests.ray_cluster import open_ray_cluster

    with open_ray_cluster(folder, workers, service__max_queued=10_000) as house:
        service = Service(house.settings, house.store, house.executor, ENGINES)
        return measure_service(folder, service, workers, jobs, seconds)


def measure_service(folder: Path, service: Service, workers: int, jobs: int, seconds: float) -> float:
    """Start the service, measure it, and stop it."""
    service.start()
    try:
        go = folder / "go"
        for _ in range(workers):
            service.submit({"prompt": f"step 1: wait {go}"}, picture())
        _wait(lambda: service.counts()["running"] == workers)
        go.touch()
        _wait(lambda: not _unfinished(service))
        service.queue.pause()
        prompt = f"step: sleep {seconds / STEPS}"
        measured = [service.submit({"prompt": prompt}, picture()).id for _ in range(workers * jobs)]
        start = time.time()
        service.queue.resume()
        _wait(lambda: not _unfinished(service))
        ended = [service.get(job) for job in measured]
        assert all(job.status == "succeeded" and job.attempt == 1 for job in ended)
        return len(ended) / (max(job.finished_at or 0.0 for job in ended) - start)
    finally:
        service.stop()


def _unfinished(service: Service) -> int:
    counts = service.counts()
    return counts["queued"] + counts["running"]


def _wait(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(POLL_SECONDS)


Measure = Callable[[Path, int, int, float], float]


def run(
    workers: Sequence[int], jobs: int, seconds: float, repeats: int, measure: Measure = measure
) -> dict[str, object]:
    """Measure each number of workers in turn, `repeats` times; others are held to the first number."""
    rates: dict[int, list[float]] = {count: [] for count in workers}
    load = os.getloadavg()[0]
    for _ in range(repeats):
        for count in workers:
            with tempfile.TemporaryDirectory() as folder:
                rates[count].append(measure(Path(folder), count, jobs, seconds))
            print(f"{count} workers: {rates[count][-1]:.3f} jobs/s", flush=True)
    alone = median(rates[workers[0]]) / workers[0]
    return {
        "jobs_per_worker": jobs,
        "seconds_per_job": seconds,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": load,
        "rates": rates,
        "overhead_seconds": {count: count / median(found) - seconds for count, found in rates.items()},
        "linear": {count: median(found) / count / alone for count, found in rates.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--jobs", type=int, default=8, help="of each worker")
    parser.add_argument("--seconds", type=float, default=8.0, help="that a job sleeps")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="by Ray")
    asked = parser.parse_args()
    how = measure_ray if asked.ray else measure
    figures = run(asked.workers, asked.jobs, asked.seconds, asked.repeats, how)
    print(json.dumps(figures, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
