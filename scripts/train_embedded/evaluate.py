"""How well the embedded model obeys, measured on held-out photographs through the engine that ships.

Every (photograph, motion) pair is generated; the motion that the clip really shows is measured by
registration (a pan, a zoom and a turn fitted between frame 0 and each later frame) and compared with what was
asked. A static clip and a wrong axis score zero. `--sheets` writes contact sheets to look at.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from i2v.engines.base import Decoded
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.specs import EMBEDDED
from i2v.schema import Generation, MemoryPlan
from scripts.train_embedded import photos
from scripts.train_embedded.motions import (
    FPS,
    HELD_OUT_PHRASES,
    MOTIONS,
    NUM_FRAMES,
    PAN,
    ROTATION,
    ZOOM,
    Motion,
    pyramid,
    render,
    sample_prompt,
)
from scripts.train_embedded.photos import ROOT

CAPTION = 16  # pixels above each row of a contact sheet

# What each of (pan x, pan y, zoom, turn) amounts to in one full motion.
UNIT = np.array([PAN, PAN, ZOOM, ROTATION])


def asked_of(motion: Motion) -> np.ndarray:
    """The motion in units of one full motion each: (pan x, pan y, zoom, turn)."""
    return np.array([*motion.pan, motion.zoom, motion.turn]) / UNIT


def warp(picture: torch.Tensor, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Show `picture` (1, 1, H, W) after the motion `p` (pan x, pan y, log zoom, turn).

    Also where it is defined.
    """
    _, _, height, width = picture.shape
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
    )
    x0, y0 = x.double() - p[0], y.double() - p[1]
    cos, sin, shrink = torch.cos(p[3]), torch.sin(p[3]), torch.exp(-p[2])
    grid = torch.stack(
        (shrink * (cos * x0 + sin * y0) * 2 / width, shrink * (-sin * x0 + cos * y0) * 2 / height), dim=-1
    )
    edge = torch.tensor(
        [1 - 1 / width, 1 - 1 / height]
    )  # beyond the outermost pixels' centres, nothing is known
    inside = (grid.abs() <= edge).all(-1).double()
    shown = F.grid_sample(picture, grid[None], mode="bilinear", padding_mode="border", align_corners=False)
    return shown, inside[None, None]


def register(first: torch.Tensor, later: torch.Tensor, start: torch.Tensor, rounds: int = 12) -> torch.Tensor:
    """Gauss-Newton fit of the motion (4,) that takes `first` (1, 1, H, W) to `later`, coarse to fine."""
    p = start.clone().double()
    for factor in (8, 4, 2, 1):
        a, b = (
            F.avg_pool2d(frame, factor).double() if factor > 1 else frame.double() for frame in (first, later)
        )
        scale = torch.tensor([1 / factor, 1 / factor, 1.0, 1.0], dtype=torch.float64)
        steps = torch.tensor([0.25, 0.25, 0.005, 0.005], dtype=torch.float64)
        for _ in range(rounds):
            q = p * scale
            here, inside = warp(a, q)
            columns = []
            for axis in range(4):
                delta = torch.zeros(4, dtype=torch.float64)
                delta[axis] = steps[axis]
                columns.append(
                    ((warp(a, q + delta)[0] - warp(a, q - delta)[0]) / (2 * steps[axis])).flatten()
                )
            residual, weight = (b - here).flatten(), inside.flatten()
            weight = weight / (1 + (residual / 0.3) ** 2)  # Cauchy: content that came in must not pull
            jacobian = torch.stack(columns, dim=1)
            normal = jacobian.T @ (weight[:, None] * jacobian) + 1e-3 * torch.eye(4, dtype=torch.float64)
            change = torch.linalg.solve(normal, jacobian.T @ (weight * residual))
            p = p + change / scale
            if change.abs().max() < 1e-3:
                break
    return p


def measure(frames: np.ndarray) -> np.ndarray:
    """Return the (4,) motion from the first to the last of (F, H, W, 3) uint8 frames, in full motions."""
    grey = torch.from_numpy(frames).float().mean(-1)[:, None, None] / 255
    p = torch.zeros(4, dtype=torch.float64)
    for k, frame in enumerate(grey[1:], start=1):
        p = register(grey[0], frame, p * k / max(1, k - 1))
    return p.numpy() / UNIT


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(((a.astype(float) - b.astype(float)) ** 2).mean() / 255**2 + 1e-12))


@dataclass(frozen=True)
class Row:
    """One clip. `amount`: the share of the asked motion along its axis; `stray`.

    The largest share along another.
    """

    photo: str
    motion: str
    prompt: str
    amount: float
    stray: float
    later: float
    later_static: float
    first: float
    reconstruction: float

    @property
    def right(self) -> bool:
        return self.amount >= 0.5 and self.amount > self.stray

    @property
    def gain(self) -> float:
        """How much nearer than a static clip the frames after the first are to the true warp, in dB."""
        return self.later - self.later_static


def clip_of(
    engine: I2VGenXLEngine, picture: np.ndarray, prompt: str, options: argparse.Namespace
) -> np.ndarray:
    height, width, _ = picture.shape
    generation = Generation(
        prompt=prompt, negative_prompt="", width=width, height=height,
        generated_width=width, generated_height=height,
        fit="keep", num_frames=NUM_FRAMES, fps=FPS, target_fps=FPS, num_inference_steps=options.steps,
        guidance_scale=options.guidance_scale, seed=options.seed, engine="embedded",
    )  # fmt: skip
    events = engine.generate(generation, Image.fromarray(picture))
    return np.concatenate([event.frames for event in events if isinstance(event, Decoded)])


