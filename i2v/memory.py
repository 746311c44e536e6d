"""Which device there is, and how a job uses it. The probe loads torch; the plan is pure.

What a job will take is not estimated yet: the plan follows device and settings alone.
"""

from __future__ import annotations

import os
from typing import Literal

from i2v.errors import InsufficientMemory
from i2v.schema import DeviceInfo, MemoryPlan
from i2v.settings import EngineSettings


def probe_device(wanted: Literal["auto", "cpu", "cuda"]) -> DeviceInfo:
    """Return the device to run on. Raises `InsufficientMemory` where CUDA is asked for and cannot be used."""
    if wanted != "cpu":
        import torch

        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            return DeviceInfo("cuda", properties.name, properties.total_memory)
    if wanted == "cuda":
        raise InsufficientMemory("device.no_cuda")
    return DeviceInfo("cpu", "CPU", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def plan_memory(device: DeviceInfo, options: EngineSettings) -> MemoryPlan:
    """Return the plan for `device`: float16 on CUDA and float32 on the CPU unless `options` say otherwise."""
    dtype = options.dtype
    if dtype == "auto":
        dtype = "float16" if device.type == "cuda" else "float32"
    return MemoryPlan(
        device=device.type,
        dtype=dtype,
        decode_chunk=options.decode_chunk,
        threads=options.threads,
        cfg_passes=options.cfg_passes,
        offload=options.offload,
        chunk_tokens=options.chunk_tokens,
        vae_tiling=options.vae_tiling,
    )
