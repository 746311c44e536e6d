"""workers.executors.ray on a real Ray of some nodes at 127.0.0.1. Slow: Ray takes a while to start.

What an actor and the dispatcher do is tested without Ray in `tests/workers/cluster`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from i2v.host.network import addresses, is_loopback
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from i2v.workers.cleanup import is_published
from i2v.workers.cluster.member import Membership, joined
from i2v.workers.cluster.node import FOLDER_VARIABLE, environment, leave
from i2v.workers.executors import ray as ray_module
from i2v.workers.executors.ray import RayExecutor
from tests.ray_cluster import SECONDS, RayHouse, find_actors, open_ray_house, wait_until
from tests.rehearsal import ENGINES, find_workers, stage, submit

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHouse]:
    with open_ray_house(tmp_path_factory.mktemp("ray"), nodes=2) as opened:
        yield opened


def test_jobs_run_on_all_machines_at_once(house: RayHouse) -> None:
    wait_until(lambda: [state.activity for state in house.executor.devices()] == ["ready"] * 2)
    jobs = [house.submit(f"step 1: wait {house.folder / 'go'}") for _ in range(2)]
    wait_until(lambda: {house.store.get(job.id).device for job in jobs} == {"node1/cpu", "node2/cpu"})
    (house.folder / "go").touch()
    for job in jobs:
        ended = house.finish(job)
        assert ended.status == "succeeded"
        assert probe(Path(ended.output)).num_frames == 4
        assert is_published(ended)
    states = house.executor.devices()
    assert {state.models for state in states} == {("rehearsal",)}
    assert house.executor.problem() is None


def test_a_cancel_reaches_the_actor(house: RayHouse) -> None:
    job = house.submit("step: sleep 0.2")
    house.wait(job, lambda found: found.step == 1)
    house.store.cancel(job.id)
    assert house.finish(job).status == "cancelled"


def test_a_hard_cancel_costs_the_actor_and_not_the_next_job(house: RayHouse) -> None:
    job = house.submit("step 2: hang")
    house.wait(job, lambda found: found.step == 1)
    house.store.cancel(job.id)
    assert house.finish(job).status == "cancelled"
    assert house.finish(house.submit()).status == "succeeded"


def test_a_killed_actor_gives_its_job_back_at_once(house: RayHouse) -> None:
    job = house.submit("step 2: kill once")
    ended = house.finish(job)
    assert [attempt.ending for attempt in ended.history] == ["died", "succeeded"]
    assert house.executor.deaths() >= 1


def test_the_connection_may_die_and_the_service_goes_on(house: RayHouse) -> None:
    job = house.submit("step: sleep 0.3")
    house.wait(job, lambda found: found.status == "running")
    for process in find_workers(os.getpid()):
        process.kill()
    ended = house.finish(job)
    assert [attempt.ending for attempt in ended.history] == ["released", "succeeded"]


def test_a_machine_leaves_in_order(house: RayHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    node = house.add_node("guest")
    wait_until(lambda: {state.id: state for state in house.executor.devices()}.get("guest/cpu") is not None)
    job = house.submit("step: sleep 0.3", device="guest/cpu")
    house.wait(job, lambda found: found.step == 1)
    leave(tmp_path, "soon")
    assert house.finish(job).history[0].ending == "succeeded"
    later = house.submit("step 1: sleep 0.1")
    assert house.finish(later).device != "guest/cpu"
    house.cluster.remove_node(node)
    wait_until(lambda: "guest/cpu" not in {state.id for state in house.executor.devices()})


def test_the_service_starts_a_ray_of_its_own_and_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "models"))
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.setattr(ray_module, "FIRST_BACK_OFF", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = stage(tmp_path, worker__executor="ray", worker__devices="cpu", ray__head_port=port)
    store = JobStore(settings.database)
    executor = RayExecutor(settings, store, ENGINES, tmp_path / "logs")
    before = {actor.pid for actor in find_actors()}
    executor.start()
    try:
        job = submit(store, settings)
        wait_until(lambda: store.get(job.id).finished_at is not None)
        assert store.get(job.id).status == "succeeded"
        listening = {
            connection.laddr.ip.removeprefix("::ffff:")
            for process in psutil.Process().children(recursive=True)
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening <= {"127.0.0.1", "::1"}, "whoever reaches Ray can run programs here"
    finally:
        executor.stop()
        store.close()
    wait_until(lambda: {actor.pid for actor in find_actors()} <= before)


def test_another_machine_joins_as_i2v_worker_does_and_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        host = next((each for each in addresses(everywhere) if not is_loopback(each)), None)
    if host is None:
        pytest.skip("this machine has no address in a network")
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "models"))
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    for name in environment("127.0.0.1:1"):  # which a cluster of the tests before may have left
        monkeypatch.delenv(name, raising=False)
    with socket.create_server((host, 0)) as free:
        port = free.getsockname()[1]
    flags = {"worker__devices": "cpu", "ray__head_host": host, "ray__head_port": port}
    settings = stage(tmp_path, worker__executor="ray", **flags)
    store = JobStore(settings.database)
    executor = RayExecutor(settings, store, ENGINES, tmp_path / "logs")
    executor.start()
    try:
        wait_until(lambda: bool(executor.devices()))
        with joined(Membership(f"{host}:{port}", "guest"), os.environ, tmp_path / "guest.log") as member:
            member.wait_until_joined(SECONDS)
            wait_until(lambda: "guest/cpu" in {state.id for state in executor.devices() if state.info})
            member.leave(grace=SECONDS)
        wait_until(lambda: "guest/cpu" not in {state.id for state in executor.devices()})
    finally:
        executor.stop()
        store.close()
