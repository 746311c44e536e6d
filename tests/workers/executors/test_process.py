"""i2v.workers.executors.process: several real workers, on shares of the CPU and on cards that are made up."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.workers.devices import DeviceState, Slot
from i2v.workers.executors import supervisor as supervisor_module
from i2v.workers.executors.entry import Found, Ready, _look
from tests.cards import Card, insert_cards
from tests.house import House, endings, open_house, wait_until
from tests.rehearsal import submit

GIB = 2**30
THREE = {"worker__devices": "cpu", "worker__per_device": 3}


def by_device(house: House) -> dict[str, DeviceState]:
    return {state.id: state for state in house.executor.devices()}


def start(house: House, **fields: object) -> Job:
    """Submit a job that waits for the file `go`, and wait until it runs."""
    job = house.submit(f"step 1: wait {house.folder}/go", **fields)
    return house.wait(job, lambda found: found.phase == "denoising")


# --- shares of the CPU


def test_workers_start_as_there_are_jobs_and_each_has_its_own(tmp_path: Path) -> None:
    with open_house(tmp_path, **THREE) as house:
        first = start(house)
        assert len(house.workers) == 1
        jobs = [first, start(house), start(house)]
        waiting = house.submit()
        assert len({house.get(job).owner for job in jobs}) == len(house.workers) == 3
        assert {house.get(job).device for job in jobs} == {"cpu"}
        assert {state.job_id for state in house.executor.devices()} == {job.id for job in jobs}
        assert {state.activity for state in house.executor.devices()} == {"busy"}
        assert house.get(waiting).status == "queued", "nobody takes a second one"
        (tmp_path / "go").touch()
        assert {house.finish(job).attempt for job in (*jobs, waiting)} == {1}
        wait_until(lambda: {state.activity for state in house.executor.devices()} == {"ready"})
        logs = sorted(path.name for path in (tmp_path / "logs").iterdir())
        assert logs == ["worker-cpu-2.log", "worker-cpu-3.log", "worker.log"]


def test_each_worker_has_its_part_of_memory_and_threads(tmp_path: Path) -> None:
    with open_house(tmp_path, **THREE) as house:
        device = house.executor.device()
        assert (device.id, device.share) == ("cpu", 3)
        assert device.free_memory is not None
        assert device.free_memory <= device.total_memory // 3
        assert device.threads >= 1


@pytest.mark.slow
def test_a_worker_that_dies_takes_nothing_from_the_others(tmp_path: Path) -> None:
    with open_house(tmp_path, **THREE) as house:
        others = [start(house), start(house)]
        killed = house.run("step 2: kill once")
        assert endings(killed) == ["died", "succeeded"]
        assert house.executor.deaths() == 1
        (tmp_path / "go").touch()
        assert {house.finish(job).attempt for job in others} == {1}


@pytest.mark.slow
def test_cancelling_one_job_leaves_the_others(tmp_path: Path) -> None:
    with open_house(tmp_path, **THREE) as house:
        jobs = [start(house), start(house)]
        house.store.cancel(jobs[0].id)
        assert house.finish(jobs[0]).status == "cancelled"
        (tmp_path / "go").touch()
        assert (house.finish(jobs[1]).status, house.get(jobs[1]).attempt) == ("succeeded", 1)


@pytest.mark.slow
def test_a_stop_gives_all_jobs_back(tmp_path: Path) -> None:
    house = House(tmp_path, **THREE)
    house.executor.start()
    jobs = [start(house) for _ in range(3)]
    house.executor.stop()
    assert {house.get(job).status for job in jobs} == {"queued"}
    assert [endings(house.get(job)) for job in jobs] == [["released"]] * 3, "held against nobody"
    assert house.workers == []


@pytest.mark.slow
def test_a_paused_queue_holds_all_workers_back(tmp_path: Path) -> None:
    with open_house(tmp_path, **THREE) as house:
        running = start(house)
        house.store.queue.pause(True)
        waiting = [house.submit() for _ in range(3)]
        (tmp_path / "go").touch()
        house.finish(running)
        time.sleep(0.5)
        assert {house.get(job).status for job in waiting} == {"queued"}
        house.store.queue.pause(False)
        house.executor.wake()
        assert {house.finish(job).status for job in waiting} == {"succeeded"}


@pytest.mark.slow
def test_a_job_that_nobody_works_on_is_found_beside_several_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those of all the workers are left to them."""
    monkeypatch.setattr(supervisor_module, "ORPHAN_SECONDS", 0.6)
    with open_house(tmp_path, **THREE) as house:
        own = [start(house) for _ in range(3)]
        ghost = JobStore(house.settings.database)
        lost = submit(ghost, house.settings)
        assert ghost.claim("gone") is not None
        ghost.close()
        found = house.wait(lost, lambda job: job.status != "running")
        assert (found.status, found.deaths) == ("queued", 1)
        (tmp_path / "go").touch()
        assert [house.finish(job).attempt for job in (*own, lost)] == [1, 1, 1, 2]


# --- cards; none of this has run on a GPU


