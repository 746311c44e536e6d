"""How far a loop jumps where it begins again, beside how far its neighbouring frames are apart.

    python -m benchmarks.loop_jump --json loop_jump.json

The demo model makes a loop of each picture, along its camera path, as it does by itself, and alone
(camera_strength 1). Distances are mean absolute differences of two frames, in levels of 255.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.story_drift import WAYS
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.base import Decoded, Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_picture
from i2v.pipeline.loops import looped
from i2v.pipeline.resolve import resolve
from i2v.weights import EMBEDDED_FOLDER

PROMPT = "the camera pans left"


@dataclass(frozen=True)
class Jump:
    """`jump` is from the last frame to the first, `median` and `most` are of neighbours."""

    photo: str
    way: str
    jump: float
    median: float
    most: float

    @classmethod
    def of(cls, frames: NDArray[np.uint8], photo: str, way: str) -> Jump:
        """Measure (F, H, W, 3)."""
        following = np.roll(frames, -1, axis=0).astype(int)
        *neighbours, jump = np.abs(following - frames).mean(axis=(1, 2, 3)).tolist()
        return cls(photo, way, jump, float(np.median(neighbours)), max(neighbours))


def loop_of(engine: I2VGenXLEngine, photo: Image.Image, way: str) -> NDArray[np.uint8]:
    """Return the frames of the loop that is made of a picture, (F, H, W, 3)."""
    fields = {"prompt": PROMPT, "engine": EMBEDDED.name, "seed": 0, "loop": True, "options": WAYS[way]}
    generation = resolve(GenerationRequest.parse(fields), EMBEDDED, load_presets(), photo.size)[0]
    width, height = generation.generated_width, generation.generated_height
    large = fit_picture(photo, 4 * width, 4 * height, "keep").image
    inputs = Inputs(large.resize((width, height), Image.Resampling.LANCZOS), large=large)
    events = looped(engine.generate(generation, inputs), generation)
    return np.concatenate([event.frames for event in events if isinstance(event, Decoded)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", nargs="+", type=Path, default=sorted(Path("examples").glob("*.jpg")))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    engine = I2VGenXLEngine.load(EMBEDDED, EMBEDDED_FOLDER, MemoryPlan("cpu", "float32"))
    jumps = []
    print("photo                way     last to first  neighbours: median, most")
    for path in options.photos:
        for way in WAYS:
            found = Jump.of(loop_of(engine, Image.open(path).convert("RGB"), way), path.name, way)
            print(f"{found.photo:20} {way:6} {found.jump:14.1f} {found.median:19.1f} {found.most:5.1f}")
            jumps.append(found)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in jumps], indent=1) + "\n")


if __name__ == "__main__":
    main()
