"""diffusers' own pipelines behind the contract of engines: what `i2v bench` and benchmarks hold ours to.

What a family's `stock` has of its own is how its pipeline is loaded and called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import NO_LADDER, Decoded, Event, Inputs, Ladder
from i2v.engines.diffusion.placement import DTYPES

Pipeline = TypeVar("Pipeline", bound=DiffusionPipeline)


class Stock(ABC, Generic[Pipeline]):
    """Stock as an engine (see `i2v.engines.base.Engine`), so that both run the same way.

    It says nothing before the clip is done. Of the plan it takes device, dtype and the offloading of the
    whole model; all else is diffusers' default, unless a family says otherwise.
    """

    kernels: ClassVar[str] = "torch"

    def __init__(self, spec: EngineSpec, pipeline: Pipeline, plan: MemoryPlan) -> None:
        self.spec = spec
        self.plan = plan
        self.pipeline = pipeline

    @staticmethod
    @abstractmethod
    def load_pipeline(spec: EngineSpec, folder: Path, dtype: torch.dtype) -> Pipeline:
        """Load `folder` through diffusers' own loaders."""

    @abstractmethod
    def frames(self, generation: Generation, inputs: Inputs) -> NDArray[np.uint8]:
        """Return the clip, (F, H, W, 3)."""

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Self:
        if plan.threads:
            torch.set_num_threads(plan.threads)
        pipeline = cls.load_pipeline(spec, folder, DTYPES[plan.dtype])
        if plan.device == "cuda" and plan.offload == "model":
            pipeline.enable_model_cpu_offload()
        else:
            pipeline.to(plan.device)
        return cls(spec, pipeline, plan)

    def adopt(self, plan: MemoryPlan) -> None:
        """Stock has one plan only."""

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield the whole clip in one `Decoded`. `ladder` is not asked: stock ends where memory does."""
        yield Decoded(self.frames(generation, inputs))


def quiet_loaders() -> None:
    """Keep the loaders of diffusers and transformers from printing."""
    for logging in (diffusers_logging, transformers_logging):
        logging.disable_progress_bar()
        logging.set_verbosity_error()


def to_uint8(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return frames in [0, 1] as diffusers' `numpy_to_pil` rounds them."""
    return (frames * 255).round().astype(np.uint8)
