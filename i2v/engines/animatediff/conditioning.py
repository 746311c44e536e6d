"""What no step changes: the prompts, and the pictures at their frames.

Follows diffusers' `AnimateDiffSparseControlNetPipeline` (0.42.1) value for value, so that the same weights
give the same frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.animatediff.components import Components
from i2v.engines.animatediff.facts import facts_of
from i2v.engines.base import Inputs
from i2v.engines.diffusion.text import encode_text


@dataclass(frozen=True)
class Conditioning:
    """What the networks are told.

    Attributes:
        prompt_embeds: (B, 77, D), first the unconditional row (if guided), then the conditional: B is 2 or 1.
        pictures: (1, C, F, h, w): each picture's latents at its frame, zeros elsewhere.
        mask: (1, 1, F, h, w): 1 where there is a picture.
        style: (B, 4, D): the style picture's tokens, in the unconditional row those of none; `None` where
            there is no such picture.
    """

    prompt_embeds: torch.Tensor
    pictures: torch.Tensor
    mask: torch.Tensor
    style: torch.Tensor | None = None

    def split(self, passes: int) -> list[Conditioning]:
        """Return the rows in at most `passes` parts, in order; the tensors are views."""
        prompts = self.prompt_embeds.chunk(passes)
        styles = [None] * len(prompts) if self.style is None else self.style.chunk(passes)
        return [
            Conditioning(prompt, self.pictures, self.mask, style)
            for prompt, style in zip(prompts, styles, strict=True)
        ]


def pictures_by_frame(inputs: Inputs, num_frames: int) -> dict[int, Image.Image]:
    """Return the pictures by the frames that they are of, in order."""
    found = {0: inputs.image, **inputs.keyframes}
    if inputs.last_image is not None:
        found[num_frames - 1] = inputs.last_image
    return dict(sorted(found.items()))


@torch.inference_mode()
def condition(
    components: Components, spec: EngineSpec, generation: Generation, inputs: Inputs
) -> tuple[Conditioning, tuple[Notice, ...]]:
    """Encode prompts and pictures (RGB, exactly the generated size); say what of the prompts was cut off."""
    texts = {"prompt.truncated": generation.prompt}
    if generation.guidance_scale > 1:
        texts = {"prompt.negative_truncated": generation.negative_prompt, **texts}
    limit = spec.max_prompt_tokens
    encoded = [
        encode_text(components.tokenizer, components.text_encoder, text, limit) for text in texts.values()
    ]
    notices = tuple(
        Notice(code, {"limit": limit, "removed": removed})
        for code, (_, removed) in zip(texts, encoded, strict=True)
        if removed
    )
    by_frame = pictures_by_frame(inputs, generation.num_frames)
    pictures, mask = place_pictures(
        components, by_frame, generation.num_frames, facts_of(spec).sample_posterior
    )
    prompt_embeds = torch.cat([states for states, _ in encoded])
    style = None
    if inputs.style_image is not None and components.style is not None:
        tokens = components.style.tokens(inputs.style_image, components.device, components.dtype)
        style = tokens[-len(prompt_embeds) :]
    return Conditioning(prompt_embeds, pictures, mask, style), notices


def place_pictures(
    components: Components, by_frame: Mapping[int, Image.Image], num_frames: int, sample_posterior: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (1, C, F, h, w) latents and the (1, 1, F, h, w) mask; pictures are encoded one by one."""
    latents = {
        frame: encode_picture(components, image, sample_posterior) for frame, image in by_frame.items()
    }
    first = next(iter(latents.values()))
    pictures = first.new_zeros(1, first.shape[1], num_frames, *first.shape[2:])
    mask = first.new_zeros(1, 1, num_frames, *first.shape[2:])
    for frame, values in latents.items():
        pictures[:, :, frame] = values
        mask[:, :, frame] = 1
    return pictures, mask


def encode_picture(components: Components, image: Image.Image, sample_posterior: bool) -> torch.Tensor:
    """Return (1, C, h, w)."""
    # one batch, then permuted: the strides that stock has, and so its kernels and its rounding
    batch = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)[None].permute(0, 3, 1, 2)
    pixels = 2 * batch.to(components.device, components.dtype) - 1
    posterior = components.vae.encode(pixels).latent_dist
    values = posterior.sample() if sample_posterior else posterior.mode()
    scaled: torch.Tensor = values * components.vae.config.scaling_factor
    return scaled
