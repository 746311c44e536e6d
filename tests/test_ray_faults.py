"""A real Ray of some nodes at 127.0.0.1 whose machines are wrong in one way each: no job suffers for it.

`python -m pytest tests/test_ray_faults.py -m slow`; it needs the package ray.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from i2v.workers.devices import DeviceState
from tests import rehearsal
from tests.disks import small_disk
from tests.ray_cluster import RayHouse, find_actors, open_ray_house, wait_until

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

MIB = 2**20
NODE = "TEST_NODE"  # a variable that a node's actors inherit
WEIGHTS = "unet/model.bin"
SPEC = replace(rehearsal.REHEARSAL, files=("model_index.json", WEIGHTS))
CONTENT = hashlib.shake_128(b"weights").digest(MIB) * 256


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHouse]:
    """The server and the node "node1" have the weights."""
    folder = tmp_path_factory.mktemp("ray")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setitem(rehearsal.ENGINES, SPEC.name, SPEC)
        path = folder / "models" / SPEC.name / WEIGHTS
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        yield stack.enter_context(open_ray_house(folder, nodes=1))


@pytest.fixture
def add(house: RayHouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """Takes care of what a test adds."""
    with ExitStack() as stack:
        yield stack


def join(house: RayHouse, stack: ExitStack, name: str, **variables: str) -> None:
    """Have another node, with these variables, until the test ends."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in {NODE: name, **variables}.items():
            patch.setenv(variable, value)
        node = house.add_node(name)
    stack.callback(wait_until, lambda: state_of(house, name) is None)
    stack.callback(house.cluster.remove_node, node)


def actor_of(name: str) -> psutil.Process:
    """Return the worker's process on the node."""
    return next(each for each in find_actors() if each.environ().get(NODE) == name)


def state_of(house: RayHouse, name: str) -> DeviceState | None:
    return next((state for state in house.executor.devices() if state.id == f"{name}/cpu"), None)


def fetched(house: RayHouse, name: str) -> int:
    state = state_of(house, name)
    return 0 if state is None or state.fetch is None else state.fetch.done


def test_a_node_without_weights_gets_them_though_it_is_killed_meanwhile(
    house: RayHouse, add: ExitStack, tmp_path: Path
) -> None:
    join(house, add, "bare", I2V_MODELS__DIRECTORY=str(tmp_path / "bare"))
    job = house.submit(device="bare/cpu")
    wait_until(lambda: fetched(house, "bare") > 8 * MIB)
    actor_of("bare").kill()
    wait_until(lambda: bool(house.store.get(job.id).history))
    (growing,) = (tmp_path / "bare").rglob("*.incomplete")
    kept = growing.stat().st_size
    assert 0 < kept < len(CONTENT)
    ended = house.finish(job)
    assert [attempt.ending for attempt in ended.history] == ["died", "succeeded"]
    assert (tmp_path / "bare" / SPEC.name / WEIGHTS).read_bytes() == CONTENT
    state = state_of(house, "bare")
    assert state is not None
    assert (state.models, state.fetch) == ((SPEC.name,), None)
    print(f"\n{kept / MIB:.0f} of {len(CONTENT) / MIB:.0f} MiB were there after the kill")


def test_a_node_whose_disk_is_full_gives_its_jobs_away(
    house: RayHouse, add: ExitStack, tmp_path: Path
) -> None:
    disk = add.enter_context(small_disk(tmp_path / "disk", "1m"))
    join(house, add, "full", I2V_MODELS__DIRECTORY=str(disk / "models"))
    wait_until(lambda: (state := state_of(house, "full")) is not None and state.info is not None)
    busy = house.submit(f"step 1: wait {tmp_path / 'go'}", device="node1/cpu")
    house.wait(busy, lambda found: found.status == "running")
    house.store.devices.remove("node1/cpu")  # else the next one would wait for its weights
    job = house.submit()
    wait_until(lambda: (state := state_of(house, "full")) is not None and state.activity == "set_aside")
    state = state_of(house, "full")
    assert state is not None
    assert state.problem is not None
    assert state.problem.code == "cluster.disk_full"
    assert "full" in state.problem.message
    (tmp_path / "go").touch()
    ended = house.finish(job)
    assert (ended.status, ended.device) == ("succeeded", "node1/cpu")
    assert [attempt.ending for attempt in ended.history] == ["released", "succeeded"]
    assert not list(disk.rglob("*.bin")), "nothing half-written has the name of a model's file"


def test_a_slow_node_keeps_its_job_and_others_go_on(house: RayHouse, add: ExitStack) -> None:
    join(house, add, "slow")
    slow = house.submit("step: sleep 0.2", device="slow/cpu")
    house.wait(slow, lambda found: found.step == 1)
    actor = actor_of("slow")
    actor.suspend()
    try:
        others = [house.finish(house.submit(device="node1/cpu")) for _ in range(3)]
        assert {other.status for other in others} == {"succeeded"}
        assert house.store.get(slow.id).status == "running"
    finally:
        actor.resume()
    ended = house.finish(slow)
    assert [attempt.ending for attempt in ended.history] == ["succeeded"]
