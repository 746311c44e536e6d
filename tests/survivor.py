"""A whole service without a front end, in a process of its own that a test can kill.

    python -m tests.survivor FOLDER [WORKERS]

has so many workers on the CPU, says `ready`, then answers each line of standard input, `KEY PROMPT`, with the
id of the accepted job. A job whose prompt ends in `; finish: kill WHOM once` dies between the rename and the
commit.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.settings import Settings
from i2v.jobs.model import Claim, Job, JsonObject
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.devices import Slot
from i2v.workers.executors import entry, supervisor
from i2v.workers.executors.process import ProcessExecutor
from tests.rehearsal import ENGINES, picture, stage

KILL_WORKER, KILL_BOTH = "; finish: kill worker once", "; finish: kill both once"


def work(
    settings: Settings,
    owner: str,
    channel: Connection,
    engines: Mapping[str, EngineSpec],
    logs: Path,
    slot: Slot,
) -> None:
    """Be the worker process, with the point added where it dies."""
    finish = JobStore.finish

    def die_first(store: JobStore, claim: Claim, result: JsonObject) -> Job:
        prompt = str(claim.job.request["prompt"])
        if claim.job.attempt == 1 and prompt.endswith((KILL_WORKER, KILL_BOTH)):
            if prompt.endswith(KILL_BOTH):
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return finish(store, claim, result)

    JobStore.finish = die_first  # type: ignore[method-assign]
    entry.work(settings, owner, channel, engines, logs, slot)


def main(folder: Path, workers: int = 1) -> None:
    supervisor.work = work  # type: ignore[attr-defined]
    settings = stage(folder, worker__devices="cpu", worker__per_device=workers)
    store = JobStore(settings.database)
    service = Service(settings, store, ProcessExecutor(settings, store, ENGINES, folder / "logs"), ENGINES)
    service.start()
    print("ready", flush=True)
    for line in sys.stdin:
        key, _, prompt = line.rstrip("\n").partition(" ")
        print(service.submit({"prompt": prompt}, picture(), key).id, flush=True)
    service.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
