"""Clips to train on: photographs seen through a camera's motion, as latents and conditions.

Everything is rendered on the fly. What the UNet learns from it is `unet`'s business.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import CLIPTokenizer

from scripts.train_embedded import text, vae
from scripts.train_embedded.motions import Clip, Mix, Motion, render, sample_clip
from scripts.train_embedded.network import VISION_SIDE, new_image_encoder

_SIDE = 128  # pixels: smaller views show a part of a larger frame
_OBLONGS = ((0.875, 1.125), (1.125, 0.875), (0.75, 1.375), (1.375, 0.75))  # height and width over a square's
_MARGIN = 1.2  # a photograph's sides over a view's, at least: what comes in must come from somewhere


@dataclass(frozen=True)
class Batch:
    """B clips of F frames.

    Attributes:
        x0: (B, 4, F, h, w) latents.
        image_latents: (B, 4, F, h, w): the first frame's, then each frame's position, as in the pipeline.
        pictures: (B, 3, 32, 32) in [-1, 1], what the image encoder sees.
        fps: (B,).
        clips: what was rendered, with its prompt and the opposite one.
    """

    x0: torch.Tensor
    image_latents: torch.Tensor
    pictures: torch.Tensor
    fps: torch.Tensor
    clips: tuple[Clip, ...]


class Conditions:
    """The frozen parts: the VAE's encoder, text states, picture embeddings."""

    def __init__(self, checkpoints: Path) -> None:
        self.vae = vae.new_vae().requires_grad_(False)
        self.vae.load_state_dict(torch.load(checkpoints / "vae.pt", weights_only=True))
        self.tokenizer = CLIPTokenizer.from_pretrained(checkpoints / "tokenizer")
        self.text_encoder = text.new_text_encoder(self.tokenizer)
        self.text_encoder.load_state_dict(torch.load(checkpoints / "text.pt", weights_only=True))
        vision = checkpoints / "vision.pt"
        self.image_encoder = new_image_encoder()
        if not vision.exists():
            torch.save(self.image_encoder.state_dict(), vision)
        self.image_encoder.load_state_dict(torch.load(vision, weights_only=True))

    @torch.no_grad()
    def latents(self, frames: torch.Tensor) -> torch.Tensor:
        """(F, 3, H, W) in [-1, 1] -> (F, 4, H/4, W/4)"""
        latents: torch.Tensor = self.vae.encode(frames).latent_dist.mode()
        return latents

    @torch.no_grad()
    def text(self, prompts: Sequence[str]) -> torch.Tensor:
        """Return the prompts' (B, 77, D) states."""
        return text.embed(self.tokenizer, self.text_encoder, list(prompts))[0]

    @torch.no_grad()
    def image(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, 3, 32, 32) in [-1, 1] -> (B, 1, D)"""
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
        embeddings: torch.Tensor = self.image_encoder((pictures / 2 + 0.5 - mean) / std).image_embeds
        return embeddings[:, None]


@dataclass(frozen=True)
class Recipe:
    """What a batch is made of.

    Attributes:
        num_frames: of the whole clip, which `mix` describes.
        shown: how many of them are shown, frame 0 among them.
        first: the first frame that may be shown after frame 0.
        view: (height, width) in pixels; smaller ones than `_SIDE` show a part of a larger frame.
    """

    mix: Mix
    num_frames: int
    shown: int
    first: int = 1
    view: tuple[int, int] = (_SIDE, _SIDE)


def oblongs(side: int) -> list[tuple[int, int]]:
    """(height, width) in pixels of views of about the area of a square one, sides in multiples of 16."""
    return [(round(side * high / 16) * 16, round(side * wide / 16) * 16) for high, wide in _OBLONGS]


def make_batch(
    pyramids: Sequence[Sequence[torch.Tensor]],
    conditions: Conditions,
    size: int,
    recipe: Recipe,
    rng: random.Random,
) -> Batch:
    """Render `size` clips of random photographs."""
    rows = [_row(rng.choice(pyramids), conditions, recipe, rng) for _ in range(size)]
    x0, image_latents, pictures, clips = zip(*rows, strict=True)
    fps = torch.tensor([clip.fps for clip in clips])
    return Batch(torch.stack(x0), torch.stack(image_latents), torch.stack(pictures), fps, tuple(clips))


def _row(
    levels: Sequence[torch.Tensor], conditions: Conditions, recipe: Recipe, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Clip]:
    height, width = recipe.view
    clip = sample_clip(rng, recipe.num_frames, recipe.mix)
    chosen = [0, *sorted(rng.sample(range(recipe.first, recipe.num_frames), recipe.shown - 1))]
    roomy = [
        level for level in levels if level.shape[1] >= _MARGIN * height and level.shape[2] >= _MARGIN * width
    ]
    photo = rng.choice(roomy or levels[:1])
    photo = photo.flip(-1) if rng.random() < 0.5 else photo
    motion = motion_in(clip, height, width)
    frames = render(photo, motion, height, width, clip.positions[chosen], rng)
    latents = conditions.latents(frames)
    ramp = torch.tensor(chosen[1:]) / (recipe.num_frames - 1)
    given = torch.cat([latents[:1], ramp.view(-1, 1, 1, 1).expand(-1, *latents.shape[1:])])
    return latents.transpose(0, 1), given.transpose(0, 1), seen_by_encoder(frames[:1]), clip


def motion_in(clip: Clip, height: int, width: int) -> Motion:
    """Return the clip's motion in a view.

    In one that is a part of a larger frame pans stay what they are in pixels, and a zoom or a turn grows, so
    that its border moves by as many pixels: what is learned on parts holds for the whole.
    """
    factor = 2 * _SIDE / (height + width)
    if factor < 1.5:
        return clip.motion(height, width)
    whole = clip.motion(_SIDE, _SIDE)
    return replace(whole, zoom=whole.zoom * factor, turn=whole.turn * factor)


def seen_by_encoder(picture: torch.Tensor) -> torch.Tensor:
    """(1, 3, H, W) -> (3, 32, 32): the centre square, as the pipeline cuts it."""
    height, width = picture.shape[2:]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    cut = picture[:, :, top : top + square, left : left + square]
    return F.interpolate(cut, (VISION_SIDE, VISION_SIDE), mode="area")[0]
