"""Training of the embedded UNet: clips are rendered, projected to latents and noised on the fly, on the CPU.

One run is one stage (`--frames`, `--minutes`, noise range, learning rate); it starts from `unet.pt` of the
checkpoint folder if that exists, saves there every few minutes and at the end, so a stage can be cut off and
gone on with. Stages with fewer than all frames show random frames at their true positions with the temporal
convolutions confined to one frame, so that what they learn is carried by temporal attention and holds for
whole clips.

The one number that tells whether the model listens is `wrong/right`: the loss with the opposite motion's
prompt over the loss with the right one, at high noise.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import random
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, I2VGenXLUNet
from diffusers.models.attention_processor import Attention
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from scripts.train_embedded import text
from scripts.train_embedded.motions import FPS, MOTIONS, NUM_FRAMES, Motion, render, sample_prompt
from scripts.train_embedded.photos import ROOT
from scripts.train_embedded.vae import load_pyramids

# The published scheduler's configuration, key by key.
SCHEDULER = {
    "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "squaredcos_cap_v2",
    "trained_betas": None, "clip_sample": False, "clip_sample_range": 1.0, "set_alpha_to_one": True,
    "steps_offset": 1,
    "prediction_type": "v_prediction",
    "thresholding": False, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0,
    "timestep_spacing": "leading", "rescale_betas_zero_snr": True,
}  # fmt: skip
ADAM_SHARE = 0.15  # AdamW's learning rate over Muon's
VISION_SIDE = 32  # pixels of the picture that the image encoder sees

# (height, width) of views in pixels: about the area of 128 x 128, sides in multiples of 16
VIEWS = ((128, 128), (112, 144), (144, 112), (96, 176), (176, 96))


class TrainingAttention:
    """Plain attention, quick for very short sequences, where fused kernels cost more than they save."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, length, _ = hidden_states.shape
        head = attn.to_q.out_features // attn.heads
        q, k, v = (
            layer(states).view(batch, -1, attn.heads, head).transpose(1, 2)
            for layer, states in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context))
        )
        if k.shape[2] <= 16:
            out = torch.softmax((q @ k.transpose(-1, -2)) * attn.scale, dim=-1) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        return attn.to_out[0](out.transpose(1, 2).reshape(batch, length, -1))


def new_unet() -> I2VGenXLUNet:
    """Four levels: at 4 x 4 positions every one feels the border, so a zoom or a turn knows where it is."""
    return I2VGenXLUNet(
        sample_size=32,
        block_out_channels=(32, 64, 128, 128),
        down_block_types=("DownBlock3D", *["CrossAttnDownBlock3D"] * 3),
        up_block_types=(*["CrossAttnUpBlock3D"] * 3, "UpBlock3D"),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=text.WIDTH,
        attention_head_dim=8,
        num_attention_heads=8,
    )


