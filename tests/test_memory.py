"""Which device is found, and how a job uses it. CUDA is stood in for: what is shown here is the choice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Literal

import psutil
import pytest
import torch

from i2v.errors import InsufficientMemory
from i2v.memory import plan_memory, probe_device
from i2v.schema import DeviceInfo, MemoryPlan
from i2v.settings import EngineSettings, load_settings

CPU = DeviceInfo("cpu", "CPU", 16 * 2**30)
CUDA = DeviceInfo("cuda", "NVIDIA RTX 4090", 24 * 2**30)


@pytest.fixture
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with or without a CUDA device, whatever this one has."""
    there: bool = request.param
    properties = SimpleNamespace(name=CUDA.name, total_memory=CUDA.total_memory)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: [properties][index])


@pytest.mark.parametrize(
    ("cuda", "wanted", "found"),
    [
        (True, "auto", "cuda"),
        (True, "cuda", "cuda"),
        (True, "cpu", "cpu"),
        (False, "auto", "cpu"),
        (False, "cpu", "cpu"),
    ],
    indirect=["cuda"],
)
@pytest.mark.usefixtures("cuda")
def test_cuda_is_used_where_it_is_there_unless_the_cpu_is_asked_for(
    wanted: Literal["auto", "cpu", "cuda"], found: str
) -> None:
    device = probe_device(wanted)
    assert device.type == found
    if found == "cuda":
        assert device == CUDA


@pytest.mark.parametrize("cuda", [False], indirect=True)
@pytest.mark.usefixtures("cuda")
def test_cuda_that_is_asked_for_and_not_there_is_an_error_with_the_way_out() -> None:
    with pytest.raises(InsufficientMemory, match="Set device to cpu or auto") as caught:
        probe_device("cuda")
    assert caught.value.code == "device.no_cuda"


def test_the_cpus_memory_is_the_machines_in_bytes() -> None:
    assert probe_device("cpu").total_memory == pytest.approx(psutil.virtual_memory().total, rel=0.01)


@pytest.mark.parametrize(
    ("device", "dtype", "planned"),
    [
        (CUDA, "auto", "float16"),
        (CPU, "auto", "float32"),
        (CUDA, "float32", "float32"),
        (CUDA, "bfloat16", "bfloat16"),
        (CPU, "float16", "float16"),
        (CPU, "bfloat16", "bfloat16"),
    ],
)
def test_the_plan_has_half_precision_on_cuda_unless_the_settings_say_otherwise(
    device: DeviceInfo,
    dtype: Literal["auto", "float32", "float16", "bfloat16"],
    planned: Literal["float32", "float16", "bfloat16"],
) -> None:
    assert plan_memory(device, options(dtype=dtype)).dtype == planned


def test_the_plan_is_for_the_device_and_as_the_settings_have_it() -> None:
    asked = {
        "threads": 2,
        "decode_chunk": 7,
        "cfg_passes": 2,
        "offload": "model",
        "chunk_tokens": 99,
        "vae_tiling": True,
    }
    assert plan_memory(CUDA, options(**asked)) == MemoryPlan(device="cuda", dtype="float16", **asked)
    assert plan_memory(CPU, options()) == MemoryPlan(device="cpu", dtype="float32", decode_chunk=0)


def options(**changes: object) -> EngineSettings:
    """Return the settings of configs/default.yaml with `changes`."""
    return load_settings(flags={f"engine.{name}": value for name, value in changes.items()}).engine
