"""Ways of sampling that ours is held to, over one loaded model.

All run on our exact UNet forward, are conditioned as stock does it and decoded by our VAE path: what differs
is the sampling alone, and no baseline is slower here than on the UNet that it was published with.

- `Scheduled`: what a `Schedule` says: plain DDIM at any number of steps, and ours.
- `Adaptive`: AdaptiveDiffusion (Ye et al. 2024, arXiv 2410.09873), by the paper and by the pipeline for
  I2VGen-XL that was published with it, with its defaults.
- `DeepCache` (Ma et al. 2023, arXiv 2312.00858), which was never published for this model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from diffusers import DDIMScheduler
from numpy.typing import NDArray
from PIL import Image

from benchmarks.cases import Case, Clip
from benchmarks.sides import POSTERIOR_SEED, SPEC
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import Schedule
from i2v.engines.diffusion.decode import decode_frames
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning, condition
from i2v.engines.i2vgen_xl.sampling import CHUNK_TOKENS, denoise, initial_state, schedule_for
from i2v.engines.i2vgen_xl.unet import ClipContext, UNet

PLAN = MemoryPlan("cpu", "float32")


class Sampler(Protocol):
    """A way from noise to latents."""

    @property
    def label(self) -> str: ...

    def sample(
        self, components: Components, conditioning: Conditioning, generation: Generation
    ) -> torch.Tensor:
        """Return (1, C, F, h, w)."""
        ...


@dataclass(frozen=True)
class Scheduled:
    """What a `Schedule` says, as the engine runs it; without one, the exact way at the steps asked for."""

    label: str
    schedule: Schedule | None = None

    def sample(
        self, components: Components, conditioning: Conditioning, generation: Generation
    ) -> torch.Tensor:
        start = initial_state(components, generation)
        *_, last = denoise(components, conditioning, start, generation, PLAN, self.schedule)
        return last.state.latents


EXACT = Scheduled("exact")


def fast(components: Components, generation: Generation) -> Scheduled:
    """Return what the engine does at `speed` "fast" on this model, whatever the certificates say."""
    return Scheduled("fast", schedule_for(components, replace(generation, speed="fast")))


@dataclass(frozen=True)
class Adaptive:
    """AdaptiveDiffusion: a prediction is used again where the latents change evenly.

    Attributes:
        threshold: of the latents' third-order difference over their first-order one. The paper's default; the
            example script for I2VGen-XL is more careful, at 0.008.
        most: predictions that are used again in a row.
    """

    num_inference_steps: int = 50
    threshold: float = 0.01
    most: int = 4

    @property
    def label(self) -> str:
        return f"AdaptiveDiffusion {self.threshold:g}"

    @torch.inference_mode()
    def sample(
        self, components: Components, conditioning: Conditioning, generation: Generation
    ) -> torch.Tensor:
        unet = components.unet
        scheduler, context, latents = prepared(components, conditioning, generation, self.num_inference_steps)
        changes: list[float] = []
        reused = 0
        for timestep in scheduler.timesteps:
            if reused < self.most and self.is_even(changes):
                reused += 1
            else:
                prediction = guided(unet(latents, timestep, context, CHUNK_TOKENS), generation.guidance_scale)
                reused = 0
            earlier, latents = latents, scheduler.step(prediction, timestep, latents).prev_sample
            changes.append(float((latents - earlier).abs().mean()))
        return latents

    def is_even(self, changes: Sequence[float]) -> bool:
        """Tell by how much each step changed the latents; the first four steps are always computed."""
        if len(changes) < 4:
            return False
        before, middle, last = changes[-3:]
        return abs((last + before) / 2 - middle) <= self.threshold * middle


@dataclass(frozen=True)
class DeepCache:
    """DeepCache: at each step but every `interval`-th, only the UNet's outermost layers are computed.

    Uniform intervals and the outermost skip (branch 0), as its published pipelines do: such a step is the way
    in, up to the first skip, and the last layer of the last block, which gets the rest from the last whole
    step.
    """

    num_inference_steps: int = 50
    interval: int = 3

    @property
    def label(self) -> str:
        return f"DeepCache {self.interval}"

    @torch.inference_mode()
    def sample(
        self, components: Components, conditioning: Conditioning, generation: Generation
    ) -> torch.Tensor:
        unet = components.unet
        scheduler, context, latents = prepared(components, conditioning, generation, self.num_inference_steps)
        for step, timestep in enumerate(scheduler.timesteps):
            if step % self.interval == 0:
                with deep_features(unet) as kept:
                    prediction = unet(latents, timestep, context, CHUNK_TOKENS)
            else:
                prediction = shallow(unet, latents, timestep, context, kept[0])
            prediction = guided(prediction, generation.guidance_scale)
            latents = scheduler.step(prediction, timestep, latents).prev_sample
        return latents


@contextmanager
def deep_features(unet: UNet) -> Iterator[list[torch.Tensor]]:
    """Gather what the last layer of the last block is given besides the first skip: (B*F, C, h, w)."""
    kept: list[torch.Tensor] = []
    skip_channels = unet.conv_in.out_channels
    *_, last = unet.up_blocks[-1].layers()

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        kept.append(inputs[0][:, :-skip_channels])  # the skip is joined behind it

    with last.resnet.norm1.register_forward_pre_hook(keep):
        yield kept


def shallow(
    unet: UNet,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    clip: ClipContext,
    deep: torch.Tensor,
) -> torch.Tensor:
    """Return what the UNet does, with the `deep_features` of another step: (B, C, F, h, w)."""
    num_frames = latents.shape[2]
    skip = unet.transformer_in(unet.enter(latents, clip), num_frames, CHUNK_TOKENS)
    joined = torch.cat([deep, skip.repeat(len(deep) // num_frames, 1, 1, 1)], dim=1)
    *_, last = unet.up_blocks[-1].layers()
    hidden = last.temp_conv(last.resnet(joined, unet.embed_time(timestep, clip)), num_frames)
    if last.attention is not None:
        hidden = last.attention(hidden, clip.keys_values[last.attention], num_frames, CHUNK_TOKENS)
    if last.temp_attention is not None:
        hidden = last.temp_attention(hidden, num_frames, CHUNK_TOKENS)
    return unet.leave(hidden, num_frames)


def prepared(
    components: Components, conditioning: Conditioning, generation: Generation, num_inference_steps: int
) -> tuple[DDIMScheduler, ClipContext, torch.Tensor]:
    """Return what a baseline begins with: its timesteps, what is the same in all of them, and the noise."""
    scheduler = components.scheduler()
    scheduler.set_timesteps(num_inference_steps)
    context = components.unet.encode_context(conditioning)
    return scheduler, context, initial_state(components, generation).latents


def guided(prediction: torch.Tensor, guidance_scale: float) -> torch.Tensor:
    """(2, ...) -> (1, ...) by classifier-free guidance; (1, ...) stays."""
    if len(prediction) == 1:
        return prediction
    unconditional, conditional = prediction.chunk(2)
    return unconditional + guidance_scale * (conditional - unconditional)


class Bench:
    """A loaded model, and what all ways of sampling share."""

    def __init__(self, folder: Path) -> None:
        self.components = load_components(SPEC, folder, PLAN)

    def condition(self, generation: Generation, image: Image.Image) -> Conditioning:
        torch.manual_seed(POSTERIOR_SEED)
        return condition(self.components, SPEC, generation, image)

    def make(self, case: Case, sampler: Sampler) -> Clip:
        conditioning = self.condition(case.generation, case.picture)
        latents = sampler.sample(self.components, conditioning, case.generation)
        return Clip(latents.numpy(), self.decode(latents))

    def decode(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        return np.concatenate([part.frames for part in decode_frames(self.components.vae, latents, 0)])
