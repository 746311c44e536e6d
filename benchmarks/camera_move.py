"""How fast, and in how much memory, a camera move is rendered over a 12-megapixel photograph.

    python -m benchmarks.camera_move --json camera_move.json      # about 3 minutes on one core

5 seconds of 1080p at 30 frames a second for each move, with each of `--cpus` threads: the frames alone, and
the whole way into an MP4. Each run is a process of its own; its peak is all of its memory, without ffmpeg's.
CPU seconds are this process's too: other work on the machine changes them less than seconds, and the load
average says how much there was. The photograph is noise of all frequencies, the same every time: what is in
it does not change the time of rendering, but it makes the encoder's work as hard as it gets.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from i2v.core.settings_sources import ROOT
from i2v.engines.camera.move import Move
from i2v.engines.camera.path import plan_path
from i2v.engines.camera.render import render
from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer
from i2v.memory.usage import PeakMeter

PICTURE = (4000, 3000)
SIZE = (1920, 1080)
FPS, SECONDS = 30, 5
MIB = 2**20

MOVES = {
    "zoom in by 20 %": Move(zoom=1.2),
    "pan by a quarter": Move(pan=0.25),
    "turn by 6 degrees": Move(roll=6),
}


def photograph() -> Image.Image:
    """Return noise with as much in every octave, as in photographs."""
    rng = np.random.default_rng(0)
    total = np.zeros((PICTURE[1], PICTURE[0], 3))
    for octave in range(9):
        small = rng.random((PICTURE[1] >> octave, PICTURE[0] >> octave, 3))
        for channel in range(3):
            layer = Image.fromarray(small[..., channel].astype(np.float32))
            total[..., channel] += np.asarray(layer.resize(PICTURE, Image.Resampling.BICUBIC)) - 0.5
    return Image.fromarray(np.clip(128 + 60 * total, 0, 255).astype(np.uint8))


def one(name: str, cpus: int, picture: Path, video: Path | None) -> dict[str, float]:
    """Make the clip here; return what it took."""
    image = Image.open(picture)
    image.load()
    meter = PeakMeter("cpu")
    before = meter.read()
    path = plan_path(MOVES[name], FPS * SECONDS, PICTURE, SIZE)
    started, cpu = time.perf_counter(), time.process_time()
    if video is None:
        for _ in render(image, path, cpus):
            pass
    else:
        with Mp4Writer(OutputFile(video, force=True), fps=FPS, size=SIZE) as writer:
            for frame in render(image, path, cpus):
                writer.append(frame[None])
            writer.finish()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    peak = meter.read()
    assert before is not None and peak is not None, "the kernel does not tell"  # noqa: PT018
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "frames_per_cpu_second": round(FPS * SECONDS / cpu_seconds, 1),
        "peak_mib": round(peak / MIB),
        "peak_above_start_mib": round((peak - before) / MIB),
        "load_average": round(os.getloadavg()[0], 2),
    }


def in_a_process(arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.camera_move", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    reading: dict[str, float] = json.loads(done.stdout)
    return reading


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--one", nargs=4, metavar=("MOVE", "CPUS", "PICTURE", "VIDEO"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.one:
        name, cpus, picture, video = options.one
        print(json.dumps(one(name, int(cpus), Path(picture), Path(video) if video else None)))
        return 0
    readings = []
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "photograph.png")
        photograph().save(picture, compress_level=1)
        for name in MOVES:
            for cpus in options.cpus:
                for video in ("", str(Path(folder, "clip.mp4"))):
                    way = "into an MP4" if video else "frames alone"
                    reading = in_a_process(["--one", name, str(cpus), str(picture), video])
                    readings.append({"move": name, "cpus": cpus, "way": way, **reading})
                    print(readings[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps(readings, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
