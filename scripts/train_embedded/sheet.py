"""The README's pictures: frames of clips that the embedded model makes from the example photographs, and one
of them enlarged in every way that is installed."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from i2v.core.memory_plan import MemoryPlan
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_picture, resize_frames
from i2v.media.upscale import NETWORKS, Upscaler
from scripts.train_embedded.evaluate import generate
from scripts.train_embedded.photos import ROOT

CLIPS = (
    ("coffee.jpg", "the camera pans left"),
    ("cat.jpg", "the camera zooms in"),
    ("rocket.jpg", "the camera tilts up"),
    ("coffee.jpg", "rotate clockwise"),
    ("cat.jpg", "the camera pans right"),
    ("rocket.jpg", "the camera zooms out"),
)
CAPTION = 16  # pixels above each row
ENLARGED = 4  # frames of the first clip further than its first one
LARGE, SHOWN = 512, 400  # pixels of a side: as enlarged, and in the README


def enlarged(frame: np.ndarray) -> Image.Image:
    """Return (H, W, 3) enlarged by plain resampling and by each network, side by side."""
    ways = [frame[None], *(Upscaler(name).enlarge(frame[None]) for name in NETWORKS)]
    large = np.concatenate([resize_frames(way, LARGE, LARGE)[0] for way in ways], axis=1)
    return Image.fromarray(large).resize((SHOWN * len(ways), SHOWN), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "i2v" / "embedded")
    parser.add_argument("--output", type=Path, default=ROOT / "examples" / "clips.png")
    parser.add_argument("--enlarged", type=Path, help="write the enlarged frame there too")
    preset = EMBEDDED.presets["standard"]
    parser.add_argument("--steps", type=int, default=preset.num_inference_steps)
    parser.add_argument("--speed", choices=("exact", "fast"), default="fast")
    parser.add_argument("--guidance-scale", type=float, default=preset.guidance_scale)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(2)
    side = preset.area_side
    engine = I2VGenXLEngine.load(EMBEDDED, options.folder, MemoryPlan("cpu", "float32", decode_chunk=8))
    rows = []
    for name, prompt in CLIPS:
        with Image.open(ROOT / "examples" / name) as file:
            picture = np.array(fit_picture(file.convert("RGB"), side, side, "crop").image)
        frames = generate(engine, picture, prompt, options, seed=options.seed)
        if options.enlarged and not rows:
            enlarged(frames[ENLARGED]).save(options.enlarged)
        caption = Image.new("RGB", (side * len(frames), CAPTION), "white")
        ImageDraw.Draw(caption).text((4, 2), f"{name}: {prompt}", fill="black")
        rows += [np.asarray(caption), np.concatenate(list(frames), axis=1)]
    Image.fromarray(np.concatenate(rows, axis=0)).save(options.output)


if __name__ == "__main__":
    main()
