"""A Ray cluster of some nodes on 127.0.0.1, and a service's executor that uses it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from i2v.core.settings import Settings
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.workers.cluster.node import environment
from i2v.workers.cluster.places import NAME_LABEL
from i2v.workers.executors.ray import RayExecutor
from tests.rehearsal import ENGINES, stage, submit

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

T = TypeVar("T")

HOST = "127.0.0.1"
STARTS = 4  # of a node, on a machine that is too busy for Ray
SECONDS = 180.0  # that a busy machine may take for anything


class RayHouse:
    """A cluster whose head has no CPUs, so that every worker is on another node; and a store."""

    def __init__(self, folder: Path, cluster: Cluster, settings: Settings) -> None:
        self.folder = folder
        self.cluster = cluster
        self.settings = settings
        self.store = JobStore(settings.database)
        self.executor = RayExecutor(settings, self.store, ENGINES, folder / "logs")

    def add_node(self, name: str, **arguments: object) -> object:
        usual = {"num_cpus": 1, "node_ip_address": HOST, "object_store_memory": 80 * 2**20}
        return _started(lambda: self.cluster.add_node(labels={NAME_LABEL: name}, **usual | arguments))

    def submit(self, prompt: str = "", **fields: object) -> Job:
        return submit(self.store, self.settings, prompt, **fields)

    def wait(self, job: Job, until: Callable[[Job], bool]) -> Job:
        wait_until(lambda: until(self.store.get(job.id)))
        return self.store.get(job.id)

    def finish(self, job: Job) -> Job:
        return self.wait(job, lambda found: found.finished_at is not None)

    def videos(self) -> list[str]:
        folder = self.settings.output.directory
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def _started(start: Callable[[], T]) -> T:
    for _ in range(STARTS):
        try:
            return start()
        except Exception as error:  # Ray raises nothing narrower for a node that took over 30 s
            if "timed out during startup" not in str(error):
                raise
    raise TimeoutError("no node could be started")


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, f"not within {SECONDS} s"
        time.sleep(0.02)


def find_actors() -> list[psutil.Process]:
    """Return the processes of this test's actors; Ray names them by their class."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "RayActor" in " ".join(process.cmdline()):
                found.append(process)
    return found


@contextmanager
def open_ray_cluster(folder: Path, nodes: int, **flags: object) -> Iterator[RayHouse]:
    """Lend a house with so many nodes, "node1" and so on, whose executor is not started."""
    before = dict(os.environ)
    os.environ.update(environment(f"{HOST}:0"))
    os.environ["I2V_MODELS__DIRECTORY"] = str(folder / "models")  # of the nodes: Ray passes it on
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "node_ip_address": HOST, "include_dashboard": False}
    head |= {"object_store_memory": 80 * 2**20}
    cluster = _started(lambda: Cluster(initialize_head=True, head_node_args=head))
    try:
        given = {"worker__executor": "ray", "worker__devices": "cpu", "ray__address": cluster.address}
        house = RayHouse(folder, cluster, stage(folder, **given | flags))
        for number in range(nodes):
            house.add_node(f"node{number + 1}")
        yield house
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def open_ray_house(folder: Path, nodes: int, **flags: object) -> Iterator[RayHouse]:
    """Lend such a house whose executor is started."""
    with open_ray_cluster(folder, nodes, **flags) as house:
        house.executor.start()
        try:
            yield house
        finally:
            house.executor.stop()
