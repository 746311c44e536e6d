"""The job store's times at 100,000 jobs, on the disk that is asked for.

    python -m benchmarks.jobs --json jobs.json

The table is filled by SQL with copies of jobs that went through the store; every figure is then taken through
`JobStore`, one call at a time. `fsync` is what the disk takes to keep 4 KiB, the floor of a durable commit.
`progress, durable` is what a step would cost if its commit waited for the disk, as the others do. Beside a
submitter: while another thread submits a job every 20 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.results import Result
from i2v.jobs.database import Database
from i2v.jobs.migrations import MIGRATIONS
from i2v.jobs.model import Claim, Progress, Submission, new_job_id
from i2v.jobs.store import JobStore
from i2v.jobs.table import report_progress

STEP_SECONDS = 0.2  # a denoising step of the embedded model on two CPU cores
PREVIEW = os.urandom(12_000)  # bytes; a JPEG of 256 pixels has about as many
NOTICE = Notice("image.cropped", {"left": 12, "top": 0}, "Cropped. " * 15)


def submission() -> Submission:
    """Return a job with texts of usual lengths."""
    job_id = new_job_id()
    texts = ("ocean waves crash on the shore " * 4, "blurry " * 20)
    return Submission(
        id=job_id,
        request={**dict(zip(("prompt", "negative_prompt"), texts, strict=True)), "seed": 7},
        generation=Generation(
            *texts, 704, 448, 704, 448, "keep", 16, 8, 8, 50, 9.0, seed=7, engine="i2vgen-xl"
        ),
        notices=(NOTICE,),
        input=f"{job_id}.png",
        output=f"/data/outputs/video_{job_id}.mp4",
        fingerprint=job_id * 2,
        idempotency_key=job_id,
    )


def fill(path: Path, jobs: int, queued: int) -> None:
    """Make a store of `jobs` jobs; the last `queued` of them wait, the others have succeeded."""
    with closing(JobStore(path, max_queued=queued)) as store:
        done, waiting = store.submit(submission()), store.submit(submission())
        held = store.claim("benchmark")
        assert held is not None
        seconds = dict.fromkeys(("condition", "denoise", "decode"), 1.5)
        store.finish(held, Result(Path(done.output), held.generation, (NOTICE,), seconds))
    with closing(sqlite3.connect(path)) as db:
        names = [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
        own = {"seq": "n", "place": "n", "revision": "n", "id": "hex(randomblob(16))"}
        own |= {name: f"'x' || n || {name}" for name in ("output", "idempotency_key")}
        copy = f"""INSERT INTO jobs ({", ".join(names)})
            WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
            SELECT {", ".join(own.get(name, name) for name in names)}
            FROM numbers, jobs WHERE id = :template"""
        first = 100
        for template, count in ((done, jobs - queued - 1), (waiting, queued - 1)):
            db.execute(copy, {"first": first, "last": first + count - 1, "template": template.id})
            first += count
        db.execute("UPDATE counter SET revision = ?", [first])
        db.commit()


def timed(act: Callable[[], object], samples: int) -> dict[str, float]:
    """Return the microseconds that `act` takes; p99 of few samples is the slowest."""
    taken = []
    for _ in range(samples):
        start = time.perf_counter()
        act()
        taken.append((time.perf_counter() - start) * 1e6)
    taken.sort()
    return {
        "samples": samples,
        "p50_us": round(taken[samples // 2], 1),
        "p99_us": round(taken[int(samples * 0.99)], 1),
        "mean_us": round(sum(taken) / samples, 1),
    }


def sync_probe(folder: Path) -> Callable[[], None]:
    file = os.open(folder / "probe", os.O_CREAT | os.O_RDWR)

    def write_and_sync() -> None:
        os.pwrite(file, PREVIEW[:4096], 0)
        os.fsync(file)

    return write_and_sync


@contextmanager
def submitter(store: JobStore) -> Iterator[None]:
    """Submit in another thread as long as the block lasts."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.02):
            store.submit(submission())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def measure(folder: Path, jobs: int, queued: int, samples: int) -> dict[str, dict[str, float]]:
    """Return the times by operation."""
    path = folder / "jobs.db"
    fill(path, jobs, queued + samples)  # as many are claimed first
    figures = {"fsync": timed(sync_probe(folder), samples)}
    with (
        closing(JobStore(path, max_queued=jobs + 100 * samples)) as store,
        closing(Database(path, MIGRATIONS)) as database,
    ):
        held: list[Claim] = []

        def claim() -> None:
            claimed = store.claim("benchmark")
            assert claimed is not None
            held.append(claimed)

        def durable() -> None:
            with database.write() as db:
                report_progress(db, held[-1], progress)

        result = Result(Path("clip.mp4"), submission().generation, (NOTICE,), {"denoise": 1.5})
        oldest = str(jobs // 10)
        progress = Progress("denoising", 0.24, 12, 50, 61.5)
        with_preview = Progress("denoising", 0.24, 12, 50, 61.5, PREVIEW)
        operations: dict[str, Callable[[], object]] = {
            "claim": claim,
            "finish": lambda: store.finish(held.pop(), result),
            "heartbeat": lambda: store.heartbeat(held[-1]),
            "progress": lambda: store.heartbeat(held[-1], progress),
            "progress, preview": lambda: store.heartbeat(held[-1], with_preview),
            "progress, durable": durable,
            "get, finished": lambda: store.get(finished.id),
            "get, last in the queue": lambda: store.get(last.id),
            "page of 50, newest": lambda: store.page(),
            "page of 50, of a status, from the middle": lambda: store.page("succeeded", str(jobs // 2)),
            "page of 50, near the end": lambda: store.page(cursor=oldest),
            "submit": lambda: store.submit(submission()),
            "counts": store.counts,
            "revision": store.revision,
            "recover, nobody is dead": lambda: store.recover_orphans({held[-1].job.id}, 60),
            "recent runs, 100": store.recent_runs,
        }
        claim()  # one runs all the time
        (finished,) = store.page("succeeded", limit=1).jobs
        last = store.submit(submission())
        for name, act in operations.items():
            figures[name] = timed(act, samples)
        with submitter(store):
            figures["progress, preview, beside a submitter"] = timed(operations["progress, preview"], samples)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--queued", type=int, default=1000, help="of the jobs (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=500, help="for each figure (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="on the disk to measure (default: here)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="jobs-") as folder:
        figures = measure(Path(folder), arguments.jobs, arguments.queued, arguments.samples)
        size = (Path(folder) / "jobs.db").stat().st_size
    for name, times in figures.items():
        print(f"{name:<42} p50 {times['p50_us']:>9.0f} us   p99 {times['p99_us']:>9.0f} us")
    share = figures["progress, preview"]["mean_us"] / (STEP_SECONDS * 1e6)
    print(f"a step's progress and preview: {share:.3%} of {STEP_SECONDS * 1000:.0f} ms")
    if arguments.json:
        setting = {"jobs": arguments.jobs, "queued": arguments.queued, "database_bytes": size}
        machine = {
            "cpus": os.cpu_count(),
            "sqlite": sqlite3.sqlite_version,
            "python": platform.python_version(),
        }
        machine |= {"load": os.getloadavg()[0], "system": platform.platform()}
        report = {"setting": setting, "machine": machine, "share_of_a_step": share, "times": figures}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
