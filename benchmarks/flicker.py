"""How much enlarged frames flicker: by how much their error changes from one frame to the next.

A camera pans over a photograph. Its frames are made four times smaller, enlarged again by each upscaler that
is installed, and held to what they were.

    python -m benchmarks.flicker [PHOTO ...] [--frames N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.in_between import EXAMPLES, PAN, SIZE, psnr, render
from i2v.media.image import resize_frames
from i2v.media.upscale import NETWORKS, Upscaler, is_installed

TIMES = 4

Frames = NDArray[np.uint8]


def flicker(made: Frames, truth: Frames) -> float:
    """Return the mean change of the error between neighbouring frames, in levels of 255."""
    errors = made.astype(float) - truth
    return float(np.abs(np.diff(errors, axis=0)).mean())


def enlarge(small: Frames, upscaler: str) -> Frames:
    frames = small if upscaler == "lanczos" else Upscaler(upscaler).enlarge(small)
    return resize_frames(frames, *SIZE)


def measure(truth: Frames, upscaler: str) -> dict[str, float]:
    """Return the flicker, PSNR in dB, and seconds for each frame."""
    small = resize_frames(truth, SIZE[0] // TIMES, SIZE[1] // TIMES)
    start = time.perf_counter()
    made = enlarge(small, upscaler)
    seconds = (time.perf_counter() - start) / len(truth)
    return {
        "flicker": round(flicker(made, truth), 2),
        "psnr": round(psnr(made, truth), 1),
        "seconds_each": round(seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO")
    parser.add_argument("--frames", type=int, default=9, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    rows = []
    for photo in arguments.photos or sorted(EXAMPLES.glob("*.jpg")):
        truth = render(photo, PAN, 1.0)[: arguments.frames]
        for upscaler in ("lanczos", *filter(is_installed, NETWORKS)):
            rows.append({"photo": photo.name, "upscaler": upscaler, **measure(truth, upscaler)})
            print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
