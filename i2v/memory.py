"""Which device there is, and how a job uses it. The probe loads torch; the plan is pure.

What a job will take is not estimated yet: the plan is the plain one, chosen by device and settings alone.
"""

from __future__ import annotations

import os
from typing import Literal

from i2v.errors import InsufficientMemory
from i2v.schema import DeviceInfo, MemoryPlan
from i2v.settings import EngineSettings

Dtype = Literal["auto", "float32", "float16", "bfloat16"]


def probe_device(wanted: Literal["auto", "cpu", "cuda"]) -> DeviceInfo:
    """Return the device to run on. Raises `InsufficientMemory` where CUDA is asked for and cannot be used."""
    import torch

    if wanted != "cpu" and torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return DeviceInfo("cuda", properties.name, properties.total_memory)
    if wanted == "cuda":
        raise InsufficientMemory("device.no_cuda")
    return DeviceInfo("cpu", "CPU", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def plan_memory(
    device: DeviceInfo, options: EngineSettings | Dtype, decode_chunk: int = 1, threads: int = 0
) -> MemoryPlan:
    """Return the plan for `device`: float16 on CUDA and float32 on the CPU unless `options` say otherwise."""
    if isinstance(options, str):  # an older call: goes with its parameters once every caller has the settings
        return MemoryPlan(device.type, _dtype(device, options), decode_chunk, threads)
    return MemoryPlan(
        device=device.type,
        dtype=_dtype(device, options.dtype),
        decode_chunk=options.decode_chunk,
        threads=options.threads,
        cfg_passes=options.cfg_passes,
        offload=options.offload,
    )


def _dtype(device: DeviceInfo, wanted: Dtype) -> Literal["float32", "float16", "bfloat16"]:
    if wanted != "auto":
        return wanted
    return "float16" if device.type == "cuda" else "float32"
