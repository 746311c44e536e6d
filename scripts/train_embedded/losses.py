"""What the embedded UNet is trained by, and how it is told whether it listens. It trains nothing itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import I2VGenXLUNet

from scripts.train_embedded.clips import Batch, Conditions
from scripts.train_embedded.motions import AXES

NEAR_SIGMA = 0.1  # with less noise than this left, errors count less
BLUR = 7.0  # of drift: as much a part of it as the noise is


def drawn_drift(x0: torch.Tensor, first: float, later: float) -> torch.Tensor:
    """Return errors as a sampler makes them in (B, 4, F, h, w) latents: blur, and noise of several sizes.

    In training a noisy frame is the truth and noise; in sampling it is what earlier steps took for the truth.
    A UNet that has seen the first alone believes the second (exposure bias, Ning et al. 2023, arXiv
    2301.11706); with drift it learns to ask the picture that it is given. `first` and `later` are the largest
    sizes in frame 0 and in the others.
    """
    drift = torch.empty_like(x0)
    for clip, out in zip(x0.transpose(1, 2), drift.transpose(1, 2), strict=True):
        for frames, errors, amount in ((clip[:1], out[:1], first), (clip[1:], out[1:], later)):
            height, width = frames.shape[2:]
            size = 2 ** int(torch.randint(0, 4, ()))
            coarse = torch.randn(len(frames), 4, -(-height // size), -(-width // size))
            rough = F.interpolate(coarse, (height, width), mode="bilinear")
            blur = F.avg_pool2d(frames, 3, 1, 1, count_include_pad=False) - frames
            errors.copy_(amount * torch.rand(()) * (rough / rough.std() + BLUR * blur))
    return drift


def loss_of(
    unet: I2VGenXLUNet,
    batch: Batch,
    states: torch.Tensor,
    embeddings: torch.Tensor,
    t: torch.Tensor,
    noise: torch.Tensor,
    alphas: torch.Tensor,
    first_weight: float = 1.0,
    drift: torch.Tensor | None = None,
) -> torch.Tensor:
    """v-prediction loss (Salimans and Ho 2022), weighted by sqrt(1 - alpha_bar); (B,).

    Args:
        first_weight: how many times frame 0, which is given, counts.
        drift: (B, 4, F, h, w): by how much the frames are beside the truth before noise is added; the target
            stays the truth.
    """
    alpha = alphas[t].view(-1, 1, 1, 1, 1)
    signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
    noisy = signal * batch.x0 + sigma * noise
    if drift is not None:
        near = (sigma / NEAR_SIGMA).clamp(max=1)  # the little noise left at the end cannot mend much
        noisy += signal * near * drift
    target = (signal * noisy - batch.x0) / sigma
    out = unet(noisy, t, batch.fps, batch.image_latents, embeddings, states, return_dict=False)[0]
    weight = torch.ones(out.shape[2])
    weight[0] = first_weight
    errors = ((out - target).pow(2) * sigma).mean(dim=(1, 3, 4))
    return (errors * weight / weight.sum()).sum(1)


@torch.no_grad()
def listening(
    unet: I2VGenXLUNet, conditions: Conditions, batch: Batch, alphas: torch.Tensor
) -> dict[str, float]:
    """Return the loss at t = 900, and by axis how much more it is with the opposite motion's prompt.

    `still`: the loss of predicting frame 0 throughout.
    """
    t = torch.full((len(batch.clips),), 900)
    noise = torch.randn(batch.x0.shape, generator=torch.Generator().manual_seed(1))
    embeddings = conditions.image(batch.pictures)
    unet.eval()
    right, wrong = (
        loss_of(unet, batch, conditions.text(prompts), embeddings, t, noise, alphas)
        for prompts in (
            [clip.prompt for clip in batch.clips],
            [clip.opposite_prompt for clip in batch.clips],
        )
    )
    unet.train()
    scores = {"right": right.mean().item()}
    shares = torch.tensor([clip.take.shares for clip in batch.clips])
    for axis, name in enumerate(AXES):
        chosen = shares[:, axis] != 0
        scores[name] = (wrong[chosen].mean() / right[chosen].mean() - 1).item()
    still = batch.x0[:, :, :1].expand_as(batch.x0)
    scores["still"] = ((still - batch.x0).pow(2).mean() * (1 - alphas[900]) ** 1.5).item()
    return scores
