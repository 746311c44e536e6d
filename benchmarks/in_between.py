"""How near computed frames come to those that were left out, and what they take: ours beside ffmpeg's.

A camera pans and zooms over a photograph; every fourth frame is kept, those between are computed again.

    python -m benchmarks.in_between [PHOTO ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.schema import InterpolationName
from i2v.media.interpolation import Interpolator

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZE = (512, 384)
KEPT = 4  # one of so many frames
NUM_FRAMES, FPS = 61, 8  # before and after frames are left out
PAN, ZOOM = 180, 1.35  # pixels over the whole clip, and times

Frames = NDArray[np.uint8]


def render(photo: Path, pan: float, zoom: float) -> Frames:
    """Return `NUM_FRAMES` frames of a camera over the photograph."""
    image = Image.open(photo).convert("RGB")
    scale = 1.6 * max(SIZE[0] / image.width, SIZE[1] / image.height)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.resize(size, Image.Resampling.LANCZOS)
    frames = []
    for number in range(NUM_FRAMES):
        part = number / (NUM_FRAMES - 1)
        width, height = (1.2 * side / (1 + (zoom - 1) * part) for side in SIZE)
        left, top = image.width / 2 + pan * (part - 0.5) - width / 2, (image.height - height) / 2
        view = (width / SIZE[0], 0, left, 0, height / SIZE[1], top)
        frames.append(
            np.asarray(image.transform(SIZE, Image.Transform.AFFINE, view, Image.Resampling.BICUBIC))
        )
    return np.stack(frames)


def ours(method: InterpolationName) -> Callable[[Frames], Frames]:
    def compute(frames: Frames) -> Frames:
        interpolator = Interpolator(method, FPS, FPS * KEPT)
        return np.concatenate([*interpolator.add(frames), *interpolator.end()])

    return compute


def minterpolate(frames: Frames) -> Frames:
    """Return what ffmpeg's filter makes of them, by its best methods."""
    padded = np.concatenate([frames, *[frames[-1:]] * 3])  # it ends before the last ones
    filters = f"minterpolate=fps={FPS * KEPT}:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1"
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *raw, "-video_size", f"{SIZE[0]}x{SIZE[1]}"]
    command += ["-framerate", str(FPS), "-i", "-", "-vf", filters, *raw, "-threads", "1", "-"]
    done = subprocess.run(command, input=padded.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)


def psnr(made: Frames, truth: Frames) -> float:
    error = np.square(made.astype(float) - truth).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def measure(truth: Frames, compute: Callable[[Frames], Frames]) -> dict[str, float]:
    """Return PSNR in dB of the frames between, their mean and the worst, and seconds for each."""
    start = time.perf_counter()
    made = compute(truth[::KEPT])
    seconds = time.perf_counter() - start
    between = [number for number in range(NUM_FRAMES) if number % KEPT]
    found = [psnr(made[number], truth[number]) for number in between]
    return {
        "mean": round(float(np.mean(found)), 1),
        "worst": round(min(found), 1),
        "seconds_each": round(seconds / len(between), 3),
    }


METHODS = {"blend": ours("blend"), "motion": ours("motion"), "minterpolate": minterpolate}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    rows = []
    for photo in arguments.photos or sorted(EXAMPLES.glob("*.jpg")):
        for name, pan, zoom in (("pan", PAN, 1.0), ("zoom", 0, ZOOM)):
            truth = render(photo, pan, zoom)
            found = {method: measure(truth, compute) for method, compute in METHODS.items()}
            rows.append({"photo": photo.name, "move": name, **found})
            print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
