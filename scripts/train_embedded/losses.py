"""What the embedded UNet is trained by, and how it is told whether it listens. It trains nothing itself.

Nothing here waits for the device but `listening`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import I2VGenXLUNet

from scripts.train_embedded.motions import AXES
from scripts.train_embedded.rendering import Batch

BANDS = (0, 400, 900, 1000)  # timesteps between which a stage says what share of clips it wants
NEAR_SIGMA = 0.1  # with less noise than this left, errors count less
BLUR = 7.0  # of drift: as much a part of it as the noise is
_SIZES = (1, 2, 4, 8)  # latent pixels: of drift's noise


def drawn_times(count: int, shares: tuple[float, float, float], device: torch.device) -> torch.Tensor:
    """Return (count,) timesteps, of which these shares lie in `BANDS`, evenly within each.

    They are drawn together, evenly spaced from a random start: a batch has the shares as nearly as it can.
    """
    place = (torch.rand((), device=device) + torch.arange(count, device=device) / count) % 1
    total, start, times = sum(shares), 0.0, torch.zeros(count, device=device)
    for share, low, high in zip(shares, BANDS, BANDS[1:], strict=False):
        if share:
            inside = ((place - start) * total / share).clamp(0, 1)
            times = torch.where(inside > 0, low + (high - low) * inside, times)
        start += share / total
    return times.long().clamp(max=BANDS[-1] - 1)


def drawn_drift(x0: torch.Tensor, first: float, later: float) -> torch.Tensor:
    """Return errors as a sampler makes them in (B, 4, F, h, w) latents: blur, and noise of several sizes.

    In training a noisy frame is the truth and noise; in sampling it is what earlier steps took for the truth.
    A UNet that has seen the first alone believes the second (exposure bias, Ning et al. 2023, arXiv
    2301.11706); with drift it learns to ask the picture that it is given. `first` and `later` are the largest
    sizes in frame 0 and in the others.
    """
    count, channels, frames, height, width = x0.shape
    group = torch.arange(frames, device=x0.device).clamp(max=1)  # 0: frame 0, 1: the others
    size = torch.randint(0, len(_SIZES), (count, 2), device=x0.device)[:, group]
    amount = torch.rand(count, 2, device=x0.device)[:, group] * torch.where(group == 0, first, later)
    flat = x0.transpose(1, 2).flatten(0, 1)
    drift = BLUR * (F.avg_pool2d(flat, 3, 1, 1, count_include_pad=False) - flat)
    for number, side in enumerate(_SIZES):
        coarse = torch.randn(len(flat), channels, -(-height // side), -(-width // side), device=x0.device)
        rough = F.interpolate(coarse, (height, width), mode="bilinear")
        drift += (size == number).view(-1, 1, 1, 1) * rough / rough.std()
    return (drift * amount.reshape(-1, 1, 1, 1)).unflatten(0, (count, frames)).transpose(1, 2)


def loss_of(
    unet: I2VGenXLUNet,
    batch: Batch,
    t: torch.Tensor,
    noise: torch.Tensor,
    alphas: torch.Tensor,
    first_weight: float = 1.0,
    drift: torch.Tensor | None = None,
    sigma_power: float = 1.0,
    states: torch.Tensor | None = None,
) -> torch.Tensor:
    """v-prediction loss (Salimans and Ho 2022), weighted by a power of sqrt(1 - alpha_bar); (B,).

    Args:
        first_weight: how many times frame 0, which is given, counts.
        drift: (B, 4, F, h, w): by how much the frames are beside the truth before noise is added; the target
            stays the truth.
        sigma_power: 0 counts every noise level alike by v; more gives less to those with little noise.
        states: of other prompts than the batch's own.
    """
    alpha = alphas[t].view(-1, 1, 1, 1, 1)
    signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
    noisy = signal * batch.x0 + sigma * noise
    if drift is not None:
        near = (sigma / NEAR_SIGMA).clamp(max=1)  # the little noise left at the end cannot mend much
        noisy = noisy + signal * near * drift
    target = (signal * noisy - batch.x0) / sigma
    text = batch.states if states is None else states
    out = unet(noisy, t, batch.fps, batch.image_latents, batch.embeddings, text, return_dict=False)[0]
    errors = ((out.float() - target).pow(2) * sigma**sigma_power).mean(dim=(1, 3, 4))
    others = errors.shape[1] - 1
    return (first_weight * errors[:, 0] + errors[:, 1:].sum(1)) / (first_weight + others)


@torch.no_grad()
def listening(unet: I2VGenXLUNet, batch: Batch, alphas: torch.Tensor) -> dict[str, float]:
    """Return the loss at t = 900, and by axis how much more it is with the opposite motion's prompt.

    `still`: the loss of predicting frame 0 throughout.
    """
    device = batch.x0.device
    t = torch.full((len(batch.clips),), 900, device=device)
    noise = torch.randn(batch.x0.shape, generator=torch.Generator().manual_seed(1)).to(device)
    right, wrong = (
        loss_of(unet, batch, t, noise, alphas, states=states).cpu()
        for states in (batch.states, batch.opposite_states)
    )
    scores = {"right": right.mean().item()}
    shares = torch.tensor([clip.take.shares for clip in batch.clips])
    for axis, name in enumerate(AXES):
        chosen = shares[:, axis] != 0
        if chosen.any():
            scores[name] = (wrong[chosen].mean() / right[chosen].mean() - 1).item()
    still = batch.x0[:, :, :1].expand_as(batch.x0)
    scores["still"] = ((still - batch.x0).pow(2).mean() * (1 - alphas[900]) ** 1.5).item()
    return scores
