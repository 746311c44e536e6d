"""From plans to training batches, on the device that holds the photographs.

What is drawn, and what a UNet learns from it, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPTokenizer

from scripts.train_embedded import text, vae
from scripts.train_embedded.motions import Clip
from scripts.train_embedded.network import VISION_SIDE, new_image_encoder
from scripts.train_embedded.plans import Plan, Size

AT_ONCE = 16  # clips whose photographs are gathered at a time, 7 MB each in float32
_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the image encoder's pixels
_STD = (0.26862954, 0.26130258, 0.27577711)


class Photos:
    """Photographs on a device, in stacks of one size; `sizes` has each one's (height, width) pairs."""

    def __init__(self, pyramids: Sequence[Sequence[torch.Tensor]], device: torch.device) -> None:
        self.sizes: list[list[Size]] = [[(p.shape[1], p.shape[2]) for p in levels] for levels in pyramids]
        self.device = device
        self._rows: dict[tuple[int, int], tuple[int, int]] = {}
        self._stacks: list[torch.Tensor] = []
        alike: dict[tuple[int, bool], list[tuple[int, torch.Tensor]]] = {}
        for photo, levels in enumerate(pyramids):
            for level, picture in enumerate(levels):
                is_tall = picture.shape[1] > picture.shape[2]
                alike.setdefault((level, is_tall), []).append((photo, picture))
        for (level, _), members in alike.items():
            self._rows |= {(k, level): (len(self._stacks), row) for row, (k, _) in enumerate(members)}
            self._stacks.append(_stacked([picture for _, picture in members]).to(device))

    def render(self, plan: Plan) -> torch.Tensor:
        """Return (B, F, 3, height, width) frames in [-1, 1]."""
        batch, frames = plan.ramp.shape
        clips = torch.empty(batch, frames, 3, *plan.view, device=self.device)
        geometry = plan.geometry.to(self.device, non_blocking=True)
        members: dict[int, list[tuple[int, int]]] = {}
        for clip, place in enumerate(plan.places):
            stack, row = self._rows[place]
            members.setdefault(stack, []).append((clip, row))
        for stack, found in members.items():
            for start in range(0, len(found), AT_ONCE):
                few = torch.tensor(found[start : start + AT_ONCE]).T.contiguous()
                chosen, rows = few.to(self.device, non_blocking=True)
                clips[chosen] = self._rendered(self._stacks[stack], rows, geometry[chosen], plan.view)
        return clips

    def _rendered(
        self, stack: torch.Tensor, rows: torch.Tensor, geometry: torch.Tensor, view: Size
    ) -> torch.Tensor:
        clips, frames = geometry.shape[:2]
        height, width = view
        y, x = torch.meshgrid(
            torch.arange(height, device=self.device) - (height - 1) / 2,
            torch.arange(width, device=self.device) - (width - 1) / 2,
            indexing="ij",
        )
        points = torch.stack([x.flatten(), y.flatten(), torch.ones(height * width, device=self.device)])
        across, down = (geometry @ points).unbind(2)  # (b, F, h * w) each
        grid = torch.stack([across * 2 / stack.shape[3] - 1, down * 2 / stack.shape[2] - 1], dim=-1)
        grid = grid.view(clips, frames * height, width, 2)
        pixels = stack[rows].float() / 127.5 - 1
        # frames one below the other: each clip's photograph is gathered once, not once a frame
        seen = F.grid_sample(pixels, grid, mode="bicubic", padding_mode="border", align_corners=False)
        return seen.view(clips, 3, frames, height, width).transpose(1, 2).clamp(-1, 1)


