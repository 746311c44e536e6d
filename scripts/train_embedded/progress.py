"""How far a UNet in training has come, on fixed clips of held-out photographs: in one step, and as clips.

The clips are sampled on the device, as the program samples them; `scores` judges them on the CPU.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, I2VGenXLUNet
from PIL import Image

from i2v.core import schedules
from i2v.engines.diffusion.solvers import History, Solver
from scripts.train_embedded.motions import EASY
from scripts.train_embedded.network import SCHEDULER
from scripts.train_embedded.plans import Recipe, draw_plan
from scripts.train_embedded.rendering import Batch, Conditions, Photos, to_frames
from scripts.train_embedded.scores import group_summary, judge

TIMESTEPS = (990, 950, 900, 700, 500, 300, 200, 100, 30)
AT_ONCE = 8  # clips that are sampled together
SHOWN = ("right_share", "median_amount", "gain_over_static", "median_aligned", "median_sharpness", "flicker",
         "flicker_of_the_true_warp", "below_vae", "vae_psnr")  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """Clips of held-out photographs: `frames` (B, F, 3, H, W) and the batch that they make."""

    frames: torch.Tensor
    batch: Batch

    def part(self, start: int, end: int) -> Probe:
        return Probe(self.frames[start:end], part_of(self.batch, start, end))


@dataclass(frozen=True)
class Judged:
    """Sampled clips: (B, F, H, W, 3) uint8 frames, and what `scores` says of them."""

    frames: np.ndarray
    scores: dict[str, object]

    def write_sheet(self, file: Path, count: int = 12) -> None:
        """Write the first clips as a picture, one a row."""
        rows = [np.concatenate(list(clip), axis=1) for clip in self.frames[:count]]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(rows)).save(file, quality=88)


def new_probe(
    photos: Photos, conditions: Conditions, count: int, side: int, num_frames: int = 8, shown: int = 0,
    first: int = 1,
) -> Probe:  # fmt: skip
    """Draw `count` clips of one full motion each, the same every time."""
    recipe = Recipe(EASY, num_frames, shown or num_frames, first, (side, side))
    plan = draw_plan(photos.sizes, conditions.tokenizer, count, recipe, random.Random(7))
    frames = photos.render(plan)
    return Probe(frames.cpu(), conditions.batch(plan, frames))


def part_of(batch: Batch, start: int, end: int) -> Batch:
    return Batch(*(tensor[start:end] for tensor in batch.tensors), clips=batch.clips[start:end])


@torch.no_grad()
def errors_by_timestep(
    unet: I2VGenXLUNet, batch: Batch, alphas: torch.Tensor, timesteps: Sequence[int] = TIMESTEPS
) -> dict[str, float]:
    """Return the RMS error of the latents of frames 1 and on, predicted in one step from each noise level.

    `still` is what frame 0 throughout would have.
    """
    device = batch.x0.device
    noise = torch.randn(batch.x0.shape, generator=torch.Generator().manual_seed(1)).to(device)
    found = {"still": (batch.x0[:, :, :1] - batch.x0)[:, :, 1:].pow(2).mean().sqrt().item()}
    for timestep in timesteps:
        share = alphas[timestep].to(device)
        signal, sigma = share.sqrt(), (1 - share).sqrt()
        squares = 0.0
        for start in range(0, len(batch.x0), AT_ONCE):
            few = part_of(batch, start, start + AT_ONCE)
            noisy = signal * few.x0 + sigma * noise[start : start + AT_ONCE]
            clean = signal * noisy - sigma * _velocity(unet, few, noisy, timestep)
            squares += (clean - few.x0)[:, :, 1:].pow(2).mean((1, 2, 3, 4)).sum().item()
        found[str(timestep)] = (squares / len(batch.x0)) ** 0.5
    return found


def _velocity(unet: I2VGenXLUNet, batch: Batch, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
    t = torch.full((len(noisy),), timestep, device=noisy.device)
    out: torch.Tensor = unet(
        noisy, t, batch.fps, batch.image_latents, batch.embeddings, batch.states, return_dict=False
    )[0]
    return out.float()


@torch.no_grad()
def sampled(unet: I2VGenXLUNet, batch: Batch, evaluations: int) -> torch.Tensor:
    """Return the (B, 4, F, h, w) latents of clips, as the program's fast way makes them without guidance."""
    scheduler = DDIMScheduler(**SCHEDULER)
    schedule = schedules.fast(evaluations, scheduler.alphas_cumprod.tolist())
    solver = Solver.over(scheduler, schedule.timesteps, schedule.order)
    latents = torch.randn(batch.x0.shape, generator=torch.Generator().manual_seed(2)).to(batch.x0.device)
    history: History = ()
    for step, timestep in enumerate(schedule.timesteps):
        clean = solver.denoised(step, latents, _velocity(unet, batch, latents, timestep))
        latents, history = solver.advance(step, latents, clean, history)
    return latents


@torch.no_grad()
def frames_of(conditions: Conditions, latents: torch.Tensor) -> np.ndarray:
    """(B, 4, F, h, w) -> (B, F, H, W, 3) uint8"""
    count = len(latents)
    flat = latents.transpose(1, 2).flatten(0, 1)
    with torch.autocast(latents.device.type, enabled=False):
        pixels = torch.cat([conditions.vae.decode(part).sample for part in flat.split(32)]).float()
    return to_frames(pixels).reshape(count, -1, *pixels.shape[2:], 3)


def judged(unet: I2VGenXLUNet, conditions: Conditions, probe: Probe, evaluations: int) -> Judged:
    """Sample the probe's clips and judge them."""
    made, again = [], []
    for start in range(0, len(probe.frames), AT_ONCE):
        few = part_of(probe.batch, start, start + AT_ONCE)
        made.append(frames_of(conditions, sampled(unet, few, evaluations)))
        again.append(frames_of(conditions, few.x0[:, :, :1]))
    frames, reconstructed = np.concatenate(made), np.concatenate(again)[:, 0]
    truth = to_frames(probe.frames.flatten(0, 1)).reshape(frames.shape)
    rows = [
        judge(clip, true, of, f"clip/{k}", "clip", str(k), vae)
        for k, (clip, true, of, vae) in enumerate(
            zip(frames, truth, probe.batch.clips, reconstructed, strict=True)
        )
    ]
    summary = group_summary(rows)
    return Judged(frames, {name: _mean_of(summary[name]) for name in SHOWN if name in summary})


def _mean_of(figure: object) -> object:
    return figure["mean"] if isinstance(figure, dict) else figure
