"""workers.cluster.dispatcher and .lane: which jobs go where, and what becomes of those of a lost worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import EncodeError, InsufficientMemory
from i2v.core.settings import Settings
from i2v.jobs.devices import UNKNOWN
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.workers.cluster import dispatcher, lane
from i2v.workers.cluster.actor import Actor
from i2v.workers.cluster.crew import Setup
from i2v.workers.cluster.dispatcher import Dispatcher
from i2v.workers.cluster.places import Node, Place
from i2v.workers.cluster.shelf import Shelf
from i2v.workers.cluster.wire import Introduction, NotMade, Shared, Versions
from i2v.workers.devices import DeviceState
from tests.house import wait_until
from tests.rehearsal import ENGINES, REHEARSAL, stage, submit
from tests.workers.cluster.conftest import DirectCall, DirectHandle


class Cluster:
    """A dispatcher whose actors are in this process; `ready` may change each before it is met."""

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self.settings = settings
        self.store = store
        self.handles: list[DirectHandle] = []
        self.ready: Callable[[DirectHandle, Place], None] = lambda handle, place: None
        self.stopping = threading.Event()
        setup = Setup(settings, store, ENGINES, "owner", self.stopping, self._start_actor)
        self.requested: list[int] = []
        self.dispatcher = Dispatcher(setup, lambda report: None, self.requested.append)

    def _start_actor(self, place: Place, shared: Shared, engines: Mapping[str, EngineSpec]) -> DirectHandle:
        handle = DirectHandle(Actor(place.node.name, "cpu", place.share, shared, engines, None))
        self.ready(handle, place)
        self.handles.append(handle)
        return handle

    def have(self, *names: str) -> None:
        self.dispatcher.update([Place(Node(name, name, 1, 0), "cpu") for name in names])

    @property
    def states(self) -> dict[str, DeviceState]:
        return {state.id: state for state in self.dispatcher.report().states}

    def finish(self, job: Job) -> Job:
        wait_until(lambda: self.store.get(job.id).finished_at is not None)
        return self.store.get(job.id)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "models"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(lane, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(lane, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(lane, "FIRST_BACK_OFF", 0.01)
    settings = stage(tmp_path)
    with closing(JobStore(settings.database)) as store:
        opened = Cluster(settings, store)
        yield opened
        opened.stopping.set()
        for each in opened.dispatcher._lanes.values():
            each.join(60)


def ids(cluster: Cluster, activity: str = "ready") -> set[str]:
    return {state.id for state in cluster.states.values() if state.activity == activity}


def test_a_job_runs_on_the_machine_that_it_asks_for(cluster: Cluster) -> None:
    cluster.have("studio", "attic")
    wait_until(lambda: ids(cluster) == {"studio/cpu", "attic/cpu"})
    jobs = [submit(cluster.store, cluster.settings) for _ in range(2)]
    wanted = submit(cluster.store, cluster.settings, device="attic/cpu")
    assert cluster.finish(wanted).device == "attic/cpu"
    assert {cluster.finish(job).status for job in jobs} == {"succeeded"}


def test_a_lost_worker_is_a_death_and_its_job_goes_on(cluster: Cluster) -> None:
    def cut_the_first(handle: DirectHandle, place: Place) -> None:
        handle.cut = None if cluster.handles else 3

    cluster.ready = cut_the_first
    cluster.have("studio")
    job = cluster.finish(submit(cluster.store, cluster.settings))
    assert [attempt.ending for attempt in job.history] == ["died", "succeeded"]
    assert cluster.dispatcher.report().deaths == 1


def test_a_machine_that_leaves_ends_its_job_and_takes_no_other(cluster: Cluster) -> None:
    cluster.have("studio")
    job = submit(cluster.store, cluster.settings, "step: sleep 0.05")
    wait_until(lambda: cluster.store.get(job.id).status == "running")
    cluster.handles[0].says = "soon"
    assert cluster.finish(job).status == "succeeded"
    wait_until(lambda: ids(cluster, "leaving") == {"studio/cpu"})
    problem = cluster.states["studio/cpu"].problem
    assert problem is not None
    assert problem.code == "cluster.leaving"
    waiting = submit(cluster.store, cluster.settings)
    cluster.have("attic")
    assert cluster.finish(waiting).device == "attic/cpu"
    assert "studio/cpu" not in cluster.states


def test_a_machine_with_another_version_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(Versions.here(), i2v="9.9.9")

    def introduce(handle: DirectHandle, seconds: float) -> Introduction:
        return replace(handle.actor.look(), versions=other)

    monkeypatch.setattr(DirectHandle, "look", introduce)
    cluster.have("studio")
    job = submit(cluster.store, cluster.settings)
    wait_until(lambda: ids(cluster, "set_aside") == {"studio/cpu"})
    problem = cluster.states["studio/cpu"].problem
    assert problem is not None
    assert "9.9.9" in problem.message
    assert cluster.store.get(job.id).attempt == 0


@pytest.mark.slow
def test_a_device_that_cannot_be_used_is_set_aside(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: DirectHandle, seconds: float) -> Introduction:
        raise InsufficientMemory("device.no_cuda")

    monkeypatch.setattr(DirectHandle, "look", fail)
    cluster.have("studio")
    wait_until(lambda: ids(cluster, "set_aside") == {"studio/cpu"})
    assert len(cluster.handles) == lane.FAILED_STARTS


@pytest.mark.slow
def test_an_idle_actor_ends_and_the_next_job_starts_one(cluster: Cluster) -> None:
    worker = cluster.settings.worker.model_copy(update={"idle_seconds": 0.1})
    cluster.dispatcher._setup.__dict__["settings"] = cluster.settings.model_copy(update={"worker": worker})
    cluster.have("studio")
    assert cluster.finish(submit(cluster.store, cluster.settings)).status == "succeeded"
    wait_until(lambda: not next(iter(cluster.dispatcher._lanes.values())).is_starting)
    started = len(cluster.handles)
    assert cluster.finish(submit(cluster.store, cluster.settings)).status == "succeeded"
    assert len(cluster.handles) == started + 1


@pytest.mark.slow
def test_a_job_goes_where_its_weights_are(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def introduce(handle: DirectHandle, seconds: float) -> Introduction:
        introduction = handle.actor.look()
        has_it = introduction.device.id == "studio/cpu"
        return replace(introduction, models=("rehearsal",) if has_it else ())

    monkeypatch.setattr(DirectHandle, "look", introduce)
    cluster.have("attic", "cellar", "studio")
    wait_until(lambda: ids(cluster) == {"attic/cpu", "cellar/cpu", "studio/cpu"})
    jobs = [submit(cluster.store, cluster.settings, "step 1: sleep 0.1") for _ in range(3)]
    assert {cluster.finish(job).device for job in jobs} == {"studio/cpu"}
    cluster.have("attic")
    assert cluster.finish(submit(cluster.store, cluster.settings)).device == "attic/cpu", "nobody has them"


def test_a_long_queue_asks_for_devices_up_to_a_limit(cluster: Cluster) -> None:
    cluster.dispatcher.ask_for_devices()
    assert cluster.requested == [], "the settings say so"
    ray = cluster.settings.ray.model_copy(update={"max_devices": 2})
    cluster.dispatcher._setup.__dict__["settings"] = cluster.settings.model_copy(update={"ray": ray})
    cluster.dispatcher.ask_for_devices()
    jobs = [submit(cluster.store, cluster.settings) for _ in range(3)]
    cluster.dispatcher.ask_for_devices()
    cluster.dispatcher.ask_for_devices()
    for job in jobs:
        cluster.store.cancel(job.id)
    cluster.dispatcher.ask_for_devices()
    assert cluster.requested == [1, 2, 1], "jobs are planned for one that is there"


def test_a_lane_whose_worker_was_given_another_gpu_leaves_its_own_to_the_other(cluster: Cluster) -> None:
    node = Node("big", "big", 8, 2)
    setup = cluster.dispatcher._setup
    first, second = (lane.Lane(Place(node, "cuda", each), setup, cluster.dispatcher) for each in (0, 1))
    cluster.dispatcher._lanes = {each.place.key: each for each in (first, second)}
    device = Actor("big", "cpu", 1, Shared.of(cluster.settings), ENGINES, 1).look().device
    cluster.dispatcher.introduced(first, Introduction(Versions.here(), device))
    assert (first.device, second.device) == ("big/cuda:1", "big/cuda:0")
    cluster.dispatcher._lanes = {}


def test_enough_workers_without_a_job_keep_no_other_from_its_own(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_TAKERS", 1)
    setup = cluster.dispatcher._setup
    idle, other = (
        lane.Lane(Place(Node(name, name, 1, 0), "cpu"), setup, cluster.dispatcher) for name in ("a", "b")
    )
    cluster.dispatcher._lanes = {each.place.key: each for each in (idle, other)}
    cluster.store.devices.replace(["a/cpu", "b/cpu"])
    idle.is_starting = True
    submit(cluster.store, cluster.settings)
    submit(cluster.store, cluster.settings)
    assert not cluster.dispatcher.take_turn(other)
    submit(cluster.store, cluster.settings, device="b/cpu")
    wait_until(lambda: cluster.dispatcher.take_turn(other))
    cluster.dispatcher._lanes = {}


def test_a_guessed_name_of_a_device_is_forgotten(cluster: Cluster) -> None:
    """As where CUDA_VISIBLE_DEVICES is 3: Ray calls the only card so."""
    cluster.dispatcher._lanes = {}
    place = Place(Node("big", "big", 8, 1), "cuda")
    only = lane.Lane(place, cluster.dispatcher._setup, cluster.dispatcher)
    cluster.dispatcher._lanes = {place.key: only}
    cluster.store.devices.add(["big/cuda:0"])
    cluster.store.devices.have_models("big/cuda:0", [UNKNOWN])
    job = submit(cluster.store, cluster.settings)
    assert cluster.store.queue.claimable("big/cuda:3", 1) == []
    device = Actor("big", "cpu", 1, Shared.of(cluster.settings), ENGINES, 3).look().device
    cluster.dispatcher.introduced(only, Introduction(Versions.here(), device))
    assert cluster.store.queue.claimable("big/cuda:3", 1) == [job.id]
    cluster.dispatcher._lanes = {}


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 1), (600.0, 0)])
def test_machines_with_the_weights_have_time_to_be_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: int
) -> None:
    """A job of the service before this one is not failed by the first machine that is there."""
    monkeypatch.setattr(dispatcher, "GATHER_SECONDS", seconds)
    looks = iter([[], []])

    def rows() -> list[dict[str, object]]:
        if (found := next(looks, None)) is None:
            raise KeyboardInterrupt
        return found

    submit(cluster.store, cluster.settings)
    cluster.dispatcher._changed.set()
    with pytest.raises(KeyboardInterrupt):
        cluster.dispatcher.run(rows)
    assert len(cluster.store.queue.claimable("attic/cpu", 1)) == expected


def test_machines_get_the_weights_that_all_should_have(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "there"))
    ray = cluster.settings.ray.model_copy(update={"weights": (REHEARSAL.name,)})
    settings = cluster.settings.model_copy(update={"ray": ray})
    cluster.dispatcher._setup.__dict__["settings"] = settings
    cluster.dispatcher._setup.__dict__["shelf"] = Shelf(settings.models, ENGINES)
    cluster.have("studio")
    wait_until(lambda: "studio/cpu" in cluster.states)
    wait_until(lambda: cluster.states["studio/cpu"].models == (REHEARSAL.name,))
    assert cluster.finish(submit(cluster.store, cluster.settings)).status == "succeeded"
    assert (tmp_path / "there" / REHEARSAL.name / "model_index.json").exists()


def test_a_job_goes_on_elsewhere_when_a_disk_is_full(cluster: Cluster) -> None:
    def fill_the_first(handle: DirectHandle, place: Place) -> None:
        if place.node.name == "attic":
            full = EncodeError("encode.no_space", path="/tmp", reason="No space left on device")
            handle.make = lambda order, inputs: DirectCall(iter([NotMade(full)]), None)  # type: ignore[method-assign]

    cluster.ready = fill_the_first
    cluster.have("attic", "studio")
    wait_until(lambda: ids(cluster) == {"attic/cpu", "studio/cpu"})
    jobs = [cluster.finish(submit(cluster.store, cluster.settings, "step 1: sleep 0.3")) for _ in range(2)]
    jobs += [cluster.finish(submit(cluster.store, cluster.settings))]
    assert {job.status for job in jobs} == {"succeeded"}
    assert {job.device for job in jobs} == {"studio/cpu"}
    assert "died" not in {attempt.ending for job in jobs for attempt in job.history}