def to_frames(clip: torch.Tensor) -> np.ndarray:
    """(F, 3, H, W) in [-1, 1] -> (F, H, W, 3) uint8."""
    return ((clip / 2 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


@torch.inference_mode()
def reconstruct(engine: I2VGenXLEngine, picture: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    vae = engine.components.vae
    return to_frames(vae.decode(vae.encode(pixels).latent_dist.mode()).sample)[0]


def evaluate(options: argparse.Namespace) -> tuple[list[Row], list[np.ndarray]]:
    torch.set_num_threads(options.threads)
    engine = I2VGenXLEngine.load(EMBEDDED, options.folder, MemoryPlan("cpu", "float32", decode_chunk=8))
    rng = random.Random(options.seed)
    positions = torch.arange(NUM_FRAMES) / (NUM_FRAMES - 1)
    chosen = photos.manifest("heldout")
    rng.shuffle(chosen)
    rows, strips = [], []
    for photo in chosen[: options.photos]:
        level = pyramid(photos.open_photo(photo), smallest=160, largest=200)[0]
        for name, motion in MOTIONS.items():
            truth = to_frames(render(level, motion, 128, 128, positions, random.Random(0)))
            prompt = rng.choice(HELD_OUT_PHRASES[name]) if options.unseen else sample_prompt(name, rng)
            frames = clip_of(engine, truth[0], prompt, options)
            shares, asked = measure(frames), asked_of(motion)
            rows.append(
                Row(
                    photo=photo.path.rsplit("/", 1)[-1],
                    motion=name,
                    prompt=prompt,
                    amount=float(shares @ asked),
                    stray=float(np.abs(shares * (asked == 0)).max()),
                    later=psnr(frames[1:], truth[1:]),
                    later_static=psnr(np.repeat(truth[:1], NUM_FRAMES - 1, axis=0), truth[1:]),
                    first=psnr(frames[0], truth[0]),
                    reconstruction=psnr(reconstruct(engine, truth[0]), truth[0]),
                )
            )
            strips.append(frames)
            print(json.dumps(rows[-1].__dict__, ensure_ascii=False), flush=True)
    return rows, strips


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927), which holds near 0 and 1 too."""
    share, weight = right / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * (share * (1 - share) / count + weight / (4 * count)) ** 0.5
    return middle - half, middle + half


def summary(rows: list[Row]) -> dict[str, object]:
    right = sum(row.right for row in rows)
    low, high = wilson(right, len(rows))
    return {
        "clips": len(rows),
        "right": f"{right} of {len(rows)} ({right / len(rows):.0%}; 95 % interval {low:.0%} to {high:.0%})",
        "right_sign": sum(row.amount > 0 for row in rows),
        "by_motion": {
            name: round(np.mean([r.right for r in rows if r.motion == name]).item(), 2) for name in MOTIONS
        },
        "median_amount": round(float(np.median([row.amount for row in rows])), 2),
        "psnr_later_frames": round(float(np.mean([row.later for row in rows])), 2),
        "psnr_later_frames_static": round(float(np.mean([row.later_static for row in rows])), 2),
        "psnr_first_frame": round(float(np.mean([row.first for row in rows])), 2),
        "psnr_vae_reconstruction": round(float(np.mean([row.reconstruction for row in rows])), 2),
    }


def contact_sheet(clips: list[tuple[Row, np.ndarray]], path: Path) -> None:
    """Write one captioned row of all frames a clip."""
    parts = []
    for row, frames in clips:
        caption = Image.new("RGB", (frames.shape[2] * len(frames), CAPTION), "white")
        text = f"{row.photo}: {row.motion}, {row.amount:.2f} of it, {row.gain:+.1f} dB over a static clip"
        ImageDraw.Draw(caption).text((4, 2), text, fill="black")
        parts += [np.asarray(caption), np.concatenate(list(frames), axis=1)]
    Image.fromarray(np.concatenate(parts, axis=0)).save(path)


def write_sheets(clips: list[tuple[Row, np.ndarray]], folder: Path, count: int = 4) -> None:
    """Write median.png and worst.png, by how much nearer to the true warp a clip is than a static one."""
    ordered = sorted(clips, key=lambda clip: clip[0].gain)
    middle = max(0, (len(ordered) - count) // 2)
    folder.mkdir(parents=True, exist_ok=True)
    contact_sheet(ordered[middle : middle + count], folder / "median.png")
    contact_sheet(ordered[:count], folder / "worst.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "i2v" / "embedded")
    parser.add_argument(
        "--photos", type=int, default=27, help="held-out photographs; each gets all eight motions"
    )
    parser.add_argument("--steps", type=int, default=EMBEDDED.presets["standard"].num_inference_steps)
    parser.add_argument("--guidance-scale", type=float, default=EMBEDDED.presets["standard"].guidance_scale)
    parser.add_argument("--unseen", action="store_true", help="phrasings that were held out of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of median and worst clips")
    options = parser.parse_args()
    rows, strips = evaluate(options)
    print(json.dumps(summary(rows), indent=1, ensure_ascii=False))
    if options.sheets:
        write_sheets(list(zip(rows, strips, strict=True)), options.sheets)


if __name__ == "__main__":
    main()