def new_image_encoder() -> CLIPVisionModelWithProjection:
    """A small vision tower, left at its random initial weights: the UNet learns to read what it gives."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            image_size=VISION_SIDE,
            patch_size=8, projection_dim=text.WIDTH,
        )
    ).requires_grad_(False)  # fmt: skip


def prepare_for_training(unet: I2VGenXLUNet) -> dict[str, bool]:
    """Swap in quick, equal kernels; return the switch that confines temporal convolutions to one frame."""
    confined = {"on": False}
    unet.set_attn_processor(TrainingAttention())
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.Conv3d):
            # (B, C, F, H, W): a kernel of (3, 1, 1) is a Conv2d of (3, 1) over (B, C, F, H*W)
            def forward(x: torch.Tensor, conv: nn.Conv3d = module) -> torch.Tensor:
                batch, _, frames, height, width = x.shape
                weight = conv.weight[:, :, :, :, 0]
                if confined["on"]:
                    out = F.conv2d(x.reshape(batch, -1, frames, height * width), weight[:, :, 1:2], conv.bias)
                else:
                    out = F.conv2d(
                        x.reshape(batch, -1, frames, height * width), weight, conv.bias, padding=(1, 0)
                    )
                return out.view(batch, -1, frames, height, width)

            module.forward = forward
    return confined


def damp(unet: I2VGenXLUNet) -> None:
    """Start from zero output, temporal convolutions that see one frame, and the first frame at full strength.

    With torch's default weights the picture's latents shrink some twentyfold on their way to `conv_in` and
    drown in the noise beside them; here they arrive unchanged, since silu(x) - silu(-x) = x.
    """
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    with torch.no_grad():
        for module in unet.modules():
            if isinstance(module, nn.Conv3d):
                module.weight[:, :, 0].zero_()
                module.weight[:, :, 2].zero_()
        first, _, second, _, third = unet.image_latents_proj_in
        for convolution, rows in ((first, 8), (second, 8), (third, 4)):
            convolution.weight[:rows].zero_()
            convolution.bias[:rows].zero_()
        for c in range(4):
            for sign, offset in ((1.0, 0), (-1.0, 4)):
                first.weight[offset + c, c, 1, 1] = sign
                second.weight[offset + c, c, 1, 1], second.weight[offset + c, 4 + c, 1, 1] = sign, -sign
            third.weight[c, c, 1, 1], third.weight[c, 4 + c, 1, 1] = 1.0, -1.0


def graft(unet: I2VGenXLUNet, state: dict[str, torch.Tensor]) -> int:
    """Take over what fits from a UNet with one level less (below the innermost).

    Return how many tensors did.
    """
    fresh = unet.state_dict()
    for name in fresh:
        older = name
        if name.startswith("up_blocks."):
            _, number, rest = name.split(".", 2)
            older = f"up_blocks.{int(number) - 1}.{rest}"
        if older in state and state[older].shape == fresh[name].shape:
            fresh[name] = state[older]
    unet.load_state_dict(fresh)
    return sum(tensor.data_ptr() in {t.data_ptr() for t in state.values()} for tensor in fresh.values())


@torch.no_grad()
def boost_text(unet: I2VGenXLUNet, factor: float) -> None:
    """Scale what cross-attention adds.

    At its default size the text is lost beside the picture for a long time.
    """
    for name, module in unet.named_modules():
        if isinstance(module, Attention) and name.endswith("attn2") and ".attentions." in name:
            module.to_out[0].weight *= factor


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton-Schulz (Jordan et al. 2024), for weights that act as matrices."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                buffer = state.setdefault("momentum", torch.zeros_like(parameter))
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(buffer, group["momentum"]).flatten(1)
                tall = update.shape[0] > update.shape[1]
                x = update.T if tall else update
                x = (x / (x.norm() + 1e-12)).bfloat16()
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
                x = x.T if tall else x
                scale = max(1.0, x.shape[0] / x.shape[1]) ** 0.5
                parameter.add_(x.float().reshape(parameter.shape), alpha=-group["lr"] * scale)


def optimizers(unet: I2VGenXLUNet, lr: float) -> list[torch.optim.Optimizer]:
    matrices, others = [], []
    for name, parameter in unet.named_parameters():
        inner = name.startswith(("down_blocks", "mid_block", "up_blocks", "transformer_in"))
        (matrices if inner and parameter.ndim >= 2 else others).append(parameter)
    adam = torch.optim.AdamW(others, lr=ADAM_SHARE * lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    return [Muon(matrices, lr=lr), adam]


@dataclass
class Batch:
    """`x0` (B, 4, F, h, w), `image_latents` as the pipeline has them, `pictures` (B, 3, 32, 32)."""

    x0: torch.Tensor
    image_latents: torch.Tensor
    pictures: torch.Tensor
    motions: list[str]


class Conditions:
    """The frozen parts: projection to latents, text states, picture embeddings."""

    def __init__(self, checkpoints: Path) -> None:
        projection = torch.load(checkpoints / "projection.pt", weights_only=True)
        self.weight, self.bias = projection["weight"], projection["bias"]
        self.tokenizer = CLIPTokenizer.from_pretrained(checkpoints / "tokenizer")
        self.text_encoder: CLIPTextModel = text.new_text_encoder(self.tokenizer)
        self.text_encoder.load_state_dict(torch.load(checkpoints / "text.pt", weights_only=True))
        vision_file = checkpoints / "vision.pt"
        self.image_encoder = new_image_encoder()
        if vision_file.exists():
            self.image_encoder.load_state_dict(torch.load(vision_file, weights_only=True))
        else:
            torch.save(self.image_encoder.state_dict(), vision_file)

    def latents(self, frames: torch.Tensor) -> torch.Tensor:
        return F.conv2d(frames, self.weight, self.bias, stride=4)

    @torch.no_grad()
    def text(self, prompts: list[str]) -> torch.Tensor:
        return text.embed(self.tokenizer, self.text_encoder, prompts)[0]

    @torch.no_grad()
    def image(self, pictures: torch.Tensor) -> torch.Tensor:
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
        return self.image_encoder((pictures / 2 + 0.5 - mean) / std).image_embeds[:, None]


def widened(motion: Motion, factor: float) -> Motion:
    """In a view of half the size a zoom or a turn is doubled, so that its border moves by as many pixels."""
    return replace(motion, zoom=motion.zoom * factor, turn=motion.turn * factor) if factor > 1.5 else motion


def make_batch(
    pyramids: list[list[torch.Tensor]],
    conditions: Conditions,
    size: int,
    frames: int,
    view: tuple[int, int],
    rng: random.Random,
    first: int = 1,
    names: tuple[str, ...] = tuple(MOTIONS),
) -> Batch:
    """Render `size` clips of random motions: frame 0 and `frames` - 1 of the frames from `first` on."""
    height, width = view
    x0, image_latents, pictures, motions = [], [], [], []
    for _ in range(size):
        name = rng.choice(names)
        later = sorted(rng.sample(range(first, NUM_FRAMES), frames - 1))
        positions = torch.tensor([0, *later]) / (NUM_FRAMES - 1)
        levels = rng.choice(pyramids)
        roomy = [
            level for level in levels if level.shape[1] >= 1.2 * height and level.shape[2] >= 1.2 * width
        ]
        photo = rng.choice(roomy or levels[:1])
        photo = photo.flip(-1) if rng.random() < 0.5 else photo
        clip = render(photo, widened(MOTIONS[name], 256 / (height + width)), height, width, positions, rng)
        latents = conditions.latents(clip)
        ramp = positions[1:].view(-1, 1, 1, 1).expand(-1, *latents.shape[1:])
        x0.append(latents.transpose(0, 1))
        image_latents.append(torch.cat([latents[:1], ramp]).transpose(0, 1))
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        pictures.append(
            F.interpolate(
                clip[:1, :, top : top + square, left : left + square], (VISION_SIDE, VISION_SIDE), mode="area"
            )[0]
        )
        motions.append(name)
    return Batch(torch.stack(x0), torch.stack(image_latents), torch.stack(pictures), motions)


def loss_of(
    unet: I2VGenXLUNet,
    batch: Batch,
    states: torch.Tensor,
    embeddings: torch.Tensor,
    t: torch.Tensor,
    noise: torch.Tensor,
    alphas: torch.Tensor,
) -> torch.Tensor:
    """v-prediction loss (Salimans and Ho 2022), weighted by sqrt(1 - alpha_bar); (B,)."""
    alpha = alphas[t].view(-1, 1, 1, 1, 1)
    noisy = alpha.sqrt() * batch.x0 + (1 - alpha).sqrt() * noise
    target = alpha.sqrt() * noise - (1 - alpha).sqrt() * batch.x0
    fps = torch.full((len(t),), FPS)
    out = unet(noisy, t, fps, batch.image_latents, embeddings, states, return_dict=False)[0]
    return ((out - target).pow(2) * (1 - alpha).sqrt()).mean(dim=(1, 2, 3, 4))


@torch.no_grad()
def listening(
    unet: I2VGenXLUNet, conditions: Conditions, batch: Batch, alphas: torch.Tensor
) -> dict[str, float]:
    """Loss at t = 900 with the right prompt; for each pair of motions, how much more the opposite's loses."""
    t = torch.full((len(batch.motions),), 900)
    noise = torch.randn(batch.x0.shape, generator=torch.Generator().manual_seed(1))
    embeddings = conditions.image(batch.pictures)
    right = conditions.text([sample_prompt(name, random.Random(i)) for i, name in enumerate(batch.motions)])
    wrong = conditions.text(
        [sample_prompt(MOTIONS[name].opposite, random.Random(i)) for i, name in enumerate(batch.motions)]
    )
    unet.eval()
    a = loss_of(unet, batch, right, embeddings, t, noise, alphas)
    b = loss_of(unet, batch, wrong, embeddings, t, noise, alphas)
    unet.train()
    scores = {"right": a.mean().item()}
    for first in ("pan_left", "tilt_up", "zoom_in", "rotate_cw"):
        chosen = torch.tensor([name in (first, MOTIONS[first].opposite) for name in batch.motions])
        scores[first] = (b[chosen].mean() / a[chosen].mean() - 1).item()
    still = batch.x0[:, :, :1].expand_as(batch.x0)
    scores["still"] = ((still - batch.x0).pow(2).mean() * (1 - alphas[900]) ** 1.5).item()
    return scores