@pytest.mark.slow
def test_cards_that_differ_get_the_jobs_that_fit_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_cards(monkeypatch, [Card("large", 24 * GIB), Card("not ours"), Card("small", 8 * GIB)])
    with open_house(tmp_path, worker__devices=[0, 2]) as house:
        wait_until(lambda: all(state.info for state in house.executor.devices()))
        assert {name: state.info.name for name, state in by_device(house).items() if state.info} == {
            "cuda:0": "large",
            "cuda:2": "small",
        }
        accept = house.store.submit
        monkeypatch.setattr(house.store, "submit", lambda new: accept(replace(new, needed_bytes=20 * GIB)))
        large = [start(house), house.submit()]
        monkeypatch.setattr(house.store, "submit", lambda new: accept(replace(new, needed_bytes=4 * GIB)))
        small = house.run()
        assert (house.get(large[0]).device, small.device) == ("cuda:0", "cuda:2")
        assert house.get(large[1]).status == "queued", "it fits the large card alone"
        monkeypatch.setattr(house.store, "submit", lambda new: accept(replace(new, wanted_device="cuda:2")))
        assert house.run().device == "cuda:2"
        monkeypatch.setattr(house.store, "submit", lambda new: accept(replace(new, wanted_device="cuda:1")))
        gone = house.run()
        assert [notice.code for notice in gone.result.notices if gone.result].count("plan.device_gone") == 1
        (tmp_path / "go").touch()
        assert {house.finish(job).device for job in large} == {"cuda:0"}


@pytest.mark.slow
def test_a_card_that_does_not_start_is_set_aside_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor_module, "SET_ASIDE_SECONDS", 0.5)
    fault = tmp_path / "fault"
    fault.touch()
    insert_cards(monkeypatch, [Card("broken", fault=str(fault)), Card("sound")])
    with open_house(tmp_path, worker__devices=[0, 1]) as house:
        assert house.executor.device().name == "sound"
        wait_until(lambda: by_device(house)["cuda:0"].activity == "set_aside")
        aside = by_device(house)["cuda:0"]
        assert aside.problem is not None
        assert aside.problem.code == "device.no_cuda"
        assert house.executor.problem() is None, "the other one goes on"
        assert sum("is set aside" in each.message for each in caplog.records) == 1
        assert house.run().device == "cuda:1"
        fault.unlink()
        wait_until(lambda: by_device(house)["cuda:0"].activity == "ready")
        assert any("cuda:0 takes jobs again" in each.message for each in caplog.records)


@pytest.mark.slow
def test_where_no_card_starts_none_is_set_aside_and_all_are_tried_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "LAST_BACK_OFF", 0.05)
    fault = tmp_path / "fault"
    fault.touch()
    insert_cards(monkeypatch, [Card(fault=str(fault))] * 2)
    house = House(tmp_path, worker__devices=[0, 1])
    house.executor.start()
    with pytest.raises(I2VError, match="CUDA"):
        house.executor.device()
    wait_until(lambda: house.executor.deaths() >= 8)
    assert {state.activity for state in house.executor.devices()} == {"starting"}
    problem = house.executor.problem()
    assert problem is not None
    assert problem.code == "device.no_cuda"
    fault.unlink()
    wait_until(lambda: house.executor.problem() is None)
    house.executor.stop()


@pytest.mark.slow
def test_what_the_first_worker_counts_has_workers_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_cards(monkeypatch, [Card("first"), Card("second")])
    with open_house(tmp_path) as house:
        first = house.supervisor
        first.slot = Slot("auto")
        for _ in range(2):  # it counts them again at each start
            first._on_message(Found(2))
            assert [each.slot.device for each in house.executor._supervisors] == [None, "cuda:1"]
        wait_until(lambda: "cuda:1" in by_device(house) and by_device(house)["cuda:1"].info is not None)


def test_a_worker_tells_of_all_cards_before_it_looks_at_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a job that waits for another card is not taken for one that is gone."""
    house = House(tmp_path)
    house.store.devices.replace([])
    card = DeviceInfo("cuda", "first", 8 * GIB, 7 * GIB)
    sent: list[object] = []
    monkeypatch.setattr("i2v.workers.executors.entry.count_cards", lambda wanted: 3)
    monkeypatch.setattr("i2v.workers.executors.entry.probe_device", lambda wanted, share: card)
    device = _look(Slot("auto"), house.store, sent.append)
    assert device == replace(card, id="cuda:0")
    assert sent == [Found(3)]
    accept = house.store.submit
    monkeypatch.setattr(house.store, "submit", lambda new: accept(replace(new, wanted_device="cuda:2")))
    submit(house.store, house.settings)
    assert house.store.claim("owner", "cuda:0") is None
    assert house.store.claim("owner", "cuda:2") is not None
    house.store.close()


def test_a_second_worker_of_a_device_needs_no_look_of_its_own(tmp_path: Path) -> None:
    house = House(tmp_path, **THREE)
    first, *others = house.executor._supervisors
    first._on_message(Ready(DeviceInfo("cpu", "CPU", 2**34, id="cpu", share=3)))
    assert [each.device for each in others] == [first.device] * 2
    house.store.close()
