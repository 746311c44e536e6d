"""The two sides of `benchmarks/stock.py`: load, run one clip, tell where its stages end.

Stages are cut at the same three places on both sides. Ours: the engine's events `Conditioned`, the last
`Denoised` (each has its preview, which stock lacks) and the end. Stock has no callback, so two of its methods
are wrapped: `scheduler.set_timesteps`, called once when prompt and picture are encoded, and `decode_latents`.
What is read at the cuts (clocks, counters) is the caller's matter.

Each side imports its libraries when it is made: alone in a process, it must not carry the other's in memory.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.settings_sources import ROOT
from i2v.engines.base import Conditioned, Decoded, Inputs
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_picture
from i2v.weights import EMBEDDED_FOLDER, weights_digest

STAGES = ("condition", "denoise", "decode")
Reading = dict[str, float]
Probe = Callable[[], Reading]


@dataclass(frozen=True)
class Setting:
    """What both sides run, and how many frames each decodes at a time.

    Stock's is `None` where the paired run has to find the fastest one.
    """

    side: int  # of the square picture, in pixels
    num_inference_steps: int
    guidance_scale: float
    repeats: int
    threads: int
    ours_decode_chunk: int
    stock_decode_chunk: int | None = None
    num_frames: int = EMBEDDED.presets["standard"].num_frames

    def generation(self) -> Generation:
        preset = EMBEDDED.presets["standard"]
        return Generation(
            prompt="the camera pans left", negative_prompt="blurry", width=self.side, height=self.side,
            generated_width=self.side, generated_height=self.side, fit="crop", num_frames=self.num_frames,
            fps=preset.fps, target_fps=preset.fps, num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale, seed=0, engine=EMBEDDED.name,
        )  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What each stage took, "clip" being all of them, and the clip: (F, H, W, 3) uint8."""

    stages: dict[str, Reading]
    frames: NDArray[np.uint8]


class Side(Protocol):
    """What is compared. `run` reads `probe` at the start and at the end of each stage."""

    name: str

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def ask(self, generation: Generation, image: Image.Image) -> None:
        """Have `run` make this from now on, instead of the setting's example."""
        ...

    def run(self, probe: Probe) -> Run: ...

    @property
    def unet(self) -> nn.Module: ...


def example(generation: Generation) -> Image.Image:
    with Image.open(ROOT / "examples" / "coffee.jpg") as file:
        size = (generation.generated_width, generation.generated_height)
        return fit_picture(file.convert("RGB"), *size, "crop").image


# Stock draws the first frame from the VAE's posterior, without a seed of its own: both do, from the same one.
SPEC = replace(EMBEDDED, facts=replace(EMBEDDED.facts, sample_posterior=True))
POSTERIOR_SEED = 0


class Ours:
    name = "ours"
    spec, folder = SPEC, EMBEDDED_FOLDER

    def __init__(self, setting: Setting) -> None:
        from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine

        self._class = I2VGenXLEngine
        self._plan = MemoryPlan(
            "cpu", "float32", decode_chunk=setting.ours_decode_chunk, threads=setting.threads
        )
        self._generation = setting.generation()
        self._image = example(self._generation)

    def load(self) -> None:
        self._engine = self._class.load(self.spec, self.folder, self._plan)
        weights_digest(self.spec, self.folder)  # the program takes it too, for the video's provenance

    def unload(self) -> None:
        del self._engine

    def ask(self, generation: Generation, image: Image.Image) -> None:
        self._generation, self._image = generation, image

    @property
    def unet(self) -> nn.Module:
        unet: nn.Module = self._engine.components.unet
        return unet

    def run(self, probe: Probe) -> Run:
        torch.manual_seed(POSTERIOR_SEED)
        marks, chunks = [probe()], []
        for event in self._engine.generate(self._generation, Inputs(self._image)):
            if isinstance(event, Decoded):
                chunks.append(event.frames)
            elif isinstance(event, Conditioned) or event.step == event.total:
                marks.append(probe())
        frames = np.concatenate(chunks)
        return Run(between([*marks, probe()]), frames)


class Stock:
    name = "stock"
    folder = EMBEDDED_FOLDER

    def __init__(self, setting: Setting) -> None:
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        for logging in (diffusers_logging, transformers_logging):
            logging.disable_progress_bar()  # stock should not pay for a terminal
            logging.set_verbosity_error()

        from benchmarks import peers

        self._peers = peers
        self._generation = setting.generation()
        self._image = example(self._generation)
        self.decode_chunk = setting.stock_decode_chunk or self._generation.num_frames

    def load(self) -> None:
        self._pipeline = self._peers.load_stock(self.folder)

    def unload(self) -> None:
        del self._pipeline

    def ask(self, generation: Generation, image: Image.Image) -> None:
        self._generation, self._image = generation, image

    @property
    def unet(self) -> nn.Module:
        unet: nn.Module = self._pipeline.unet
        return unet

    def run(self, probe: Probe) -> Run:
        torch.manual_seed(POSTERIOR_SEED)
        marks = [probe()]
        with ExitStack() as wrapped:
            for owner, method in (
                (self._pipeline.scheduler, "set_timesteps"),
                (self._pipeline, "decode_latents"),
            ):
                wrapped.enter_context(before(owner, method, lambda: marks.append(probe())))
            self.latents, frames = self._peers.run_stock(
                self._pipeline, self._generation, self._image, self.decode_chunk
            )
        return Run(between([*marks, probe()]), frames)

    @torch.inference_mode()
    def time_chunks(self, rounds: int) -> dict[int, list[float]]:
        """Return the seconds of decoding the last run's latents, by chunk size: powers of two, and all."""
        count = self._generation.num_frames
        sizes = [*itertools.takewhile(lambda size: size < count, (2**k for k in itertools.count())), count]
        seconds: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(rounds):
            for size in sizes:
                start = time.perf_counter()
                self._pipeline.decode_latents(self.latents, size)
                seconds[size].append(time.perf_counter() - start)
        return seconds


@contextmanager
def before(owner: object, method: str, action: Callable[[], None]) -> Iterator[None]:
    """While open, `action` is called before each call of `owner.method`."""
    original = getattr(owner, method)

    def wrapper(*arguments: object, **named: object) -> object:
        action()
        return original(*arguments, **named)

    with mock.patch.object(owner, method, wrapper):
        yield


def between(marks: list[Reading]) -> dict[str, Reading]:
    """Return what was read between the four marks, by stage, and between the outer two as "clip"."""
    ends = dict(zip(STAGES, itertools.pairwise(marks), strict=True))
    ends["clip"] = (marks[0], marks[-1])
    return {stage: {key: end[key] - start[key] for key in end} for stage, (start, end) in ends.items()}