class Politeness:
    """Uses all cores while they are free, and leaves one as soon as others want it.

    Threads that wait for each other at every operation come to a crawl when one of them must share its core.
    """

    def __init__(self) -> None:
        self.most = torch.get_num_threads()
        self.last = self._read()

    def _read(self) -> tuple[float, float, float]:
        fields = [float(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        own = os.times()
        return (
            time.monotonic(),
            sum(fields) - fields[3] - fields[4],
            (own.user + own.system) * os.sysconf("SC_CLK_TCK"),
        )

    def step(self) -> None:
        now = self._read()
        seconds, busy, own = (b - a for a, b in zip(self.last, now, strict=True))
        self.last = now
        others = (busy - own) / (seconds * os.sysconf("SC_CLK_TCK"))
        torch.set_num_threads(max(1, self.most - round(others)))


def train(options: argparse.Namespace) -> None:
    rng = random.Random(options.seed)
    torch.manual_seed(options.seed)
    conditions = Conditions(options.checkpoints)
    unet = new_unet()
    file = options.checkpoints / "unet.pt"
    history: list[dict[str, float]] = []
    if file.exists():
        saved = torch.load(file, weights_only=True)
        unet.load_state_dict(saved["ema" if options.from_ema else "model"])
        history = saved["history"]
    else:
        damp(unet)
        if options.graft:
            print("grafted:", graft(unet, torch.load(options.graft, weights_only=True)["model"]), "tensors")
    boost_text(unet, options.boost)
    confined = prepare_for_training(unet)
    confined["on"] = options.confine or options.frames < NUM_FRAMES
    ema = copy.deepcopy(unet.state_dict())
    alphas = DDIMScheduler(**SCHEDULER).alphas_cumprod
    pyramids = load_pyramids("train")
    square = (options.side, options.side)
    probe = make_batch(
        load_pyramids("heldout"),
        conditions,
        32 if options.frames < NUM_FRAMES else 16,
        options.frames,
        square,
        random.Random(7),
        options.first,
    )
    muon, adam = optimizers(unet, options.lr)
    base = history[-1]["minutes"] if history else 0.0
    start = saved_at = time.monotonic()
    step, running = 0, 0.0
    politeness = Politeness()

    def save() -> None:
        partial = file.with_suffix(".partial")
        torch.save({"model": unet.state_dict(), "ema": ema, "history": history}, partial)
        partial.replace(file)

    asked_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked_to_stop.append(number))
    while (done := (time.monotonic() - start) / (60 * options.minutes)) < 1 and not asked_to_stop:
        warm = min(1.0, (step + 1) / 20)
        scale = warm * (options.lr_end + (1 - options.lr_end) * 0.5 * (1 + math.cos(math.pi * done)))
        muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = (
            options.lr * scale,
            ADAM_SHARE * options.lr * scale,
        )
        view = square if rng.random() >= options.aspects else rng.choice(VIEWS[1:])
        pairs = rng.random() < options.pairs
        frames, first, t_min = (2, 3, 750) if pairs else (options.frames, options.first, options.t_min)
        size = 4 * options.batch if pairs else options.batch
        confined["on"] = options.confine or frames < NUM_FRAMES
        batch = make_batch(pyramids, conditions, size, frames, view, rng, first, options.motions)
        t = (t_min + (999 - t_min) * (1 - torch.rand(size) ** options.t_power)).long()
        prompts = [
            text.no_motion_prompt(rng) if rng.random() < options.dropout else sample_prompt(name, rng)
            for name in batch.motions
        ]
        shown = (torch.rand(size) >= options.dropout).view(-1, 1, 1)
        embeddings = conditions.image(batch.pictures) * shown
        loss = loss_of(
            unet, batch, conditions.text(prompts), embeddings, t, torch.randn_like(batch.x0), alphas
        ).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # a thousand tiny products: waking a second thread costs more than it does
        for optimizer in (muon, adam):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        torch.set_num_threads(threads)
        step += 1
        politeness.step()
        decay = min(options.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for key, value in unet.state_dict().items():
                ema[key].lerp_(value, 1 - decay)
        running = loss.item() if step == 1 else 0.97 * running + 0.03 * loss.item()
        if step % options.every == 0:
            row = {
                "minutes": base + (time.monotonic() - start) / 60,
                "frames": options.frames,
                "step": step,
                "loss": running,
            }
            confined["on"] = options.confine or options.frames < NUM_FRAMES
            row |= listening(unet, conditions, probe, alphas)
            history.append(row)
            print(json.dumps({key: round(value, 4) for key, value in row.items()}), flush=True)
        if time.monotonic() - saved_at > 120:
            saved_at = time.monotonic()
            save()
    history.append(
        {"minutes": base + options.minutes, "frames": options.frames, "step": step, "loss": running}
    )
    save()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--frames", type=int, default=8, help="frames of a clip, frame 0 included")
    parser.add_argument("--first", type=int, default=1, help="first frame that may be shown after frame 0")
    parser.add_argument(
        "--motions",
        type=lambda text: tuple(text.split(",")),
        default=tuple(MOTIONS),
        help="comma-separated; to begin with two",
    )
    parser.add_argument(
        "--boost", type=float, default=1.0, help="scale cross-attention's output once, at the start"
    )
    parser.add_argument("--batch", type=int, default=4, help="clips in a step")
    parser.add_argument(
        "--side", type=int, default=128, help="pixels of the square view; 64 shows a part, four times as fast"
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--lr", type=float, default=0.01, help="of Muon; AdamW takes a tenth")
    parser.add_argument(
        "--lr-end", type=float, default=0.1, help="share of the learning rate at the end of the stage"
    )
    parser.add_argument("--t-min", type=int, default=0)
    parser.add_argument("--t-power", type=float, default=2.0, help="above 1 draws high noise more often")
    parser.add_argument(
        "--dropout", type=float, default=0.1, help="share of prompts (and, apart, of pictures) left out"
    )
    parser.add_argument("--aspects", type=float, default=0.0, help="share of batches that are not square")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--from-ema", action="store_true", help="start from the averaged weights")
    parser.add_argument(
        "--pairs", type=float, default=0.0, help="share of steps with pairs at high noise instead"
    )
    parser.add_argument(
        "--confine", action="store_true", help="keep temporal convolutions to one frame throughout"
    )
    parser.add_argument("--graft", type=Path, help="a checkpoint with one level less to start from")
    parser.add_argument("--every", type=int, default=50, help="steps between probes")
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
