"""What is measured: model, settings and clips, of the full size on a card and tiny without one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo
from i2v.core.schema import GenerationRequest
from i2v.core.settings import Settings
from i2v.core.settings_sources import load_settings
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import engines
from i2v.memory.plan import Planned, plan_memory, probe_device
from i2v.pipeline.plan import ClipPlanner
from scripts.cuda_check.rows import Task

PROMPT, PICTURE = "the camera pans left", (512, 512)


@dataclass(frozen=True)
class Size:
    """A square clip; `steps` are those of a measured one, which stand for `all_steps` of them."""

    side: int  # pixels
    num_frames: int
    steps: int
    all_steps: int = 50

    @property
    def name(self) -> str:
        return f"{self.side} x {self.side} x {self.num_frames}"


# On a card, the first in full: it is the clip of the published figures.
SIZES = (Size(512, 16, 50), Size(768, 24, 8), Size(1024, 32, 5))
TINY = (Size(64, 4, 2, 2), Size(96, 5, 2, 2))


def sizes(task: Task) -> tuple[Size, ...]:
    return TINY if task.is_tiny else SIZES


def spec_of(task: Task) -> EngineSpec:
    return EMBEDDED if task.is_tiny else I2VGEN_XL


def settings_of(task: Task, options: Mapping[str, object] = MappingProxyType({})) -> Settings:
    """Return settings under which the task's folder is the model's, and nothing of this machine is used.

    options: settings, by their dotted names.
    """
    flags: dict[str, object] = {
        "models.search_paths": (),
        "models.offline": True,
        "engine.device": task.device,
        "engine.name": spec_of(task).name,
        "output.directory": task.scratch / "videos",
        "service.data_dir": task.scratch / "data",
        **options,
    }
    if not task.is_tiny:
        flags["models.directory"] = task.folder.parent
    environ = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    return load_settings(environ=environ, flags=flags)


def clip_of(task: Task, size: Size, settings: Settings) -> tuple[Generation, Planned, DeviceInfo]:
    """Return the guided clip of `size`, and the plan that a job would have."""
    spec, device = spec_of(task), probe_device(task.device)
    asked = {"prompt": PROMPT, "seed": 0, "engine": spec.name, "speed": "exact", "guidance_scale": 9}
    wanted = {"height": size.side, "width": size.side, "num_frames": size.num_frames, "fps": 8}
    request = GenerationRequest.parse({**asked, **wanted, "num_inference_steps": size.steps})
    clip = ClipPlanner(settings, engines()).plan_clip(request, PICTURE, device)
    generation = replace(clip.generation, width=size.side, height=size.side)
    generation = replace(generation, generated_width=size.side, generated_height=size.side)
    return generation, plan_memory(spec, generation, device, settings.engine), device
