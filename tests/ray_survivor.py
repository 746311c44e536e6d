"""A whole service on a Ray cluster, without a front end, in a process of its own that a test can kill.

    python -m tests.ray_survivor FOLDER ADDRESS

says `ready`, and ends in order when standard input does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.executors.ray import RayExecutor
from tests.rehearsal import ENGINES, stage


def main(folder: Path, address: str) -> None:
    settings = stage(folder, worker__executor="ray", worker__devices="cpu", ray__address=address)
    store = JobStore(settings.database)
    service = Service(settings, store, RayExecutor(settings, store, ENGINES, folder / "logs"), ENGINES)
    service.start()
    print("ready", flush=True)
    sys.stdin.read()
    service.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
