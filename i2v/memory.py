"""Which device there is, what is free on it, and how a job uses it. The probe loads torch; the plan is pure.

The plan is the fastest that fits by `estimate`. It never changes what was asked for: where nothing fits,
`alternatives` says what would.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import psutil

from i2v.errors import InsufficientMemory, Notice
from i2v.estimate import GIB, Estimate, estimate, guessed_rate
from i2v.schema import DeviceInfo, EngineSpec, Generation, MemoryPlan, Offload, Resolution
from i2v.settings import EngineSettings

RAM_RESERVE = GIB  # is left to everybody else, in bytes
FRAMES = (4, 128)  # that can be asked for

# For comparing plans alone: operations a second of a card that is not known, and bytes a second of weights on
# their way between memories, and from the disk. All on the low side of what is usual.
_RATE = 30e12
_MOVING = 4e9
_LOADING = 1e9

_CGROUP = Path("/sys/fs/cgroup")


def probe_device(wanted: Literal["auto", "cpu", "cuda"]) -> DeviceInfo:
    """Return the device to run on. Raises `InsufficientMemory` where CUDA is asked for and cannot be used."""
    if wanted != "cpu":
        import torch

        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            return measure_free(DeviceInfo("cuda", properties.name, properties.total_memory))
    if wanted == "cuda":
        raise InsufficientMemory("device.no_cuda")
    return measure_free(DeviceInfo("cpu", "CPU", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))


def measure_free(device: DeviceInfo) -> DeviceInfo:
    """Return `device` with what is free now, as seen from the process that runs the model."""
    held = psutil.Process().memory_info()
    ours = held.rss - getattr(held, "shared", 0)  # pages of files are available already
    ram = min(psutil.virtual_memory().available, _left_by_cgroup()) + ours
    if device.type == "cpu":
        return replace(device, free_memory=ram, free_ram=ram)
    import torch

    free, _ = torch.cuda.mem_get_info()
    return replace(device, free_memory=free + torch.cuda.memory_reserved(), free_ram=ram)


def _left_by_cgroup(folder: Path = _CGROUP) -> int:
    """Return the bytes that a container's limit leaves (cgroup v2), a huge number where there is none."""
    try:
        limit, used, stat = ((folder / f"memory.{name}").read_text() for name in ("max", "current", "stat"))
    except OSError:  # no cgroup v2, or no limit on the topmost group
        return 2**62
    if limit.strip() == "max":
        return 2**62
    counts = dict(line.split() for line in stat.splitlines())
    cache = int(counts.get("active_file", 0)) + int(counts.get("inactive_file", 0))  # given up when wanted
    return int(limit) - int(used) + cache


@dataclass(frozen=True)
class Planned:
    """A plan for one job, and why. `estimate` and `fits` are `None` where the engine was not measured."""

    plan: MemoryPlan
    estimate: Estimate | None = None
    fits: bool | None = None
    notices: tuple[Notice, ...] = ()

    def guessed_seconds(self, device: DeviceInfo) -> float | None:
        """Return how long the clip should take on a card that is known by name, before any was made."""
        rate = guessed_rate(device.name) if device.type == "cuda" and self.plan.dtype != "float32" else None
        return None if rate is None or self.estimate is None else self.estimate.flops / rate


def plan_by_settings(device: DeviceInfo, options: EngineSettings) -> MemoryPlan:
    """Return what `options` say: float16 on CUDA and float32 on the CPU unless they say otherwise."""
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


def plan_memory(
    spec: EngineSpec,
    generation: Generation,
    device: DeviceInfo,
    options: EngineSettings,
    loaded: Offload | None = None,
) -> Planned:
    """Return the fastest plan that fits what is free, else the one that takes least of the device.

    Options that are not at their default are kept; so is all that changes the frames by more than rounding.

    Args:
        loaded: how the engine is loaded now: another `offload` costs loading it again.
    """
    chosen = _choose(spec, generation, device, options, loaded)
    if chosen.estimate is None or chosen.fits is None:
        return chosen
    if chosen.fits:
        return replace(chosen, notices=(_told_to_fit(chosen, chosen.estimate, device),))
    others = alternatives(spec, generation, device, options)
    return replace(chosen, notices=(_told_too_large(chosen.estimate, device), *others))


