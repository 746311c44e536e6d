"""The embedded VAE: it starts as a linear projection of 4x4 patches, set by hand, and is trained from there.

An `AutoencoderKL` is made linear for the start: residual branches are zero, the two stride-2 convolutions
pack 2x2 blocks into channels, the last group norm is held still by large constant channels, and SiLU cancels
since silu(x) - silu(-x) = x. The projection is the whitened PCA of patches of the training photographs, so
latents look like a small picture that moves as the picture does, which is what makes diffusion over them
learnable in CPU hours. Training keeps them near what they were (`TETHER`), so that a UNet need not learn them
anew.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from scripts.train_embedded import photos
from scripts.train_embedded.motions import pyramid

PATCH = 4
# Standard deviations of the four latent channels. The first is brightness; the last is a gradient that looks
# like noise from frame to frame and would dominate the diffusion loss at 1.
CHANNEL_STD = (1.0, 0.7, 0.7, 0.5)
SIDE = 64  # of a training crop, in pixels
BATCH = 8
LEVEL_RATE = 0.7  # of the exponential distribution over a photograph's sizes, the smallest first
NOISE = 0.03
TETHER = 0.05
EMA = 0.998
EVERY = 250  # steps between two measurements
_STILL = 30.0  # the constant that holds the last group norm still; whitened channels are about 1


def load_pyramids(split: str) -> list[list[torch.Tensor]]:
    return [pyramid(photos.open_photo(photo)) for photo in photos.manifest(split)]


def crop(levels: list[torch.Tensor], side: int, rng: random.Random) -> torch.Tensor:
    """Return a random (3, side, side) float crop in [-1, 1], mirrored half of the time."""
    level = rng.choice(levels)
    top, left = rng.randint(0, level.shape[1] - side), rng.randint(0, level.shape[2] - side)
    pixels = level[:, top : top + side, left : left + side].float() / 127.5 - 1
    return pixels.flip(-1) if rng.random() < 0.5 else pixels


def patch_projection(
    pyramids: list[list[torch.Tensor]], rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (weight (4, 3, 4, 4), bias (4,)) of the convolution that is the scaled, whitened PCA."""
    crops = torch.stack([crop(levels, 64, rng) for levels in pyramids for _ in range(12)])
    patches = F.unfold(crops, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3 * PATCH * PATCH).double()
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    top = vectors[:, -4:].flip(1).T
    top = top * top.sum(1, keepdim=True).sign()  # so that the first channel grows with brightness
    scale = torch.tensor(CHANNEL_STD, dtype=torch.float64) / values[-4:].flip(0).sqrt()
    weight = top * scale[:, None]
    return weight.view(4, 3, PATCH, PATCH).float(), -(weight @ mean).float()


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,
        sample_size=128,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


