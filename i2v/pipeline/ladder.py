"""What one job does where memory runs out: the next plan that takes less, until there is none.

Owns when a machine is short of memory, where a job begins under which a worker has died, and what is said at
the end. The plans and their order are `memory`'s; how an engine goes on by another plan is its own business.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.settings import EngineSettings
from i2v.core.stages import Stage
from i2v.engines.recovery import changes
from i2v.memory import allocator
from i2v.memory.model import GIB, memory_model
from i2v.memory.plan import (
    CARD_RESERVE,
    RAM_RESERVE,
    alternatives,
    available_ram,
    measure_free,
    plan_by_settings,
    step_down,
)

# Bytes of CPU memory that are left to the machine while a job runs: with less, the kernel may soon kill.
LOW_RAM = GIB // 2
# Of what a clip takes by the estimate and did not get, the share that another one may be promised.
_DOUBTED = 0.9


@dataclass(frozen=True)
class MemoryLadder:
    """The plans of one job (see `i2v.engines.base.Ladder`)."""

    spec: EngineSpec
    generation: Generation
    device: DeviceInfo
    options: EngineSettings

    def step_down(self, plan: MemoryPlan, stage: Stage | None = None) -> MemoryPlan | None:
        return step_down(self.spec, self.generation, measure_free(self.device), plan, stage)

    def is_short(self) -> bool:
        """Tell whether the CPU's memory is nearly used up, where a lesser plan takes less of it.

        With CUDA it does not: what leaves the device goes there.
        """
        if self.device.type != "cpu" or available_ram() >= LOW_RAM:
            return False
        allocator.release()
        return available_ram() < LOW_RAM

    def after_death(self, plan: MemoryPlan, deaths: int) -> tuple[MemoryPlan, tuple[Notice, ...]]:
        """Return where to begin when workers have died of the job: the kernel may have killed them.

        The cause is not known: it is as low as goes without more CPU memory (offloading) and without other
        frames (tiling).
        """
        lowest = replace(self._bottom(plan), offload=plan.offload, vae_tiling=plan.vae_tiling)
        return lowest, (Notice("ladder.after_death", {"deaths": deaths}), *changes(plan, lowest))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Inside, running out of memory is an error that says what would fit."""
        try:
            yield
        except MemoryError as error:
            raise self._exhausted(str(error) or "MemoryError") from error
        except InsufficientMemory as error:
            if error.code != "engine.out_of_memory":
                raise
            raise self._exhausted(str(error.params["reason"])) from error

    def _exhausted(self, reason: str) -> InsufficientMemory:
        fitting = alternatives(self.spec, self.generation, self._doubted(), self.options)
        found = {notice.code: notice.params for notice in fitting}
        frames = found.get("plan.fewer_frames", {}).get("num_frames")
        size = found.get("plan.smaller", {}).get("resolution")
        if frames and size:
            return InsufficientMemory(
                "ladder.exhausted_either", reason=reason, num_frames=frames, resolution=size
            )
        if frames:
            return InsufficientMemory("ladder.exhausted_fewer", reason=reason, num_frames=frames)
        if size:
            return InsufficientMemory("ladder.exhausted_smaller", reason=reason, resolution=size)
        return InsufficientMemory("ladder.exhausted", reason=reason)

    def _doubted(self) -> DeviceInfo:
        """Return the device with what is free on it, but with less than this clip was to have in vain."""
        device = measure_free(self.device)
        bottom = self._bottom(plan_by_settings(self.spec, device, self.options))
        figures = memory_model(self.spec).estimate(self.spec, self.generation, bottom)
        if figures is None or device.free_memory is None:
            return device
        reserve = RAM_RESERVE if device.type == "cpu" else CARD_RESERVE
        promised = int(_DOUBTED * figures.device_bytes) + reserve
        return replace(device, free_memory=min(device.free_memory, promised))

    def _bottom(self, plan: MemoryPlan) -> MemoryPlan:
        while (lower := self.step_down(plan)) is not None:
            plan = lower
        return plan
