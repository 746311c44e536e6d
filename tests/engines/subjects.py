"""What the contract's tests run: every engine that is registered, and the fake family, which differs in all.

An engine of another installed package, or a new one of ours, is among them by itself; a family with weights
adds the maker of a tiny folder of its layout to `MAKERS`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Denoised, Engine, Event, Inputs, Ladder
from i2v.engines.registry import BUILT_IN, GROUP, collect
from i2v.memory.model import memory_model
from i2v.pipeline.resolve import resolve
from tests.fake_family.network import write_folder
from tests.fake_family.specs import ENTRY
from tests.tiny_animatediff import write_tiny_animatediff
from tests.tiny_model import write_tiny_model
from tests.tiny_svd import write_tiny_svd
from tests.tiny_wan import write_tiny_wan, write_tiny_wan_a14b

ENTRIES = [EntryPoint(name=place, value=place, group=GROUP) for place in BUILT_IN]
OTHERS = [ENTRY, *entry_points(group=GROUP)]
SPECS: Mapping[str, EngineSpec] = collect(ENTRIES, OTHERS)
# By the package of the family, or the engine's name where it has a layout of its own.
MAKERS: Mapping[str, Callable[[Path], None]] = {
    "i2v.engines.i2vgen_xl": write_tiny_model,
    "i2v.engines.svd": write_tiny_svd,
    "i2v.engines.animatediff": write_tiny_animatediff,
    "i2v.engines.wan": write_tiny_wan,
    "wan-i2v-a14b": write_tiny_wan_a14b,
    "tests.fake_family": write_folder,
}


def package_of(spec: EngineSpec) -> str:
    return spec.implementation.partition(":")[0].rpartition(".")[0]


def write_weights(spec: EngineSpec, folder: Path) -> Path | None:
    """Write a tiny folder of the engine's own layout; `None` where it has no weights."""
    if not spec.files:
        return None
    folder.mkdir()
    (MAKERS.get(spec.name) or MAKERS[package_of(spec)])(folder)
    return folder


def request_fields(spec: EngineSpec, **fields: object) -> dict[str, object]:
    """Return the smallest request that the engine takes, two steps, or nearly, where it has some."""
    can = spec.capabilities
    low, high = can.fps
    usual = {
        "engine": spec.name,
        "prompt": "" if can.prompt == "none" else "the camera pans left",
        "width": max(96, spec.multiple),
        "height": max(64, spec.multiple),
        "num_frames": can.num_frames.nearest(4),
        "fps": min(max(8, low), high),
        **({"num_inference_steps": can.step_counts.nearest(2)} if can.num_inference_steps else {}),
        **({"guidance_scale": 4.0} if can.guidance_scale else {}),
        **({"seed": 7} if can.seed else {}),
    }
    return usual | fields


def asked(spec: EngineSpec, **fields: object) -> Generation:
    """Return what such a request is run as."""
    request = GenerationRequest.parse(request_fields(spec, **fields))
    return resolve(request, spec, load_presets(), (96, 64))[0]


def inputs_for(spec: EngineSpec, generation: Generation, photo: Image.Image) -> Inputs:
    if spec.capabilities.whole_picture:
        return Inputs(photo)
    return Inputs(photo.resize((generation.generated_width, generation.generated_height)))


def frames_of(events: list[Event]) -> NDArray[np.int_]:
    return np.concatenate([event.frames for event in events if isinstance(event, Decoded)]).astype(int)


class Rungs:
    """A ladder of the engine's own ways: each time the next one."""

    def __init__(self, spec: EngineSpec, generation: Generation) -> None:
        self._ways = lambda plan: memory_model(spec).ways_down(plan, generation)
        self.asked: list[Stage] = []

    def step_down(self, plan: MemoryPlan, stage: Stage) -> MemoryPlan | None:
        self.asked.append(stage)
        return next((way for way in self._ways(plan) if way != plan), None)

    def is_short(self) -> bool:
        return False


class NoTensorWork(TorchDispatchMode):
    """Inside, nothing is computed, made or moved by torch."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} was called")


@dataclass
class Shortage:
    """Has one call of a Python function of the engine's package fail for a lack of memory.

    That is real code at a real place, whatever the engine computes with. `calls` are counted by stage, the
    one that the events say.
    """

    package: str
    stage: Stage | None = None
    number: int = 0  # of the call that fails, from 1
    calls: dict[Stage, int] = field(default_factory=dict)
    has_failed: bool = False
    now: Stage = Stage.CONDITION

    def run(
        self, engine: Engine, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Iterator[Event]:
        """Yield the events of a clip."""
        with closing(engine.generate(generation, inputs, ladder)) as events:
            while True:
                sys.setprofile(self._count)
                try:
                    event = next(events, None)
                finally:
                    sys.setprofile(None)
                if event is None:
                    return
                if isinstance(event, Conditioned):
                    self.now = Stage.DENOISE if generation.num_inference_steps else Stage.DECODE
                if isinstance(event, Denoised) and event.step == event.total:
                    self.now = Stage.DECODE
                yield event

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call" or not frame.f_globals.get("__name__", "").startswith(f"{self.package}."):
            return
        self.calls[self.now] = self.calls.get(self.now, 0) + 1
        if (self.now, self.calls[self.now]) == (self.stage, self.number) and not self.has_failed:
            self.has_failed = True
            raise MemoryError("rehearsed")
