"""A clip between two pictures by a model that knows only the first one: how near it comes to what is between.

    python -m scripts.train_embedded.photos fetch                   # held-out photographs, once
    python -m benchmarks.last_image --photos 3 --sheet last_image.png

Both pictures are parts of one photograph, as a camera sees it that pans or comes closer, so that every frame
between is known. The demo model makes the clip from the first picture alone, and from both
(`i2v.engines.diffusion.both_ends`); beside them stands a plain cross-fade of the two. Figures are PSNR in dB.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.base import Decoded, Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.pipeline.resolve import resolve
from i2v.weights import EMBEDDED_FOLDER
from scripts.train_embedded.photos import manifest, open_photo

# What is seen first and last, as parts of the photograph's sides: left, top, right, bottom.
MOVES = {
    "the camera pans left": ((0.2, 0.1, 1.0, 0.9), (0.0, 0.1, 0.8, 0.9)),
    "the camera zooms in": ((0.0, 0.0, 1.0, 1.0), (0.15, 0.15, 0.85, 0.85)),
}
WAYS = ("first picture alone", "both pictures", "cross-fade")
LARGEST = 900  # pixels of a photograph's longer side

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Reading:
    """`middle` and `last` are of the frame half way and of the last one, beside the true ones."""

    photo: str
    prompt: str
    way: str
    middle: float
    last: float


def psnr(frame: Frames, truth: Frames) -> float:
    error = float(np.square(frame.astype(np.float64) - truth).mean())
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def true_frames(photo: Image.Image, prompt: str, count: int, size: tuple[int, int]) -> Frames:
    """Return (count, H, W, 3), what the camera sees on its way at an even pace."""
    first, last = (np.array(part) * (*photo.size, *photo.size) for part in MOVES[prompt])
    boxes = [first + (last - first) * number / (count - 1) for number in range(count)]
    seen = [photo.resize(size, Image.Resampling.LANCZOS, box=tuple(box)) for box in boxes]
    return np.stack([np.asarray(frame) for frame in seen])


def clips(engine: I2VGenXLEngine, photo: Image.Image, prompt: str) -> Iterator[tuple[str, Frames, Frames]]:
    """Yield each way with its frames and the true ones."""
    options = {"camera_strength": 1}
    fields = {"prompt": prompt, "engine": EMBEDDED.name, "preset": "quick", "seed": 0, "options": options}
    left, top, right, bottom = MOVES[prompt][0]
    seen = (round((right - left) * photo.width), round((bottom - top) * photo.height))
    generation = resolve(GenerationRequest.parse(fields), EMBEDDED, load_presets(), seen)[0]
    size = (generation.generated_width, generation.generated_height)
    truth = true_frames(photo, prompt, generation.num_frames, size)
    first, last = Image.fromarray(truth[0]), Image.fromarray(truth[-1])
    for way, inputs in zip(WAYS, (Inputs(first), Inputs(first, last_image=last)), strict=False):
        events = engine.generate(generation, inputs)
        yield way, np.concatenate([each.frames for each in events if isinstance(each, Decoded)]), truth
    shares = np.linspace(0, 1, len(truth), dtype=np.float32).reshape(-1, 1, 1, 1)
    yield WAYS[2], np.rint(truth[0] * (1 - shares) + truth[-1] * shares).astype(np.uint8), truth


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--sheet", type=Path, help="write the clips here, the true frames above them")
    options = parser.parse_args()
    spec = replace(EMBEDDED, capabilities=replace(EMBEDDED.capabilities, blends_ends=True))
    engine = I2VGenXLEngine.load(spec, EMBEDDED_FOLDER, MemoryPlan("cpu", "float32"))
    held_out = [photo for photo in manifest("heldout") if ":" not in photo.package]  # of Debian's packages
    readings, rows = list[Reading](), list[Frames]()
    for photo in held_out[:: max(1, len(held_out) // options.photos)][: options.photos]:
        picture = open_photo(photo)
        picture.thumbnail((LARGEST, LARGEST))
        for prompt in MOVES:
            for number, (way, frames, truth) in enumerate(clips(engine, picture, prompt)):
                middle = len(frames) // 2
                figures = psnr(frames[middle], truth[middle]), psnr(frames[-1], truth[-1])
                readings.append(Reading(photo.path, prompt, way, *figures))
                print(readings[-1], flush=True)
                rows += [np.concatenate(each, axis=1) for each in ((frames,) if number else (truth, frames))]
    print("way                   middle dB  last dB   (medians)")
    for way in WAYS:
        of = [reading for reading in readings if reading.way == way]
        print(f"{way:22}{median(r.middle for r in of):8.1f} {median(r.last for r in of):8.1f}")
    if options.sheet:
        wide = max(row.shape[1] for row in rows)
        padded = [np.pad(row, ((0, 3), (0, wide - row.shape[1]), (0, 0))) for row in rows]
        Image.fromarray(np.concatenate(padded)).save(options.sheet)


if __name__ == "__main__":
    main()