def _stacked(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return (N, 3, H, W) uint8; smaller pictures are continued by their last row and column."""
    height = max(p.shape[1] for p in pictures)
    width = max(p.shape[2] for p in pictures)
    stack = torch.empty(len(pictures), 3, height, width, dtype=torch.uint8)
    for row, picture in zip(stack, pictures, strict=True):
        _, high, wide = picture.shape
        row[:, :high, :wide] = picture
        row[:, high:, :wide] = picture[:, -1:]
        row[:, :, wide:] = row[:, :, wide - 1 : wide].clone()
    return stack


@dataclass(frozen=True)
class Batch:
    """B clips of F frames, as the UNet sees them.

    Attributes:
        x0: (B, 4, F, h, w) latents.
        image_latents: (B, 4, F, h, w): the first frame's, then each frame's position, as in the pipeline.
        states, opposite_states: (B, 77, D) of the prompts, and of those that ask for the opposite.
        embeddings: (B, 1, D) of the pictures.
        fps: (B,).
        clips: what was rendered.
    """

    x0: torch.Tensor
    image_latents: torch.Tensor
    states: torch.Tensor
    opposite_states: torch.Tensor
    embeddings: torch.Tensor
    fps: torch.Tensor
    clips: tuple[Clip, ...]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        return (self.x0, self.image_latents, self.states, self.opposite_states, self.embeddings, self.fps)


class Conditions:
    """The frozen parts: the VAE, text states, picture embeddings."""

    def __init__(self, checkpoints: Path) -> None:
        self.device = torch.device("cpu")
        self.tokenizer = CLIPTokenizer.from_pretrained(checkpoints / "tokenizer")
        self.vae, self.text_encoder = vae.new_vae(), text.new_text_encoder(self.tokenizer)
        self.image_encoder = new_image_encoder()
        vision = checkpoints / "vision.pt"
        if not vision.exists():
            torch.save(self.image_encoder.state_dict(), vision)
        for model, name in ((self.vae, "vae"), (self.text_encoder, "text"), (self.image_encoder, "vision")):
            model.load_state_dict(torch.load(checkpoints / f"{name}.pt", weights_only=True))
            model.requires_grad_(False).eval()
        self._mean, self._std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))

    def to(self, device: torch.device) -> None:
        self.device = device
        for model in (self.vae, self.text_encoder, self.image_encoder):
            model.to(device)
        self._mean, self._std = self._mean.to(device), self._std.to(device)

    @torch.no_grad()
    def latents(self, frames: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, 4, H/4, W/4)"""
        latents: torch.Tensor = self.vae.encode(frames).latent_dist.mode()
        return latents

    @torch.no_grad()
    def text(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, 77) tokens -> (B, 77, D)"""
        return text.states_of(self.text_encoder, ids)

    @torch.no_grad()
    def image(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, 3, 32, 32) in [-1, 1] -> (B, 1, D)"""
        seen = (pictures / 2 + 0.5 - self._mean) / self._std
        embeddings: torch.Tensor = self.image_encoder(seen).image_embeds
        return embeddings[:, None]

    @torch.no_grad()
    def batch(self, plan: Plan, frames: torch.Tensor) -> Batch:
        """Make the batch that (B, F, 3, H, W) rendered frames are."""
        count, shown = frames.shape[:2]
        latents = self.latents(frames.flatten(0, 1)).unflatten(0, (count, shown)).transpose(1, 2)
        ramp = plan.ramp.to(self.device, non_blocking=True).view(count, 1, shown, 1, 1)
        given = ramp.expand_as(latents).contiguous()
        given[:, :, 0] = latents[:, :, 0]
        ids = torch.cat([plan.ids, plan.opposite_ids]).to(self.device, non_blocking=True)
        states, opposite = self.text(ids).chunk(2)
        shown_pictures = plan.shown.to(self.device, non_blocking=True).view(-1, 1, 1)
        embeddings = self.image(seen_by_encoder(frames[:, 0])) * shown_pictures
        fps = plan.fps.to(self.device, non_blocking=True)
        return Batch(latents.contiguous(), given, states, opposite, embeddings, fps, plan.clips)


def seen_by_encoder(pictures: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 3, 32, 32): the centre square, as the pipeline cuts it."""
    height, width = pictures.shape[2:]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    cut = pictures[:, :, top : top + square, left : left + square]
    return F.interpolate(cut, (VISION_SIDE, VISION_SIDE), mode="area")


def to_frames(pixels: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) in [-1, 1] -> (N, H, W, 3) uint8."""
    whole = ((pixels / 2 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)
    frames: np.ndarray = whole.permute(0, 2, 3, 1).cpu().numpy()
    return frames
