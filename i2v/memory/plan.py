"""Which device there is, what is free on it, and how a job uses it. The probe loads torch; the plan is pure.

The plan is the fastest that fits by the engine's `MemoryModel`; `step_down` gives the next one where that was
not enough. Neither changes what was asked for: where nothing fits, `alternatives` says what would.
"""

from __future__ import annotations

import math
import os
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import psutil

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan, Offload
from i2v.core.schema import Resolution
from i2v.core.settings import EngineSettings
from i2v.core.stages import Stage
from i2v.memory.model import GIB, Estimate, guessed_rate, memory_model
from i2v.memory.options import explain, set_by_hand

RAM_RESERVE = GIB  # is left to everybody else, in bytes
CARD_RESERVE = GIB // 2  # of a card: for what the estimate does not see
_DISPLAY = 3 * GIB // 4  # what a display and its programs take of a card, where free memory was not measured

# For comparing plans alone: operations a second of a card that is not known, and bytes a second of weights on
# their way between memories. Both on the low side of what is usual.
_RATE = 30e12
_MOVING = 4e9

_CLEARLY_LESS = 0.97  # of what a stage holds; plans that take less than `plan`, but more than this, come last

_CGROUP = Path("/sys/fs/cgroup")


def count_cards(wanted: Literal["auto", "cpu", "cuda"]) -> int:
    """Return how many CUDA devices this process may use; nothing is started on any of them."""
    if wanted == "cpu":
        return 0
    import torch

    return torch.cuda.device_count()


