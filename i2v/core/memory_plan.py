"""How a clip uses the device, and what is known of the device. Which way fits is `i2v.memory`'s business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StorageDtype = Literal["auto", "float8_e4m3fn"]
Offload = Literal["none", "encoders", "model"]
Switch = Literal["auto", "off"]


@dataclass(frozen=True)
class DeviceInfo:
    """Where a model runs: `type` "cpu" or "cuda", its name, and the memory it has in bytes.

    `free_memory` of the device and `free_ram` of the CPU are what others leave to us, in bytes: what our own
    process holds already counts as free. `None`: not measured. `id` tells the devices of a machine apart
    ("cuda:1", "cpu"); "" where nobody asks. `share` is how many workers use the device: each leaves the
    others their part of its memory, and computes with `threads` CPU threads, 0 for as many as torch finds.
    `models` are the engines whose weights can be had there; `None`: those that are on this machine.
    """

    type: Literal["cpu", "cuda"]
    name: str
    total_memory: int
    free_memory: int | None = None
    free_ram: int | None = None
    id: str = ""
    share: int = 1
    threads: int = 0
    models: tuple[str, ...] | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """How a job uses the device. `dtype`, `storage_dtype` and `vae_tiling` alone change more than rounding.

    Attributes:
        decode_chunk: frames that the VAE decodes at a time; 0 for what is fast at their size.
        threads: CPU threads, 0 for as many as torch finds.
        cfg_passes: passes of the UNet a guided step: 1 for both rows at once, 2 for one after the other.
        offload: "model" keeps each part of the model in CPU memory but for the phase that computes with it,
            "encoders" only what encodes the prompt and the picture.
        chunk_tokens: tokens that a transformer of the UNet takes at a time; 0 for what is fast.
        vae_tiling: decode large frames in tiles: less memory, and frames that differ a little.
        compile: run the UNet through `torch.compile`.
        kernels: "off" computes by torch's operations alone, where a device has faster ones.
        cuda_graph: "off" starts each kernel of each step anew, where a device can replay a step.
        storage_dtype: "float8_e4m3fn" keeps the weights of large layers so, half as large, and casts them to
            `dtype` when they compute; settled when an engine is loaded.
    """

    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "float16", "bfloat16"]
    decode_chunk: int = 0
    threads: int = 0
    cfg_passes: int = 1
    offload: Offload = "none"
    chunk_tokens: int = 0
    vae_tiling: bool = False
    compile: bool = False
    kernels: Switch = "auto"
    cuda_graph: Switch = "auto"
    storage_dtype: StorageDtype = "auto"


@dataclass(frozen=True)
class PlannedMemory:
    """How a job was to use the device when it was submitted, and which device that was."""

    memory: MemoryPlan
    device_type: Literal["cpu", "cuda"]
    device_name: str
