"""The engine: parts of the network come to the device for their stage, and go back to CPU memory after it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Denoised, Event, Inputs, Ladder, Sounded
from i2v.engines.preview import preview_of
from i2v.engines.recovery import recovering
from tests.fake_family.network import FRAMES, FakeNetwork, read_folder
from tests.fake_family.options import FakeOptions

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SAMPLE_RATE = 32_000


class FakeEngine:
    """See `i2v.engines.base.Engine`."""

    kernels = "torch"

    def __init__(self, spec: EngineSpec, network: FakeNetwork, plan: MemoryPlan) -> None:
        self.spec = spec
        self.network = network
        self.plan = plan

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path | None, plan: MemoryPlan) -> Self:
        if folder is None:
            raise ValueError(f"{spec.name} has weights: a folder is needed")
        plan = replace(plan, threads=torch.get_num_threads())
        try:
            return cls(spec, read_folder(spec, folder, DTYPES[plan.dtype]), plan)
        except MemoryError as error:
            reason = out_of_memory(error)
        raise InsufficientMemory("engine.out_of_memory", reason=reason)

    def adopt(self, plan: MemoryPlan) -> None:
        self.plan = replace(plan, threads=self.plan.threads)

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        return recovering(_Clip(self, generation, inputs), self.plan, ladder, out_of_memory)

    @contextmanager
    def on_device(self, *parts: nn.Module) -> Iterator[None]:
        try:
            for part in parts:
                part.to(self.plan.device)
            yield
        finally:
            for part in parts:
                part.to("cpu")


class _Clip:
    """See `i2v.engines.recovery.Work`."""

    def __init__(self, engine: FakeEngine, generation: Generation, inputs: Inputs) -> None:
        self._engine = engine
        self._asked = generation
        self._options = FakeOptions.model_validate(generation.options)
        self._inputs = inputs
        self._picture: torch.Tensor | None = None  # (C, f, h, w): where each latent goes
        self._latents: torch.Tensor | None = None  # (C, f, h, w)
        self._steps = self._decoded = 0  # that are finished, and latents of which the frames came
        self._level = 0.5  # of the sound
        self.stage: Stage | None = Stage.CONDITION

    def events(self, plan: MemoryPlan) -> Generator[Event]:
        self._engine.adopt(plan)
        if self.stage is Stage.CONDITION:
            self._condition()
            yield Conditioned()
        if self.stage is Stage.DENOISE:
            yield from self._denoise(plan)
        if self.stage is Stage.DECODE:
            yield from self._decode(plan)
            if self._options.sound:
                sound = self._sound()
                self.stage = None
                yield sound
        self.stage = None

    @torch.inference_mode()
    def _condition(self) -> None:
        network = self._engine.network
        count = (self._asked.num_frames - 1) // FRAMES + 1
        with self._engine.on_device(network.encoder):
            first = self._encoded(self._inputs.image)
            last = first if self._inputs.last_image is None else self._encoded(self._inputs.last_image)
        shares = torch.linspace(0, 1, count).to(first)[:, None, None]
        self._picture = torch.lerp(first[:, None], last[:, None], shares)
        noise = torch.Generator().manual_seed(self._asked.seed)
        self._latents = self._placed(torch.randn(self._picture.shape, generator=noise))
        self.stage = Stage.DENOISE

    def _encoded(self, image: Image.Image) -> torch.Tensor:
        pixels = torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1
        encoded: torch.Tensor = self._engine.network.encoder(self._placed(pixels)[None])[0]
        return encoded

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._engine.plan.device, DTYPES[self._engine.plan.dtype])

    def _denoise(self, plan: MemoryPlan) -> Generator[Event]:
        network, total = self._engine.network, self._asked.num_inference_steps
        with self._engine.on_device(network.first, network.second):
            while self._steps < total:
                latents = self._step(network, total, plan.chunk_tokens)
                self._latents, self._steps = latents, self._steps + 1
                if self._steps == total:
                    self.stage = Stage.DECODE
                yield Denoised(self._steps, total, partial(self._preview, latents))

    @torch.inference_mode()
    def _step(self, network: FakeNetwork, total: int, chunk_tokens: int) -> torch.Tensor:
        assert self._latents is not None
        assert self._picture is not None
        latents = self._latents
        picture = self._picture
        left = torch.full_like(latents[:1], 1 - self._steps / total)
        tokens = torch.cat([latents, picture, left]).flatten(1).T
        chunks = tokens.split(chunk_tokens or len(tokens))
        moved = torch.cat([network.denoise(chunk) for chunk in chunks]).T.reshape(latents.shape)
        return latents + (picture + self._options.motion * moved - latents) / (total - self._steps)

    def _preview(self, latents: torch.Tensor) -> np.ndarray:
        return preview_of(latents.cpu().float().numpy(), self._engine.spec.preview_factors)

    def _decode(self, plan: MemoryPlan) -> Generator[Event]:
        assert self._latents is not None
        count = self._latents.shape[1]
        with self._engine.on_device(self._engine.network.decoder):
            while self._decoded < count:
                end = min(self._decoded + (plan.decode_chunk or count), count)
                frames = self._frames(self._latents[:, self._decoded : end])
                if self._decoded == 0:
                    frames = frames[FRAMES - 1 :]  # the first latent stands for one frame
                self._decoded = end
                if end == count and not self._options.sound:
                    self.stage = None
                yield Decoded(frames)

    @torch.inference_mode()
    def _frames(self, latents: torch.Tensor) -> np.ndarray:
        """(C, f, h, w) -> (f * FRAMES, H, W, 3)."""
        decoded = self._engine.network.decoder(latents.transpose(0, 1)).float().sigmoid()
        pixels = decoded.reshape(-1, 3, decoded.shape[-2], decoded.shape[-1]).permute(0, 2, 3, 1)
        self._level = float(pixels.mean())
        return (pixels * 255).round().to(torch.uint8).cpu().numpy()

    def _sound(self) -> Sounded:
        times = np.arange(round(self._asked.num_frames / self._asked.fps * SAMPLE_RATE)) / SAMPLE_RATE
        wave = 0.5 * np.sin(2 * np.pi * self._options.tone * times)
        return Sounded(np.stack([wave, self._level * wave], axis=1).astype(np.float32), SAMPLE_RATE)


def out_of_memory(error: BaseException) -> str | None:
    is_it = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return (str(error) or type(error).__name__)[:200] if is_it else None