def probe_device(wanted: Literal["auto", "cpu", "cuda"], share: int = 1) -> DeviceInfo:
    """Return the device to run on. Raises `InsufficientMemory` where CUDA is asked for and cannot be used.

    share: how many workers use it.
    """
    if wanted != "cpu":
        import torch

        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            return measure_free(DeviceInfo("cuda", properties.name, properties.total_memory, share=share))
    if wanted == "cuda":
        raise InsufficientMemory("device.no_cuda")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    threads = max(1, len(os.sched_getaffinity(0)) // share) if share > 1 else 0
    return measure_free(DeviceInfo("cpu", "CPU", total, share=share, threads=threads))


def measure_free(device: DeviceInfo) -> DeviceInfo:
    """Return `device` with what is free now, as seen from the process that runs the model."""
    ours, reserved = measure_held(device)
    ram, own_part = available_ram() + ours, device.total_memory // device.share
    if device.type == "cpu":
        ram = min(ram, own_part)
        return replace(device, free_memory=ram, free_ram=ram)
    import torch

    free, _ = torch.cuda.mem_get_info()
    return replace(device, free_memory=min(free + reserved, own_part), free_ram=ram)


def measure_held(device: DeviceInfo) -> tuple[int, int]:
    """Return the bytes that our own process holds of CPU memory and, if it is not the CPU, of the device."""
    held = psutil.Process().memory_info()
    ours = held.rss - getattr(held, "shared", 0)  # pages of files are available already
    if device.type == "cpu":
        return ours, 0
    import torch

    return ours, torch.cuda.memory_reserved()


def available_ram() -> int:
    """Return the bytes of CPU memory that can still be had, by the machine or the container; in no time."""
    return min(psutil.virtual_memory().available, _left_by_cgroup())


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

    def guessed_phases(self, device: DeviceInfo) -> dict[str, float] | None:
        """Return each stage's seconds on a card that is known by name, before any clip was made on it."""
        rate = guessed_rate(device.name) if device.type == "cuda" and self.plan.dtype != "float32" else None
        if rate is None or self.estimate is None:
            return None
        return {stage.name: stage.flops / rate for stage in self.estimate.stages}

    def guessed_seconds(self, device: DeviceInfo) -> float | None:
        """Return how long the clip should take there."""
        phases = self.guessed_phases(device)
        return None if phases is None else sum(phases.values())


def plan_by_settings(spec: EngineSpec, device: DeviceInfo, options: EngineSettings) -> MemoryPlan:
    """Return what `options` say; without a word on the type, the engine's on CUDA and float32 on the CPU."""
    dtype = options.dtype
    if dtype == "auto":
        dtype = spec.cuda_dtype if device.type == "cuda" else "float32"
    return MemoryPlan(
        device=device.type,
        dtype=dtype,
        decode_chunk=options.decode_chunk,
        threads=options.threads or device.threads,
        cfg_passes=options.cfg_passes,
        offload=options.offload,
        chunk_tokens=options.chunk_tokens,
        vae_tiling=options.vae_tiling,
        compile=options.compile,
        kernels=options.kernels,
        cuda_graph=options.cuda_graph,
        storage_dtype=options.storage_dtype if options.storage_dtype in spec.storage_dtypes else "auto",
    )


def plan_memory(
    spec: EngineSpec,
    generation: Generation,
    device: DeviceInfo,
    options: EngineSettings,
) -> Planned:
    """Return the fastest plan that fits what is free, else the one that takes least of the device.

    Options that are not at their default are kept. Frames are decoded in tiles only where nothing else fits,
    and weights kept in fewer bits only where that does not either.
    """
    asked = plan_by_settings(spec, device, options)
    ways = list(memory_model(spec).ways_down(asked, generation, kept=set_by_hand(asked)))
    exact = _estimated(spec, generation, ways)
    if not exact:
        return Planned(asked)
    narrow = _narrowed(spec, ways)
    for plans in (ways, _tiled(ways), narrow, _tiled(narrow)):
        fitting = [way for way in _estimated(spec, generation, plans) if _fits(way.figures, device)]
        if fitting:
            break
    if fitting:
        best = _fastest(fitting, device)
        fits = Notice("plan.fits", {"needed": _gib(best.figures.device_bytes), "free": _gib(_free(device))})
        return Planned(best.plan, best.figures, True, (fits, *explain(best.plan)))
    least = min(exact, key=lambda way: (way.figures.ram_bytes > _free_ram(device), way.figures.device_bytes))
    others = alternatives(spec, generation, device, options)
    return Planned(least.plan, least.figures, False, (_too_large(least.figures, device), *others))


def least_bytes(
    spec: EngineSpec, generation: Generation, device: DeviceInfo, options: EngineSettings
) -> int | None:
    """Return what has to be free on a device of this type, in bytes, for the clip to fit in any way.

    `None` where the engine was not measured.
    """
    asked = plan_by_settings(spec, device, options)
    ways = list(memory_model(spec).ways_down(asked, generation, kept=set_by_hand(asked)))
    all_ways = [*ways, *_narrowed(spec, ways)]
    sizes = [way.figures.device_bytes for way in _estimated(spec, generation, (*all_ways, *_tiled(all_ways)))]
    return min(sizes) + _reserve(device) if sizes else None


def hold_plan(
    spec: EngineSpec,
    generation: Generation,
    device: DeviceInfo,
    options: EngineSettings,
    plan: MemoryPlan,
) -> Planned | None:
    """Return `plan`, made earlier, with its figures: `None` where `options` or what is free forbid it now."""
    asked = plan_by_settings(spec, device, options)
    wanted = {*set_by_hand(asked), "device", "dtype", "threads", "compile", "kernels", "cuda_graph"}
    if any(getattr(plan, name) != getattr(asked, name) for name in wanted):
        return None
    figures = memory_model(spec).estimate(spec, generation, plan)
    if figures is None:
        return Planned(plan)
    return Planned(plan, figures, True) if _fits(figures, device) else None


def step_down(
    spec: EngineSpec,
    generation: Generation,
    device: DeviceInfo,
    plan: MemoryPlan,
    stage: Stage | None = None,
) -> MemoryPlan | None:
    """Return the fastest plan that takes clearly less of the device than `plan`, `None` at the bottom.

    For where memory ran out, whatever the estimate said. No stage takes more than under `plan`, and no option
    goes up; the settings do not hold them here. Tiles, which change the frames, come last. Where the engine
    was not measured, the options go down one by one.

    Args:
        stage: that must take less; `None` for any.
    """
    model = memory_model(spec)
    ways = list(model.ways_down(plan, generation))
    tiled = [] if plan.vae_tiling else _tiled(ways)
    now = model.estimate(spec, generation, plan)
    if now is None:
        return next(iter((*ways[1:], *tiled)), None)
    held, free_ram = _held(now, stage), max(now.ram_bytes, _free_ram(device))
    for plans in (ways, tiled):
        less = [
            way
            for way in _estimated(spec, generation, plans)
            if _held(way.figures, stage) < held
            and _is_nowhere_more(way.figures, now)
            and way.figures.ram_bytes <= free_ram
        ]
        clearly = [way for way in less if _held(way.figures, stage) <= _CLEARLY_LESS * held]
        if clearly:
            return _fastest(clearly, device, plan.offload).plan
        if less:
            return min(less, key=lambda way: _held(way.figures, stage)).plan
    return None


@dataclass(frozen=True)
class _Way:
    plan: MemoryPlan
    figures: Estimate


def _estimated(spec: EngineSpec, generation: Generation, plans: Iterable[MemoryPlan]) -> list[_Way]:
    """Return the plans with their figures: nothing where the engine was not measured."""
    model = memory_model(spec)
    found = ((plan, model.estimate(spec, generation, plan)) for plan in plans)
    return [_Way(plan, figures) for plan, figures in found if figures is not None]


def _tiled(plans: Iterable[MemoryPlan]) -> list[MemoryPlan]:
    return [replace(plan, vae_tiling=True) for plan in plans]


def _narrowed(spec: EngineSpec, plans: Iterable[MemoryPlan]) -> list[MemoryPlan]:
    """Return the plans with weights in fewer bits, as far as the engine has such."""
    plans = [plan for plan in plans if plan.storage_dtype == "auto"]
    return [replace(plan, storage_dtype=dtype) for dtype in spec.storage_dtypes for plan in plans]


def _fastest(ways: Sequence[_Way], device: DeviceInfo, loaded: Offload | None = None) -> _Way:
    """Return the first of those that compute and move least: what hardly costs anything comes first.

    loaded: how the engine is loaded now, where it is: another `offload` costs moving it.
    """
    rate = guessed_rate(device.name) or _RATE

    def seconds(way: _Way) -> float:
        moved = way.figures.moved_bytes
        if loaded not in (None, way.plan.offload):
            moved += way.figures.weights
        return way.figures.flops / rate + moved / _MOVING

    return min(ways, key=seconds)


def _held(figures: Estimate, stage: Stage | None) -> int:
    """Return the bytes that stand for a stage: for loading, what is loaded; for none, all stages together."""
    if stage is Stage.LOAD:
        return (figures.stage(Stage.DENOISE) or figures.stages[-1]).weights
    found = None if stage is None else figures.stage(stage)
    return sum(each.bytes for each in figures.stages) if found is None else found.bytes


def _is_nowhere_more(figures: Estimate, now: Estimate) -> bool:
    return all(after.bytes <= before.bytes for after, before in zip(figures.stages, now.stages, strict=True))


def _fits(figures: Estimate, device: DeviceInfo) -> bool:
    return figures.device_bytes <= _free(device) and figures.ram_bytes <= _free_ram(device)


def _free(device: DeviceInfo) -> int:
    """Return the bytes of the device that a job may take."""
    unknown = 0 if device.type == "cpu" else _DISPLAY
    free = device.total_memory - unknown if device.free_memory is None else device.free_memory
    return free - _reserve(device)


def _reserve(device: DeviceInfo) -> int:
    return RAM_RESERVE if device.type == "cpu" else CARD_RESERVE


def _free_ram(device: DeviceInfo) -> float:
    return math.inf if device.free_ram is None else device.free_ram - RAM_RESERVE


def alternatives(
    spec: EngineSpec, generation: Generation, device: DeviceInfo, options: EngineSettings
) -> Iterator[Notice]:
    """Yield what would fit where `generation` does not: fewer frames of its size, and a smaller size."""
    asked = plan_by_settings(spec, device, options)
    ways = list(memory_model(spec).ways_down(asked, generation, kept=set_by_hand(asked)))
    last_of_each = {way.offload: way for way in ways}.values()
    thriftiest = _tiled([*last_of_each, *_narrowed(spec, last_of_each)])

    def fits(changed: Generation) -> bool:
        return any(_fits(way.figures, device) for way in _estimated(spec, changed, thriftiest))

    counts = [count for count in range(generation.num_frames) if spec.capabilities.num_frames.allows(count)]
    fitting = bisect(counts, False, key=lambda count: not fits(replace(generation, num_frames=count)))
    if fitting:
        yield Notice("plan.fewer_frames", {"num_frames": counts[fitting - 1]})
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


def _too_large(figures: Estimate, device: DeviceInfo) -> Notice:
    if figures.device_bytes > _free(device):
        needed, free = _gib(figures.device_bytes), _gib(_free(device))
        return Notice("plan.too_large", {"needed": needed, "free": free})
    needed, free = _gib(figures.ram_bytes), _gib(_free_ram(device))
    return Notice("plan.too_large_ram", {"needed": needed, "free": free})


def _gib(count: float) -> str:
    return f"{max(0.0, count) / GIB:.1f}"