@torch.no_grad()
def set_encoder(vae: AutoencoderKL, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Make `vae.encode(x).latent_dist.mode()` equal `conv2d(x, weight, bias, stride=4)`."""
    encoder = vae.encoder
    for parameter in encoder.parameters():
        parameter.zero_()
    for channel in range(3):
        encoder.conv_in.weight[channel, channel, 1, 1] = 1
    first, second, last = encoder.down_blocks

    def pack(convolution: nn.Conv2d, channels: int) -> None:
        # diffusers pads right and bottom by one, so taps (0..1, 0..1) see one 2x2 block
        for channel in range(channels):
            for row in range(2):
                for column in range(2):
                    convolution.weight[(2 * row + column) * channels + channel, channel, row, column] = 1

    pack(first.downsamplers[0].conv, 3)
    for channel in range(12):
        second.resnets[0].conv_shortcut.weight[channel, channel, 0, 0] = 1
    pack(second.downsamplers[0].conv, 12)
    # channel of the 48 that holds pixel (y, x) of a patch: the coarse bit was packed last
    shortcut = last.resnets[0].conv_shortcut
    for y in range(PATCH):
        for x in range(PATCH):
            coarse, fine = 2 * (y // 2) + x // 2, 2 * (y % 2) + x % 2
            for channel in range(3):
                source = coarse * 12 + fine * 3 + channel
                shortcut.weight[0:4, source, 0, 0] = weight[:, channel, y, x]
                shortcut.weight[4:8, source, 0, 0] = -weight[:, channel, y, x]
    shortcut.bias[0:4], shortcut.bias[4:8] = bias, -bias
    shortcut.bias[8:36], shortcut.bias[36:64] = _STILL, -_STILL
    encoder.conv_norm_out.weight[:8] = _STILL * math.sqrt(56 / 64)
    for channel in range(4):
        encoder.conv_out.weight[channel, channel, 1, 1] = 1
        encoder.conv_out.weight[channel, 4 + channel, 1, 1] = -1
    vae.quant_conv.weight.zero_()
    for channel in range(4):
        vae.quant_conv.weight[channel, channel, 0, 0] = 1
    vae.quant_conv.bias[:4], vae.quant_conv.bias[4:] = 0, -20  # log variance: the posterior is its mode


@torch.no_grad()
def set_decoder(vae: AutoencoderKL, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Let the decoder start as a smooth upsampler of each patch's mean colour; its residual branches add
    nothing yet.

    From random weights it stays near 20 dB in the time that it has.
    """
    inverse = (
        torch.linalg.pinv(weight.flatten(1)).view(3, PATCH * PATCH, 4).mean(1)
    )  # mean colour of a latent
    offset = -inverse @ bias
    decoder = vae.decoder
    for name, module in decoder.named_modules():
        if name.endswith("conv2"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    for convolution in (vae.post_quant_conv, decoder.conv_in):
        convolution.weight.mul_(0.1)
        nn.init.zeros_(convolution.bias)
    vae.post_quant_conv.weight.copy_(torch.eye(4)[:, :, None, None])
    decoder.conv_in.weight[:6].zero_()
    for sign, rows in ((1, slice(0, 3)), (-1, slice(3, 6))):
        decoder.conv_in.weight[rows, :, 1, 1] = sign * inverse
        decoder.conv_in.bias[rows] = sign * offset
    tent = torch.tensor([0.25, 0.5, 0.25])
    passing = [block.upsamplers[0].conv for block in decoder.up_blocks if block.upsamplers]
    passing += [
        resnet.conv_shortcut
        for block in decoder.up_blocks
        for resnet in block.resnets
        if resnet.conv_shortcut
    ]
    for convolution in passing:
        convolution.weight[:6].zero_()
        nn.init.zeros_(convolution.bias)
        for channel in range(6):
            convolution.weight[channel, channel] = (
                torch.outer(tent, tent) if convolution.kernel_size == (3, 3) else 1
            )
    # constants that hold the last group norm still, so that its output is the colour again
    last = decoder.up_blocks[-1].resnets[0].conv_shortcut
    last.bias[6:15], last.bias[15:24] = 3, -3
    last.weight[6:].zero_()
    decoder.conv_norm_out.weight.fill_(3 * math.sqrt(18 / 24))
    decoder.conv_out.weight.zero_()
    nn.init.zeros_(decoder.conv_out.bias)
    for channel in range(3):
        decoder.conv_out.weight[channel, channel, 1, 1] = 1
        decoder.conv_out.weight[channel, 3 + channel, 1, 1] = -1


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1]."""
    return -10 * math.log10(((a - b).pow(2).mean().item() / 4) + 1e-12)


@torch.no_grad()
def evaluate(vae: AutoencoderKL, pictures: list[torch.Tensor]) -> list[float]:
    return [
        psnr(vae.decode(vae.encode(x[None]).latent_dist.mode()).sample.clamp(-1, 1), x[None])
        for x in pictures
    ]


def held_out_pictures() -> list[torch.Tensor]:
    """The held-out photographs, centre-cropped to (3, 128, 128) in [-1, 1]."""
    pictures = []
    for photo in photos.manifest("heldout"):
        levels = pyramid(photos.open_photo(photo), smallest=128, largest=180)
        level = levels[0]
        top, left = (level.shape[1] - 128) // 2, (level.shape[2] - 128) // 2
        pictures.append(level[:, top : top + 128, left : left + 128].float() / 127.5 - 1)
    return pictures


def small_crop(levels: list[torch.Tensor], rng: random.Random) -> torch.Tensor:
    """Return a random crop, mostly of a small level: the whole photograph is what the model gets to see."""
    level = levels[-1 - min(len(levels) - 1, int(rng.expovariate(LEVEL_RATE)))]
    return crop([level], SIDE, rng)


def train(vae: AutoencoderKL, options: argparse.Namespace, checkpoint: Path) -> None:
    """Train on random crops: L1 + 2 MSE + 0.5 of the L1 between gradients, and the latents' tether."""
    rng = random.Random(options.seed)
    pyramids, held_out = load_pyramids("train"), held_out_pictures()
    before = copy.deepcopy(vae).requires_grad_(False)
    average = copy.deepcopy(vae.state_dict())
    optimizer = torch.optim.Adam(vae.parameters(), lr=options.lr, betas=(0.9, 0.99), fused=True)
    start, step = time.monotonic(), 0
    while (done := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        rate = options.lr * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 50)
        x = torch.stack([small_crop(rng.choice(pyramids), rng) for _ in range(BATCH)])
        loss = loss_of(vae, before, x)
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        decay = min(EMA, (step + 1) / (step + 10))
        for name, value in vae.state_dict().items():
            average[name].lerp_(value.detach(), 1 - decay)
        if step % EVERY == 0:
            print(f"{done:5.1%} step {step} loss {loss.item():.4f} {scored(average, held_out)}", flush=True)
            torch.save(average, checkpoint)
    torch.save(average, checkpoint)
    print(scored(average, held_out))


def loss_of(vae: AutoencoderKL, before: AutoencoderKL, x: torch.Tensor) -> torch.Tensor:
    latents = vae.encode(x).latent_dist.mode()
    with torch.no_grad():
        tied = before.encode(x).latent_dist.mode()
    # a little noise, since what the UNet makes is never exact
    y = vae.decode(latents + NOISE * torch.randn_like(latents)).sample
    gradients = sum((y.diff(dim=d) - x.diff(dim=d)).abs().mean() for d in (2, 3))
    difference = y - x
    loss: torch.Tensor = difference.abs().mean() + 2 * difference.pow(2).mean() + 0.5 * gradients
    return loss + TETHER * (latents - tied).pow(2).mean()


def scored(state: dict[str, torch.Tensor], pictures: list[torch.Tensor]) -> str:
    """Return how near the VAE with these weights comes to `pictures`, as a line."""
    vae = new_vae()
    vae.load_state_dict(state)
    scores = evaluate(vae, pictures)
    mean = sum(scores) / len(scores)
    return f"held-out PSNR: mean {mean:.2f} dB, {min(scores):.1f} to {max(scores):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=photos.ROOT / "checkpoints")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init-only", action="store_true", help="set the encoder by hand and stop")
    options = parser.parse_args()
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoint = options.checkpoints / "vae.pt"
    torch.manual_seed(options.seed)
    vae = new_vae()
    if checkpoint.exists():
        vae.load_state_dict(torch.load(checkpoint, weights_only=True))
    else:
        weight, bias = patch_projection(load_pyramids("train"), random.Random(options.seed))
        set_encoder(vae, weight, bias)
        set_decoder(vae, weight, bias)
        torch.save(vae.state_dict(), checkpoint)
        x = held_out_pictures()[0][None]
        error = (vae.encode(x).latent_dist.mode() - F.conv2d(x, weight, bias, stride=PATCH)).abs().max()
        print(f"encoder against the projection: largest difference {error.item():.2e}")
    if not options.init_only:
        train(vae, options, checkpoint)


if __name__ == "__main__":
    main()
