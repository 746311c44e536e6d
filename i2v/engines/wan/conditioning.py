"""What no step changes: the prompts, and the picture as the first latent frame.

Follows diffusers' `WanImageToVideoPipeline` (0.42.1) with `expand_timesteps` value for value, so that the
same weights give the same frames.
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
from i2v.core.schema import Generation
from i2v.engines.diffusion.embeddings import states_of
from i2v.engines.wan.components import Components
from i2v.host.embedding_cache import KeptEmbeddings


@dataclass(frozen=True)
class Conditioning:
    """What the transformer is told.

    Attributes:
        prompt_embeds: (B, T, D), first the unconditional row (if guided), then the conditional: B is 2 or 1.
        first_frame: (1, C, 1, h, w) float32, scaled as denoising has latents.
    """

    prompt_embeds: torch.Tensor
    first_frame: torch.Tensor

    def split(self, passes: int) -> list[torch.Tensor]:
        """Return the rows in at most `passes` parts, in order; the tensors are views."""
        return list(self.prompt_embeds.chunk(passes))

    def placed(self, latents: torch.Tensor) -> torch.Tensor:
        """Return (1, C, F, h, w) latents with the picture in place of their first frame."""
        return torch.cat([self.first_frame.to(latents.dtype), latents[:, :, 1:]], dim=2)


@torch.inference_mode()
def condition(
    components: Components,
    spec: EngineSpec,
    generation: Generation,
    image: Image.Image,
    kept: KeptEmbeddings | None = None,
) -> tuple[Conditioning, tuple[Notice, ...]]:
    """Encode prompts and `image` (RGB, exactly the generated size); say what of the prompts was cut off.

    Text encoder and VAE are on the device one after the other; the first one is not, where all that it would
    make is `kept`.
    """
    texts = {"prompt.truncated": generation.prompt}
    if generation.guidance_scale > 1:
        texts = {"prompt.negative_truncated": generation.negative_prompt, **texts}
    limit = spec.max_prompt_tokens
    states, removed = embed(components, list(texts.values()), limit, kept)
    with components.on_device(components.vae):
        first_frame = encode_picture(components, image)
    notices = tuple(
        Notice(code, {"limit": limit, "removed": rest})
        for code, rest in zip(texts, removed, strict=True)
        if rest
    )
    return Conditioning(states, first_frame), notices


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
    vae = components.vae
    # one batch, then permuted: the strides that stock has, and so its kernels and its rounding
    batch = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)[None].permute(0, 3, 1, 2)
    pixels = (2 * batch - 1)[:, :, None].to(components.device, vae.dtype)
    latents: torch.Tensor = vae.encode(pixels).latent_dist.mode().float()
    mean, std = statistics(components)
    return (latents - mean) * (1 / std)


def statistics(components: Components) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the deviation of each channel of the VAE's latents, (1, C, 1, 1, 1) float32."""
    config, device = components.vae.config, components.device
    mean, std = (
        torch.tensor(numbers).view(1, -1, 1, 1, 1).to(device)
        for numbers in (config.latents_mean, config.latents_std)
    )
    return mean, std