def _choose(
    spec: EngineSpec,
    generation: Generation,
    device: DeviceInfo,
    options: EngineSettings,
    loaded: Offload | None = None,
) -> Planned:
    base = plan_by_settings(device, options)
    found = []
    for plan in _candidates(base, generation.guidance_scale > 1):
        figures = estimate(spec, generation, plan)
        if figures is None:
            return Planned(base)
        seconds = figures.flops / (guessed_rate(device.name) or _RATE) + figures.moved_bytes / _MOVING
        if loaded is not None and loaded != plan.offload:
            seconds += sum(stage.weights for stage in figures.stages) / _LOADING
        found.append((seconds, Planned(plan, figures, _fits(figures, device))))
    fitting = [each for each in found if each[1].fits]
    if fitting:
        return min(fitting, key=lambda each: each[0])[1]
    return min((planned for _, planned in found), key=lambda planned: planned.estimate.device_bytes)  # type: ignore[union-attr]


def _candidates(base: MemoryPlan, is_guided: bool) -> Iterator[MemoryPlan]:
    offloads: tuple[Offload, ...] = (base.offload,)
    if base.device == "cuda" and base.offload == "none":
        offloads = get_args(Offload)
    for offload in offloads:
        for passes in range(base.cfg_passes, 3 if is_guided else base.cfg_passes + 1):
            yield replace(base, offload=offload, cfg_passes=passes)


def _fits(figures: Estimate, device: DeviceInfo) -> bool:
    return figures.device_bytes <= _free(device) and figures.ram_bytes <= _free_ram(device)


def _free(device: DeviceInfo) -> int:
    """Return the bytes of the device that a job may take."""
    free = device.total_memory if device.free_memory is None else device.free_memory
    return free - RAM_RESERVE if device.type == "cpu" else free


def _free_ram(device: DeviceInfo) -> float:
    return math.inf if device.free_ram is None else device.free_ram - RAM_RESERVE


def alternatives(
    spec: EngineSpec, generation: Generation, device: DeviceInfo, options: EngineSettings
) -> Iterator[Notice]:
    """Yield what would fit where `generation` does not: fewer frames of its size, and a smaller size."""

    def fits(changed: Generation) -> bool:
        return _choose(spec, changed, device, options).fits is True

    low, high = FRAMES[0] - 1, generation.num_frames  # the first is taken to fit, the second does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(replace(generation, num_frames=middle)) else (low, middle)
    if low >= FRAMES[0]:
        yield Notice("plan.fewer_frames", {"num_frames": low})
    for name in reversed(get_args(Resolution)):
        smaller = _scaled(generation, int(name.removesuffix("p")), spec.multiple)
        if _pixels(smaller) < _pixels(generation) and fits(smaller):
            yield Notice("plan.smaller", {"resolution": name, "num_frames": generation.num_frames})
            return


def _scaled(generation: Generation, side: int, multiple: int) -> Generation:
    factor = side / math.sqrt(_pixels(generation))
    width, height = (
        max(multiple, round(length * factor / multiple) * multiple)
        for length in (generation.generated_width, generation.generated_height)
    )
    return replace(generation, generated_width=width, generated_height=height)


def _pixels(generation: Generation) -> int:
    return generation.generated_width * generation.generated_height


def _told_to_fit(planned: Planned, figures: Estimate, device: DeviceInfo) -> Notice:
    needed, free = _gib(figures.device_bytes), _gib(_free(device))
    code = "plan.fits_offload" if planned.plan.offload != "none" else "plan.fits"
    if planned.plan.cfg_passes == 2:
        code = "plan.fits_two_passes_offload" if planned.plan.offload != "none" else "plan.fits_two_passes"
    return Notice(code, {"needed": needed, "free": free})


def _told_too_large(figures: Estimate, device: DeviceInfo) -> Notice:
    if figures.device_bytes > _free(device):
        needed, free = figures.device_bytes, float(_free(device))
        return Notice("plan.too_large", {"needed": _gib(needed), "free": _gib(free)})
    needed, free = figures.ram_bytes, _free_ram(device)
    return Notice("plan.too_large_ram", {"needed": _gib(needed), "free": _gib(free)})


def _gib(count: float) -> str:
    return f"{max(0.0, count) / GIB:.1f}"
