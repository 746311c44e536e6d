"""How near clips come to the path that was asked for, and how sharp they stay, with and without following it.

    python -m scripts.train_embedded.photos fetch                   # held-out photographs, once
    python -m benchmarks.camera_path --photos 12 --json camera_path.json

The demo model makes each clip from the same photograph, prompt and seed: alone (strength 1), and from frames
rendered along the path, noised to each strength. Motion is found by registration
(`scripts/train_embedded/registration`), of the clip and of the rendered frames alike.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.base import Decoded, Inputs
from i2v.engines.diffusion.camera_path import camera_frames
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.options import options_of
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_picture
from i2v.pipeline.resolve import resolve
from i2v.weights import EMBEDDED_FOLDER
from scripts.train_embedded.photos import manifest, open_photo
from scripts.train_embedded.registration import flicker, sharpness, track, warp

MOVES: dict[str, dict[str, float]] = {
    "the camera pans right": {"pan": 0.15},
    "the camera tilts up": {"tilt": 0.15},
    "the camera zooms in": {"zoom": 1.16},
    "the picture rotates clockwise": {"roll": 6.0},
}
STRENGTHS = (1.0, 0.5, 0.3, 0.2, 0.1)
LARGE = 4  # times the generated size: as the pipeline gives it

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Reading:
    """One clip beside the frames that were rendered along its path.

    Attributes:
        path_pixels: how far the content of its later frames is from where it should be, the mean, in pixels.
        path_psnr: dB to the rendered frames, the mean of the later frames.
        sharpness: what is left of the first frame's detail in the last one (`registration.sharpness`).
        flicker: RMS grey levels, as a multiple of the rendered frames' own.
    """

    photo: str
    prompt: str
    strength: float
    path_pixels: float
    path_psnr: float
    sharpness: float
    flicker: float


def read(frames: Frames, rendered: Frames, photo: str, prompt: str, strength: float) -> Reading:
    found, asked = track(frames), track(rendered)
    error = np.mean((frames[1:].astype(np.float64) - rendered[1:]) ** 2, axis=(1, 2, 3))
    return Reading(
        photo,
        prompt,
        strength,
        path_pixels=distance(found[1:], asked[1:], *frames.shape[1:3]),
        path_psnr=float(np.mean(10 * np.log10(255**2 / (error + 1e-9)))),
        sharpness=sharpness(frames, found),
        flicker=flicker(frames, found) / (flicker(rendered, asked) + 1e-9),
    )


def distance(found: NDArray[np.float64], asked: NDArray[np.float64], height: int, width: int) -> float:
    """Return the mean distance in pixels of where two motions, (F, 4) each, take the content from."""
    across = torch.arange(width, dtype=torch.float64).expand(1, 1, height, width)
    down = torch.arange(height, dtype=torch.float64)[:, None].expand(1, 1, height, width)
    apart = []
    for one, other in zip(found, asked, strict=True):
        a, b = torch.from_numpy(one), torch.from_numpy(other)
        known = (warp(down, a)[1] * warp(down, b)[1]).bool()
        dx, dy = (warp(place, a)[0] - warp(place, b)[0] for place in (across, down))
        apart.append(float(torch.hypot(dx, dy)[known].mean()))
    return float(np.mean(apart))


def generation_of(prompt: str, strength: float, picture: tuple[int, int]) -> Generation:
    fields = {"prompt": prompt, "engine": EMBEDDED.name, "seed": 0, "speed": "exact"}
    options = {**MOVES[prompt], "easing": "linear", "camera_strength": strength}
    request = GenerationRequest.parse({**fields, "options": options})
    return resolve(request, EMBEDDED, load_presets(), picture)[0]


def clips(engine: I2VGenXLEngine, photo: Image.Image, prompt: str) -> Iterator[tuple[float, Frames, Frames]]:
    """Yield each strength with the clip and the rendered frames."""
    small = generation_of(prompt, min(STRENGTHS), photo.size)
    width, height = small.generated_width, small.generated_height
    large = fit_picture(photo, LARGE * width, LARGE * height, "keep").image
    inputs = Inputs(large.resize((width, height), Image.Resampling.LANCZOS), large=large)
    rendered = camera_frames(options_of(small), small, inputs, 1)
    assert rendered is not None
    for strength in STRENGTHS:
        generation = generation_of(prompt, strength, photo.size)
        taken = replace(inputs, image=rendered.first)  # alone, it gets the same first frame
        events = engine.generate(generation, taken)
        frames = np.concatenate([event.frames for event in events if isinstance(event, Decoded)])
        yield strength, frames, rendered.frames


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="write the clips of each photograph's first move here")
    options = parser.parse_args()
    engine = I2VGenXLEngine.load(EMBEDDED, EMBEDDED_FOLDER, MemoryPlan("cpu", "float32"))
    held_out = [photo for photo in manifest("heldout") if ":" not in photo.package]  # of Debian's packages
    readings, rows = list[Reading](), list[Frames]()
    for number, photo in enumerate(held_out[:: max(1, len(held_out) // options.photos)][: options.photos]):
        prompt = list(MOVES)[number % len(MOVES)]
        for strength, frames, rendered in clips(engine, open_photo(photo), prompt):
            readings.append(read(frames, rendered, f"{photo.package}/{photo.path}", prompt, strength))
            rows.append(np.concatenate(frames, axis=1))
            print(readings[-1], flush=True)
    print("strength  path px  path dB  sharpness  flicker   (medians)")
    for strength in STRENGTHS:
        of = [reading for reading in readings if reading.strength == strength]
        figures = [
            median(getattr(each, name) for each in of)
            for name in ("path_pixels", "path_psnr", "sharpness", "flicker")
        ]
        print(f"{strength:8.1f} {figures[0]:8.2f} {figures[1]:8.1f} {figures[2]:10.2f} {figures[3]:8.2f}")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in readings], indent=1) + "\n")
    if options.sheet:
        wide = max(row.shape[1] for row in rows)
        padded = [np.pad(row, ((0, 4), (0, wide - row.shape[1]), (0, 0))) for row in rows]
        Image.fromarray(np.concatenate(padded)).save(options.sheet)


if __name__ == "__main__":
    main()
