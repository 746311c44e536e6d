"""i2v.workers.devices: which workers there are, what keeps each to its device, when one more is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from i2v.workers.devices import Slot, device_type, environment, first_slots, is_needed, slots_beside
from tests.rehearsal import stage


def devices_of(slots: Sequence[Slot]) -> list[tuple[str | None, int]]:
    return [(slot.device, slot.number) for slot in slots]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"engine.device": "auto"}, [(None, 1)]),
        ({"engine.device": "cpu"}, [("cpu", 1)]),
        ({"worker.devices": "cpu", "worker.per_device": 3}, [("cpu", 1), ("cpu", 2), ("cpu", 3)]),
        ({"worker.devices": "2,0"}, [("cuda:0", 1), ("cuda:2", 1)]),
        ({"worker.devices": [1], "worker.per_device": 2}, [("cuda:1", 1), ("cuda:1", 2)]),
    ],
)
def test_the_settings_name_the_workers(
    tmp_path: Path, flags: dict[str, object], expected: list[tuple[str | None, int]]
) -> None:
    slots = first_slots(stage(tmp_path, **{"engine__device": "auto"} | flags))
    assert devices_of(slots) == expected
    assert {slot.share for slot in slots} == {flags.get("worker.per_device", 1)}
    assert len({slot.log_name for slot in slots}) == len(slots)


def test_the_first_worker_s_count_makes_the_others(tmp_path: Path) -> None:
    """On one card, or on the CPU, there are none: all is as with one worker."""
    first = Slot("auto")
    assert slots_beside(first, 0) == slots_beside(first, 1) == ()
    assert devices_of(slots_beside(first, 3)) == [("cuda:1", 1), ("cuda:2", 1)]
    pairs = Slot("auto", share=2)
    assert devices_of(slots_beside(pairs, 2)) == [("cuda:0", 2), ("cuda:1", 1), ("cuda:1", 2)]
    assert devices_of(slots_beside(pairs, 0)) == [("cpu", 2)]
    assert slots_beside(Slot("cuda", share=2), 0) == (), "CUDA is asked for, and there is none"
    assert slots_beside(Slot("cuda", 1), 4) == (), "the settings name the cards"
    assert (first.device_of("cuda"), first.device_of("cpu")) == ("cuda:0", "cpu")


@pytest.mark.parametrize(
    ("device", "environ", "visible"),
    [
        ("cuda:2", {}, "2"),
        ("cuda:1", {"CUDA_VISIBLE_DEVICES": "3, 5"}, "5"),
        ("cuda:0", {"CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, "GPU-8932f937"),
        ("cuda:2", {"CUDA_VISIBLE_DEVICES": "3,5"}, "-1"),
        (None, {"CUDA_VISIBLE_DEVICES": "3,5"}, None),
    ],
)
def test_a_process_sees_its_own_card_alone(
    device: str | None, environ: dict[str, str], visible: str | None
) -> None:
    found = environment(device, environ)
    assert found.get("CUDA_VISIBLE_DEVICES") == visible
    assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID", "as nvidia-smi counts"
    ordered = environment(device, {**environ, "CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert ordered["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


def test_the_cpu_needs_nothing_set() -> None:
    assert environment("cpu", {}) == {}
    assert [device_type(name) for name in (None, "cpu", "cuda:1")] == [None, "cpu", "cuda"]


@pytest.mark.parametrize(
    ("device", "takers", "jobs", "expected"),
    [
        ("a", [], {"a": []}, False),
        ("a", [], {"a": ["1"]}, True),
        ("a", ["b"], {"a": ["1"], "b": ["1"]}, False),
        ("a", ["b"], {"a": ["1", "2"], "b": ["1", "2"]}, True),
        ("a", ["b"], {"a": ["1"], "b": []}, True),  # which b may not take
        ("a", ["b", "c"], {"a": ["1", "2"], "b": ["1"], "c": ["1", "2"]}, False),
        ("a", ["a", "a"], {"a": ["1", "2"]}, False),
        (None, [], {None: ["1"]}, True),
    ],
)
def test_one_more_worker_is_needed_where_a_job_is_left(
    device: str | None, takers: list[str | None], jobs: dict[str | None, list[str]], expected: bool
) -> None:
    assert is_needed(device, takers, lambda which, limit: jobs[which][:limit]) is expected
