"""A clip that begins with frames along the camera's path instead of noise (SDEdit, arXiv 2108.01073).

The frames are rendered from the photograph, encoded, noised as far as `Generation.strength` says and denoised
from there: the motion is the asked one, and the model fills in what moves by itself. Where a motion mask says
that only the camera moves, the clip that each step predicts is replaced by those frames: with a solver that
goes from prediction to prediction, that region is then at every noise level as if it were denoised exactly.
How latents are noised is the families' business.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.base import Inputs
from i2v.engines.camera.options import CameraPathOptions
from i2v.engines.camera.path import plan_moves, plan_onward
from i2v.engines.camera.render import render


@dataclass(frozen=True)
class CameraFrames:
    """What the camera sees along its path.

    Attributes:
        frames: (F, H, W, 3) uint8, of the generated size.
        notices: what the path costs of the picture.
        held: (F, H, W) float32, 1 where only the camera moves, 0 where the model acts; `None` without a mask.
    """

    frames: NDArray[np.uint8]
    notices: tuple[Notice, ...]
    held: NDArray[np.float32] | None = None

    @property
    def first(self) -> Image.Image:
        return Image.fromarray(self.frames[0])

    @torch.inference_mode()
    def encode(self, encode_one: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return (F, C, h, w), what `encode_one` makes of each frame, (1, 3, H, W) float32 in [-1, 1].

        One at a time: more would take memory that no estimate has.
        """
        batches = torch.from_numpy(self.frames).permute(0, 3, 1, 2)[:, None]
        return torch.cat([encode_one(batch.float() / 127.5 - 1) for batch in batches])

    def held_latents(self, reference: torch.Tensor) -> torch.Tensor | None:
        """Return `held` at the size of `reference`, (F, C, h, w), as (F, 1, h, w); `None` without a mask.

        A latent is held as far as its pixels are on average.
        """
        if self.held is None:
            return None
        height, width = reference.shape[-2:]
        held = functional.adaptive_avg_pool2d(torch.from_numpy(self.held)[:, None], (height, width))
        return held.to(reference)


def camera_frames(
    options: CameraPathOptions, generation: Generation, inputs: Inputs, threads: int
) -> CameraFrames | None:
    """Return the frames along the path of `options`, which are `completed`; `None` where there is none.

    threads: that render; 0 for one a core.
    """
    if generation.strength >= 1:
        return None
    picture = inputs.image if inputs.large is None else inputs.large
    size = (generation.generated_width, generation.generated_height)
    plan = plan_onward if generation.extends else plan_moves
    whole = plan(options.moves(generation), picture.size, size)
    path = whole.part(inputs.start, generation.num_frames, wraps=generation.loop)
    cpus = threads or len(os.sched_getaffinity(0))
    frames = np.stack(list(render(picture, path, cpus)))
    if inputs.motion_mask is None:
        return CameraFrames(frames, path.notices)
    mask = np.stack([frame[..., 0] for frame in render(inputs.motion_mask, path, cpus)])
    return CameraFrames(frames, path.notices, np.float32(1) - mask.astype(np.float32) / np.float32(255))
