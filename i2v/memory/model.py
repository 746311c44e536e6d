"""What an engine's package knows of memory: what a clip takes under a plan, and how it can take less.

Owns the contract (`MemoryModel`) and the figures (`Estimate`). Each family of engines has its own model,
found by `EngineSpec.memory`; one that was not measured says so. How much memory there is, and which way a job
gets, is `plan`'s business.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.inputs import LastImage
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import evaluations
from i2v.core.stages import Stage

GIB = 2**30

# Half-precision operations a second, accumulated in float32, dense, from the makers' data sheets. What is
# found first counts, so longer names stand before those that they contain.
_PEAKS = (
    ("H200|H100|H800", 989e12), ("A100|A800", 312e12), ("L40S", 362e12), ("L40", 181e12),
    ("A10G|A10", 125e12), ("RTX 6000 Ada", 364e12),
    ("RTX A6000", 155e12), ("L4", 121e12), ("V100", 125e12), ("T4", 65e12),
    ("5090", 209e12), ("5080", 113e12), ("5070 Ti", 88e12), ("5070", 62e12),
    ("4090", 165e12), ("4080", 97e12), ("4070 Ti", 80e12), ("4070", 58e12),
    ("4060 Ti", 44e12), ("4060", 30e12), ("3090", 71e12), ("3080", 60e12), ("3070", 41e12), ("3060", 26e12),
)  # fmt: skip
# Of that, what I2VGen-XL was seen to reach. On an H200 it is measured: 39 TFLOP, an evaluation of 512 x 512 x
# 16, took 207 ms before i2v had kernels of its own (docs/measurements.md). The others are published, of
# stock; a card that has no row of its own is taken for an RTX 4090.
_REACHED = (("H200|H100|H800", 0.19), ("A100|A800", 0.29), ("", 0.25))


@dataclass(frozen=True)
class StageEstimate:
    """What the device holds at the most in a stage, in bytes, and the operations of the whole stage."""

    name: Stage
    weights: int
    activations: int
    flops: float

    @property
    def bytes(self) -> int:
        return self.weights + self.activations


@dataclass(frozen=True)
class Estimate:
    """What a clip takes under a plan.

    Attributes:
        stages: those that the engine goes through.
        device_bytes: of the device at the most, CUDA's context included.
        ram_bytes: of CPU memory at the most; the same on a CPU.
        moved_bytes: that offloading copies to the device for one clip, and back if it does.
        process_bytes: what a meter reads besides, of the process: on a CPU, Python and its libraries.
    """

    stages: tuple[StageEstimate, ...]
    device_bytes: int
    ram_bytes: int
    moved_bytes: int = 0
    process_bytes: int = 0

    @property
    def flops(self) -> float:
        return sum(stage.flops for stage in self.stages)

    @property
    def weights(self) -> int:
        """Bytes of weights on the device at the most."""
        return max(stage.weights for stage in self.stages)

    def stage(self, name: Stage) -> StageEstimate | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    def metered(self, name: Stage) -> int | None:
        """Return the bytes that `usage.PeakMeter` should read in a stage."""
        stage = self.stage(name)
        return None if stage is None else stage.bytes + self.process_bytes


class MemoryModel(Protocol):
    """What a family of engines takes of memory and computing. Its module imports no torch."""

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        """Return what `generation` takes under `plan`, `None` where `spec` was not measured."""
        ...

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        """Yield `plan` and all plans in which no option takes more than in it.

        What costs least changes first. `vae_tiling` stays: it alone changes the frames by more than rounding.

        Args:
            kept: names of options that stay too.
        """
        ...

    def step_flops(self, generation: Generation) -> float:
        """Return the operations of one denoising step, or a number that grows like them."""
        ...


class Unmeasured:
    """Nothing is known: there is one plan, and a step takes as long as it has pixels."""

    def estimate(self, spec: EngineSpec, generation: Generation, plan: MemoryPlan) -> Estimate | None:
        return None

    def ways_down(
        self, plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()
    ) -> Iterator[MemoryPlan]:
        yield plan

    def step_flops(self, generation: Generation) -> float:
        pixels = generation.generated_width * generation.generated_height * generation.num_frames
        return float(pixels * (2 if generation.guidance_scale > 1 else 1))


def memory_model(spec: EngineSpec) -> MemoryModel:
    """Import the memory model of the engine's family; loads no heavy library."""
    if not spec.memory:
        return Unmeasured()
    module, _, name = spec.memory.partition(":")
    return cast("MemoryModel", getattr(importlib.import_module(module), name))


def denoising_work(engines: Mapping[str, EngineSpec]) -> Callable[[Generation], float]:
    """Return what tells the operations of a clip's denoising, whichever engine runs it."""

    def work(generation: Generation) -> float:
        spec = engines.get(generation.engine)  # a finished job's may be gone
        step = (Unmeasured() if spec is None else memory_model(spec)).step_flops(generation)
        steps = evaluations(generation.speed, generation.num_inference_steps, generation.strength)
        return step * max(1, steps) * (1 if spec is None else predictions(spec, generation))

    return work


def predictions(spec: EngineSpec, generation: Generation) -> int:
    """Return how often a step predicts the clip: twice where that is blended from either picture."""
    has_last = any(isinstance(picture, LastImage) for picture in generation.inputs)
    return 2 if has_last and spec.capabilities.blends_ends else 1


def guessed_rate(device_name: str) -> float | None:
    """Return the operations a second that a CUDA device of this name should reach in half precision."""
    peak, reached = (_of_card(table, device_name) for table in (_PEAKS, _REACHED))
    return None if peak is None or reached is None else peak * reached


def _of_card(table: Iterable[tuple[str, float]], device_name: str) -> float | None:
    return next((value for name, value in table if re.search(rf"\b({name})\b", device_name)), None)
