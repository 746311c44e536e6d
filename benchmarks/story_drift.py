"""How far a story comes away from its first frame: colour, sharpness and structure over many segments.

    python -m benchmarks.story_drift --segments 20 --json story_drift.json --sheet story_drift.png

The demo model makes a story of each picture in which nothing should move, so that every frame can be held to
the first one: along its camera path, which stands still, as it does by itself, and alone (camera_strength 1),
then with drift corrected and not. Figures are of the last frame of each segment.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.quality import ssim
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.base import Decoded, Event, Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_picture
from i2v.pipeline.drift import Look
from i2v.pipeline.resolve import resolve
from i2v.pipeline.segments import SegmentBegun, story_events
from i2v.weights import EMBEDDED_FOLDER

PROMPT = "the camera stays still"
WAYS = {"path": {}, "alone": {"camera_strength": 1}}
WAYS_CORRECTED = {"path": (False,), "alone": (False, True)}  # along a path, nothing is corrected
SHOWN = (1, 5, 10, 15, 20)  # segments of which the sheet has the last frame

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Reading:
    """The last frame of a segment beside the story's first one.

    Attributes:
        colour: how far the channels' means are off, the mean, in levels of 255.
        contrast: their standard deviations, as a multiple of the first frame's.
        sharpness: fine detail, as a multiple of the first frame's (`drift.Look.detail`).
        structure: SSIM.
    """

    photo: str
    way: str
    corrected: bool
    segment: int
    colour: float
    contrast: float
    sharpness: float
    structure: float


def read(frame: Frames, first: Frames, photo: str, way: str, corrected: bool, segment: int) -> Reading:
    now, then = Look.of(frame), Look.of(first)
    return Reading(
        photo,
        way,
        corrected,
        segment,
        colour=float(np.abs(np.subtract(now.mean, then.mean)).mean()),
        contrast=float(np.mean(now.deviation) / np.mean(then.deviation)),
        sharpness=now.detail / then.detail,
        structure=ssim(frame[None], first[None]),
    )


def generation_of(way: str, corrected: bool, segments: int, picture: tuple[int, int]) -> Generation:
    fields = {"prompt": PROMPT, "engine": EMBEDDED.name, "seed": 0, "preset": "quick", "options": WAYS[way]}
    one = resolve(GenerationRequest.parse(fields), EMBEDDED, load_presets(), picture)[0]
    overlap = resolve(GenerationRequest.parse({**fields, "story": ["4"]}), EMBEDDED, load_presets(), picture)[
        0
    ].overlap
    frames = one.num_frames + (segments - 1) * (one.num_frames - overlap)
    story = [str(frames / one.fps)]
    asked = GenerationRequest.parse({**fields, "story": story, "correct_drift": corrected})
    made = resolve(asked, EMBEDDED, load_presets(), picture)[0]
    assert len(made.segments) == segments
    return made


def last_frames(engine: I2VGenXLEngine, generation: Generation, photo: Image.Image) -> Iterator[Frames]:
    """Yield the story's first frame, then the last frame that each segment brings."""
    width, height = generation.generated_width, generation.generated_height
    large = fit_picture(photo, 4 * width, 4 * height, "keep").image
    inputs = Inputs(large.resize((width, height), Image.Resampling.LANCZOS), large=large)

    def make(asked: Generation, given: Inputs) -> Iterator[Event]:
        return engine.generate(asked, given)

    last: Frames | None = None
    is_first = True
    for event in story_events(generation, inputs, make):
        if isinstance(event, SegmentBegun) and event.number:
            assert last is not None
            yield last
        elif isinstance(event, Decoded):
            if is_first:
                yield event.frames[0]
                is_first = False
            last = event.frames[-1]
    assert last is not None
    yield last


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", nargs="+", type=Path, default=sorted(Path("examples").glob("*.jpg")))
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="write the last frames of some segments here")
    options = parser.parse_args()
    engine = I2VGenXLEngine.load(EMBEDDED, EMBEDDED_FOLDER, MemoryPlan("cpu", "float32"))
    readings, rows = list[Reading](), list[Frames]()
    for way in WAYS:
        for path in options.photos:
            photo = Image.open(path).convert("RGB")
            for corrected in WAYS_CORRECTED[way]:
                generation = generation_of(way, corrected, options.segments, photo.size)
                first, *last = last_frames(engine, generation, photo)
                readings += [
                    read(frame, first, path.name, way, corrected, number)
                    for number, frame in enumerate(last, start=1)
                ]
                print(readings[-1], flush=True)
                shown = [last[number - 1] for number in SHOWN if number <= len(last)]
                rows.append(np.concatenate([first, *shown], axis=1))
    print_table(readings, options.segments)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in readings], indent=1) + "\n")
    if options.sheet:
        wide = max(row.shape[1] for row in rows)
        padded = [np.pad(row, ((0, 4), (0, wide - row.shape[1]), (0, 0))) for row in rows]
        Image.fromarray(np.concatenate(padded)).save(options.sheet)


def print_table(readings: list[Reading], segments: int) -> None:
    print("way    corrected  segment  colour  contrast  sharpness  structure   (medians)")
    for way in WAYS:
        for corrected in WAYS_CORRECTED[way]:
            for segment in sorted({1, (segments + 1) // 2, segments}):
                key = (way, corrected, segment)
                of = [each for each in readings if (each.way, each.corrected, each.segment) == key]
                figures = [
                    median(getattr(each, name) for each in of)
                    for name in ("colour", "contrast", "sharpness", "structure")
                ]
                words = "".join(f"{figure:10.2f}" for figure in figures)
                print(f"{way:6} {'yes' if corrected else 'no':9} {segment:8}{words}")


if __name__ == "__main__":
    main()
