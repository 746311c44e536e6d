"""What no step changes: the prompt, the picture and the frame rate, encoded once for the whole clip.

Follows diffusers' `I2VGenXLPipeline` (0.42.1) value for value, so that the same weights give the same frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.diffusion.text import encode_text
from i2v.engines.i2vgen_xl.components import Components
from i2v.engines.i2vgen_xl.facts import facts_of


@dataclass(frozen=True)
class Conditioning:
    """What the UNet is told, first the unconditional row (if guided), then the conditional: B is 2 or 1.

    Attributes:
        prompt_embeds: (B, 77, D).
        image_embeddings: (B, 1, D).
        image_latents: (B, C, F, h, w): the first frame's latents, then for frame k a constant k / (F - 1).
        fps: (B,).
        notices: what of the prompts was cut off.
        backwards: that of the clip run backwards, which begins with the picture that it is to end with.
    """

    prompt_embeds: torch.Tensor
    image_embeddings: torch.Tensor
    image_latents: torch.Tensor
    fps: torch.Tensor
    notices: tuple[Notice, ...]
    backwards: Conditioning | None = None

    def split(self, passes: int) -> list[Conditioning]:
        """Return the rows in at most `passes` parts, in order; the tensors are views."""
        parts = zip(
            self.prompt_embeds.chunk(passes),
            self.image_embeddings.chunk(passes),
            self.image_latents.chunk(passes),
            self.fps.chunk(passes),
            strict=True,
        )
        return [Conditioning(*part, notices=self.notices) for part in parts]


@torch.inference_mode()
def condition(
    components: Components, spec: EngineSpec, generation: Generation, image: Image.Image
) -> Conditioning:
    """Encode the prompts and `image` (RGB, exactly the generated size)."""
    guided = generation.guidance_scale > 1
    texts = {"prompt.truncated": facts_of(spec).understood(generation.prompt)}
    if guided:
        texts = {"prompt.negative_truncated": generation.negative_prompt, **texts}
    encoded = [encode_prompt(components, spec, text) for text in texts.values()]
    notices = tuple(
        Notice(code, {"limit": spec.max_prompt_tokens, "removed": removed})
        for code, (_, removed) in zip(texts, encoded, strict=True)
        if removed
    )
    picture = encode_picture(components, image)
    first_frame = encode_first_frame(
        components, image, generation.num_frames, facts_of(spec).sample_posterior
    )
    rows = 2 if guided else 1
    return Conditioning(
        prompt_embeds=torch.cat([states for states, _ in encoded]),
        image_embeddings=torch.cat([torch.zeros_like(picture), picture]) if guided else picture,
        image_latents=first_frame.expand(rows, *first_frame.shape[1:]),
        fps=torch.full((rows,), generation.target_fps, device=components.device),
        notices=notices,
    )


def encode_prompt(components: Components, spec: EngineSpec, text: str) -> tuple[torch.Tensor, str]:
    """Return the text's (1, 77, D) states and what of `text` was cut off (`encode_text`)."""
    skipped, limit = facts_of(spec).clip_skip, spec.max_prompt_tokens
    return encode_text(components.tokenizer, components.text_encoder, text, limit, skipped)


def encode_picture(components: Components, image: Image.Image) -> torch.Tensor:
    """Return the (1, 1, D) CLIP embedding of the picture's centre square."""
    seen = components.picture_input
    square = centre_crop(image, image.width, image.width)
    square = square.resize((seen.width, seen.height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.asarray(square, dtype=np.float32) / 255.0)
    values = ((pixels - torch.tensor(seen.mean)) / torch.tensor(seen.std)).permute(2, 0, 1)[None]
    values = values.to(components.device, components.dtype)
    embedding: torch.Tensor = components.image_encoder(values).image_embeds.unsqueeze(1)
    return embedding


def encode_first_frame(
    components: Components, image: Image.Image, num_frames: int, sample_posterior: bool
) -> torch.Tensor:
    """Return (1, C, F, h, w): the picture's latents, then each frame's position in the clip as a constant."""
    # one batch, then permuted: the strides that stock has, and so its kernels and its rounding
    batch = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)[None]
    pixels = batch.permute(0, 3, 1, 2) * 2.0 - 1.0
    posterior = components.vae.encode(pixels.to(components.device, components.dtype)).latent_dist
    latents = (
        posterior.sample() if sample_posterior else posterior.mode()
    ) * components.vae.config.scaling_factor
    later = [torch.ones_like(latents) * (k / (num_frames - 1)) for k in range(1, num_frames)]
    return torch.stack([latents, *later], dim=2)


def centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scale (box filter) until `width` x `height` is covered, then cut its centre.

    This is diffusers' `_center_crop_wide`.
    """
    scale = min(image.width / width, image.height / height)
    image = image.resize((round(image.width // scale), round(image.height // scale)), Image.Resampling.BOX)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
