"""What no step changes: the prompts, and the pictures, as the first latent frame or beside the latents.

Follows diffusers' `WanImageToVideoPipeline` (0.42.1) value for value, so that the same weights give the same
frames.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import ftfy
import numpy as np
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.base import Inputs
from i2v.engines.diffusion.camera_path import CameraFrames
from i2v.engines.diffusion.embeddings import states_of
from i2v.engines.wan.components import Components
from i2v.engines.wan.encode import encode_groups, encode_in_tiles, encode_video
from i2v.engines.wan.facts import facts_of
from i2v.engines.wan.options import options_of
from i2v.host.embedding_cache import KeptEmbeddings


@dataclass(frozen=True)
class Conditioning:
    """What the transformers are told. Pictures are in one of the two last; both are float32.

    Attributes:
        prompt_embeds: (B, T, D), first the unconditional row (if guided), then the conditional: B is 2 or 1.
        first_frame: (1, C, 1, h, w), scaled as denoising has latents, in whose first frame's place it is.
        beside: (1, 4 + C, F, h, w), channels after the latents': a mask of the frames that are given, four to
            a latent frame, then those frames' latents.
    """

    prompt_embeds: torch.Tensor
    first_frame: torch.Tensor | None = None
    beside: torch.Tensor | None = None

    def rows(self, guidance_scale: float, passes: int) -> list[torch.Tensor]:
        """Return the rows that a step needs in at most `passes` parts, in order; the tensors are views."""
        return list((self.prompt_embeds if guidance_scale > 1 else self.prompt_embeds[-1:]).chunk(passes))

    def placed(self, latents: torch.Tensor) -> torch.Tensor:
        """Return (1, C, F, h, w) latents with the picture in place of their first frame, if it is there."""
        if self.first_frame is None:
            return latents
        return torch.cat([self.first_frame.to(latents.dtype), latents[:, :, 1:]], dim=2)

    def given(self, latents: torch.Tensor) -> torch.Tensor:
        """Return (1, C', F, h, w): what a transformer sees of such latents."""
        return self.placed(latents) if self.beside is None else torch.cat([latents, self.beside], dim=1)


@torch.inference_mode()
def condition(
    components: Components, spec: EngineSpec, generation: Generation, inputs: Inputs, tiling: bool = False
) -> tuple[Conditioning, tuple[Notice, ...]]:
    """Encode prompts and pictures (RGB, exactly the generated size); say what of the prompts was cut off.

    Text encoder and VAE are on the device one after the other; the first one is not, where all that it would
    make is kept (`Inputs.embeddings`). With `tiling`, a clip's ends are encoded in tiles, which is not exact.
    """
    texts = {"prompt.truncated": generation.prompt}
    if max(options_of(spec, generation).scales(generation.guidance_scale)) > 1:
        texts = {"prompt.negative_truncated": generation.negative_prompt, **texts}
    limit = spec.max_prompt_tokens
    states, removed = embed(components, list(texts.values()), limit, inputs.embeddings)
    with components.on_device(components.vae):
        if facts_of(spec).expand_timesteps:
            given = Conditioning(states, first_frame=encode_picture(components, inputs.image))
        else:
            given = Conditioning(
                states, beside=encode_ends(components, inputs, generation.num_frames, tiling)
            )
    notices = tuple(
        Notice(code, {"limit": limit, "removed": rest})
        for code, rest in zip(texts, removed, strict=True)
        if rest
    )
    return given, notices


def cleaned(text: str) -> str:
    """Return `text` as the model was trained on prompts: characters mended, full-width ones made narrow."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


def embed(
    components: Components, texts: list[str], limit: int, kept: KeptEmbeddings | None = None
) -> tuple[torch.Tensor, list[str]]:
    """Return (B, `limit`, D), the states of each text and zeros after its end, and what was cut off.

    They are kept by the texts as they were asked for: so whoever deletes a prompt's need not know how it is
    `cleaned`. Raises `ModelUnavailable` where the text encoder is needed and cannot be read.
    """
    tokenizer, encoder = components.tokenizer, components.text_encoder
    width, dtype = encoder.config.d_model, components.dtype

    def encode(missing: Sequence[str]) -> list[torch.Tensor]:
        with components.on_device(encoder):
            return [encode_text(components, cleaned(text), limit) for text in missing]

    facts = {"limit": limit, "device": components.device.type, "storage": components.storage_dtype}
    found = states_of(texts, kept, facts, width, dtype, encode)
    states = torch.zeros(len(texts), limit, width, dtype=dtype, device=components.device)
    for row, each in zip(states, found, strict=True):
        row[: len(each)] = each.to(components.device)
    whole = [tokenizer(cleaned(text), verbose=False).input_ids for text in texts]
    removed = [tokenizer.decode(ids[limit - 1 : -1]).strip() if len(ids) > limit else "" for ids in whole]
    return states, removed


def encode_text(components: Components, text: str, limit: int) -> torch.Tensor:
    """Return (n, D) on the CPU, the states of a text of n tokens; the text encoder is on the device."""
    found = components.tokenizer(
        [text], padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
    )
    mask = found.attention_mask.to(components.device)
    states: torch.Tensor = components.text_encoder(
        found.input_ids.to(components.device), mask
    ).last_hidden_state
    return states[0, : int(mask.sum())].to("cpu", components.dtype)


def encode_picture(components: Components, image: Image.Image) -> torch.Tensor:
    """Return (1, C, 1, h, w) float32."""
    latents = components.vae.encode(_pixels(components, image)).latent_dist.mode()
    return _scaled(components, latents)


def encode_ends(components: Components, inputs: Inputs, num_frames: int, tiling: bool) -> torch.Tensor:
    """Return (1, 4 + C, F, h, w) float32: the clip's first frame, and its last one where that is given."""
    vae, group = components.vae, components.vae.config.scale_factor_temporal
    first = _pixels(components, inputs.image)
    last = None if inputs.last_image is None else _pixels(components, inputs.last_image)
    encode = encode_in_tiles if tiling else encode_groups
    latents = _scaled(components, encode(vae, first, last, (num_frames - 1) // group))
    mask = latents.new_zeros(1, group, *latents.shape[2:])
    mask[:, :, 0] = 1
    if last is not None:
        mask[:, -1, -1] = 1
    return torch.cat([mask, latents], dim=1)


@torch.inference_mode()
def encode_path(
    components: Components, camera: CameraFrames, tiling: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a camera path's (1, C, F, h, w) float32 latents, and how far each is held, (1, 1, F, h, w).

    The VAE is on the device. `tiling`: the frames are encoded in tiles, which is not exact.
    """
    path = _scaled(components, encode_video(components.vae, camera.frames, tiling))
    held = camera.held_latents(path[0].transpose(0, 1))
    if held is None:
        return path, None
    group = components.vae.config.scale_factor_temporal
    grouped = torch.cat([held[:1], *(part.mean(0, keepdim=True) for part in torch.split(held[1:], group))])
    return path, grouped.transpose(0, 1)[None]


def _pixels(components: Components, image: Image.Image) -> torch.Tensor:
    """Return (1, 3, 1, H, W) in [-1, 1]."""
    # one batch, then permuted: the strides that stock has, and so its kernels and its rounding
    batch = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)[None].permute(0, 3, 1, 2)
    return (2 * batch - 1)[:, :, None].to(components.device, components.vae.dtype)


def _scaled(components: Components, latents: torch.Tensor) -> torch.Tensor:
    """Return latents as denoising has them, float32."""
    mean, std = statistics(components)
    return (latents.float() - mean) * (1 / std)


def statistics(components: Components) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the deviation of each channel of the VAE's latents, (1, C, 1, 1, 1) float32."""
    config, device = components.vae.config, components.device
    mean, std = (
        torch.tensor(numbers).view(1, -1, 1, 1, 1).to(device)
        for numbers in (config.latents_mean, config.latents_std)
    )
    return mean, std
