"""Training of the VAE's decoder alone, on latents as the UNet leaves them.

The encoder and the UNet stay as they are. Half of the latents carry noise, as what a UNet makes is never
exact; the others are what the UNet predicts of clips with noise up to t = 200 to 500, so that the decoder
learns to mend its errors. The UNet need not learn anything anew.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import torch
from diffusers import DDIMScheduler, I2VGenXLUNet
from torch import nn

from scripts.train_embedded import checkpoints, pack, vae
from scripts.train_embedded.motions import EASY
from scripts.train_embedded.network import SCHEDULER, prepare_for_training
from scripts.train_embedded.photos import ROOT
from scripts.train_embedded.plans import Course, plans
from scripts.train_embedded.rendering import Batch, Conditions, Photos

NOISE = (0.02, 0.12)  # standard deviation of what is added to latents
TIMES = (200, 500)
SHOWN = 3  # frames of a clip that are decoded in a step


def errors_of(unet: I2VGenXLUNet, batch: Batch, alphas: torch.Tensor) -> torch.Tensor:
    """Return (B, 4, F, h, w) latents as the UNet predicts them in one step from some noise."""
    device = batch.x0.device
    t = torch.randint(*TIMES, (len(batch.x0),), device=device)
    share = alphas[t].view(-1, 1, 1, 1, 1)
    noisy = share.sqrt() * batch.x0 + (1 - share).sqrt() * torch.randn_like(batch.x0)
    with torch.no_grad():
        velocity = unet(
            noisy, t, batch.fps, batch.image_latents, batch.embeddings, batch.states, return_dict=False
        )[0]
    predicted: torch.Tensor = share.sqrt() * noisy - (1 - share).sqrt() * velocity
    return predicted


def shaken(latents: torch.Tensor) -> torch.Tensor:
    """Return (N, 4, h, w) latents with noise, of another size for each."""
    low, high = NOISE
    size = low + (high - low) * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    return latents + size * torch.randn_like(latents)


def loss_of(made: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """L1 + 2 MSE + 0.5 of the L1 between gradients, as in `vae`."""
    difference = made - true
    gradients = sum(difference.diff(dim=dim).abs().mean() for dim in (2, 3))
    loss: torch.Tensor = difference.abs().mean() + 2 * difference.pow(2).mean() + 0.5 * gradients
    return loss


class Decoding:
    """What a step of the decoder's training is made of."""

    def __init__(self, folder: Path, photos: Photos, unet: I2VGenXLUNet, rate: float) -> None:
        self.conditions, self.photos = Conditions(folder), photos
        self.conditions.to(photos.device)
        self.unet = unet.to(photos.device).eval().requires_grad_(False)
        prepare_for_training(self.unet)
        self.alphas = DDIMScheduler(**SCHEDULER).alphas_cumprod.to(photos.device)
        autoencoder = self.conditions.vae
        self.trained = [*autoencoder.decoder.parameters(), *autoencoder.post_quant_conv.parameters()]
        for parameter in self.trained:
            parameter.requires_grad_(True)
        self.rate = rate
        self.optimizer = torch.optim.Adam(self.trained, lr=rate, betas=(0.9, 0.99), fused=True)

    def step(self, batch: Batch, frames: torch.Tensor, share: float, rng: random.Random) -> torch.Tensor:
        """Learn from (B, F, 3, H, W) frames at the learning rate of `share`; return the loss, ()."""
        self.optimizer.param_groups[0]["lr"] = self.rate * (
            0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))
        )
        predicted = errors_of(self.unet, batch, self.alphas).transpose(1, 2)
        chosen = rng.sample(range(frames.shape[1]), min(SHOWN, frames.shape[1]))
        half = len(frames) // 2
        latents = torch.cat(
            [
                predicted[half:, chosen].flatten(0, 1),
                shaken(batch.x0.transpose(1, 2)[:half, chosen].flatten(0, 1)),
            ]
        )
        true = torch.cat([frames[half:, chosen].flatten(0, 1), frames[:half, chosen].flatten(0, 1)])
        loss = loss_of(self.conditions.vae.decode(latents).sample, true)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return loss.detach()

    def held_out(self, pictures: list[torch.Tensor]) -> float:
        """Return the mean PSNR in dB of clean reconstructions."""
        device = self.photos.device
        scores = vae.evaluate(self.conditions.vae, [picture.to(device) for picture in pictures])
        return sum(scores) / len(scores)


def train(decoding: Decoding, options: argparse.Namespace, held_out: list[torch.Tensor]) -> None:
    rng, begun, step = random.Random(options.seed), time.monotonic(), 0
    course = Course(EASY, (8,), tuple(options.side), options.batch)
    drawn = plans(decoding.photos.sizes, decoding.conditions.tokenizer, course, options.seed)
    print(f"held-out PSNR {decoding.held_out(held_out):.2f} dB", flush=True)
    while (share := (time.monotonic() - begun) / (60 * options.minutes)) < 1:
        plan = next(drawn)
        frames = decoding.photos.render(plan)
        loss = decoding.step(decoding.conditions.batch(plan, frames), frames, share, rng)
        step += 1
        if step % options.every == 0:
            print(f"{share:.0%} step {step} loss {loss.item():.4f}", flush=True)
    print(f"{step} steps, held-out PSNR {decoding.held_out(held_out):.2f} dB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--photos", type=Path, required=True, help="what `pack` wrote")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--side", type=int, nargs="+", default=[96, 128], help="pixels of the square view")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photos = Photos(pack.load(options.photos, "train"), device)
    unet = checkpoints.read(options.checkpoints / "unet.pt").unet(averaged=True)
    decoding = Decoding(options.checkpoints, photos, unet, options.lr)
    held_out = [
        vae.crop([levels[-1]], 160, random.Random(0)) for levels in pack.load(options.photos, "heldout")
    ]
    train(decoding, options, held_out)
    torch.save(decoding.conditions.vae.state_dict(), options.checkpoints / "vae.pt")


if __name__ == "__main__":
    main()
