"""What a CPU's memory holds at the most while stock diffusers, and while i2v, make the same clip.

    python -m benchmarks.resident --json resident.json      # about 10 minutes on one core

The embedded model in float32, at a size where activations count. Each clip is made in a process of its own,
stock and ours in turn; a peak is the whole process's resident memory, by stage (`usage.PeakMeter`). Stock
decodes frame by frame, as its pipeline does by default. Linux only.

Exit code 1: the frames differ by more than rounding.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.sides import STAGES, Ours, Reading, Setting, Side, Stock
from i2v.core.settings_sources import ROOT
from i2v.memory.usage import PeakMeter

MIB = 2**20
FRAME_TOLERANCE = 1  # of 255
Peaks = dict[str, int]  # bytes


def one(side: Side, frames: Path) -> Peaks:
    """Make the clip here; return the peaks of importing, loading and each stage, and leave its frames."""
    meter = PeakMeter("cpu")
    peaks: Peaks = {}

    def read(name: str) -> None:
        peak = meter.read()
        assert peak is not None, "the kernel does not tell"
        peaks[name] = peak

    read("imports")
    side.load()
    read("load")
    names = iter(("", *STAGES))

    def probe() -> Reading:
        read(next(names))
        return {}

    run = side.run(probe)
    del peaks[""]  # what was before the first stage
    np.save(frames, run.frames)
    return peaks


def pairs(setting: Setting, count: int) -> tuple[list[dict[str, Peaks]], int]:
    """Return the peaks of `count` pairs, and how far apart their frames are at the most."""
    found, furthest = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            order = ("stock", "ours") if number % 2 == 0 else ("ours", "stock")
            found.append({name: _in_a_process(name, setting, Path(folder)) for name in order})
            clips = [np.load(Path(folder) / f"{name}.npy").astype(int) for name in order]
            furthest = max(furthest, int(np.abs(clips[0] - clips[1]).max()))
    return found, furthest


def _in_a_process(name: str, setting: Setting, folder: Path) -> Peaks:
    command = [sys.executable, "-m", "benchmarks.resident", "--one", name, json.dumps(asdict(setting))]
    run = subprocess.run(
        [*command, str(folder / f"{name}.npy")], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    peaks: Peaks = json.loads(run.stdout.splitlines()[-1])
    print(f"{name}: {max(peaks.values()) / MIB:.0f} MiB", file=sys.stderr)
    return peaks


def table(found: Sequence[dict[str, Peaks]]) -> str:
    """Return medians over the pairs, in MiB."""
    row = "{:<12}{:>10}{:>10}{:>14}".format
    lines = [row("MiB", "stock", "ours", "stock / ours")]
    for name in ("imports", "load", *STAGES, "most", "over imports"):
        stock, ours = ([_reading(pair[side], name) / MIB for pair in found] for side in ("stock", "ours"))
        ratio = median(theirs / mine for theirs, mine in zip(stock, ours, strict=True))
        lines.append(row(name, f"{median(stock):.0f}", f"{median(ours):.0f}", f"{ratio:.2f}"))
    return "\n".join(lines)


def _reading(peaks: Peaks, name: str) -> int:
    most = max(peaks.values())
    return {"most": most, "over imports": most - peaks["imports"]}.get(name) or peaks[name]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Resident memory of stock diffusers and i2v, embedded model."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, in bytes")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--side", type=int, default=384, help="of the square picture, in pixels")
    parser.add_argument("--num-frames", type=int, default=16)
    parser.add_argument("--num-inference-steps", type=int, default=2)
    parser.add_argument("--guidance-scale", type=float, default=9.0)
    return parser.parse_args(arguments)


def main() -> int:
    if sys.argv[1:2] == ["--one"]:
        _, _, name, setting, frames = sys.argv
        side = {"ours": Ours, "stock": Stock}[name](Setting(**json.loads(setting)))
        print(json.dumps(one(side, Path(frames))))
        return 0
    options = parse()
    setting = Setting(
        side=options.side, num_inference_steps=options.num_inference_steps,
        guidance_scale=options.guidance_scale, repeats=1, threads=1, ours_decode_chunk=0,
        stock_decode_chunk=1, num_frames=options.num_frames,
    )  # fmt: skip
    found, furthest = pairs(setting, options.pairs)
    if options.json is not None:
        answer = {"setting": asdict(setting), "pairs": found, "frames_max_difference": furthest}
        options.json.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    print(table(found))
    print(f"frames: at most {furthest} of 255 apart")
    return 1 if furthest > FRAME_TOLERANCE else 0


if __name__ == "__main__":
    raise SystemExit(main())
