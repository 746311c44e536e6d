"""i2v, exact and fast, against stock diffusers and the published ways to be faster, in one run.

    python benchmarks/speed.py --json speed.json --plot speed.svg
    python benchmarks/speed.py --quick                    one small clip, few steps: does it work?
    python benchmarks/speed.py --full-size FOLDER         random weights of the published size: time, memory

Same weights, photographs, prompts, seeds, threads and float32 for all, under inference mode. What is compared
with stock at 50 steps, which gets the decode chunk that is fastest for it:

    exact              ours, the same frames
    fast               ours, approximate, inside the gate (`benchmarks.gate`) or not: the gate's table tells
    AdaptiveDiffusion  skips predictions (arXiv 2410.09873)
    DeepCache          uses deep features again at every n-th step (arXiv 2312.00858)
    DDIM               as many UNet evaluations as ours takes, in plain steps

The baselines run on our UNet forward, conditioning and decoding: their ratios to stock have our exact savings
in them, and what ours is ahead of them by is sampling alone.

Sides run in turn, each clip beginning with another one. Ratios are stock's seconds over a side's, clip by
clip; CPU time is what other work on the machine disturbs least. Memory and FLOPs come from a process for each
side. Quality is measured on all held-out clips (`--clips`), whose references are kept (`--references`): the
first run computes them, for hours. The JSON file is written anew with all that is measured, and `complete` at
the end.

This file starts the measurements and judges the figures. It loads no torch: a child's peak memory is never
less than its parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import EMBEDDED

if not __package__:  # run as a file, which has only its own folder on the path
    sys.path.insert(0, str(ROOT))

from benchmarks.reports import Figures, machine, versions, write
from benchmarks.speed_tables import CLOCKS, STAGES, plot, table
from benchmarks.stock import compare

FRAME_TOLERANCE = 1  # of 255


def child(module: str, *arguments: str) -> Iterator[Figures]:
    """Run one measurement in a fresh process, and yield its figures: JSON, a line each time there is more.

    Its progress goes to standard error.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield from map(json.loads, process.stdout)
            process.wait()
        finally:
            process.kill()  # nobody listens any more; one that has ended is left alone
    if process.returncode:
        raise SystemExit(f"benchmarks.{module} failed with code {process.returncode}; its words are above")


def measure(race: Figures, save: Callable[[Figures], None]) -> Figures:
    """Return all figures, in the form of the JSON file; `save` gets what there is of them as they come."""
    setting = json.dumps(race)
    load_before = os.getloadavg()[0]
    (paired,) = child("race", "paired", setting)
    readings: dict[str, dict[str, list[dict[str, float]]]] = paired.pop("readings")
    seconds = {
        clock: {
            side: {stage: [reading[clock] for reading in stages[stage]] for stage in STAGES}
            for side, stages in readings.items()
        }
        for clock in CLOCKS
    }
    report: Figures = {
        "complete": False,
        "setting": race,
        "machine": machine(load_before),
        "versions": versions(),
        "paired": paired,
        "seconds": seconds,
        "ratios": ratios(seconds),
        "alone": {},
    }
    save(report)
    for side in readings:
        (report["alone"][side],) = child("race", "alone", setting, side)
        save(report)
    for quality in child("sweep", setting):
        report["quality"] = quality
        save(report)
    report["complete"] = True
    save(report)
    return report


def ratios(seconds: Figures) -> Figures:
    """Stock's seconds over each other side's, by clock, side and stage."""
    return {
        clock: {
            side: {stage: asdict(compare(stages[stage], sides["stock"][stage])) for stage in STAGES}
            for side, stages in sides.items()
            if side != "stock"
        }
        for clock, sides in seconds.items()
    }


def full_size(race: Figures, folder: str, path: Path | None) -> int:
    """Print seconds and peak memory of stock and of ours, exact, one after the other."""
    setting = json.dumps(race)
    report: Figures = {}
    for side in ("stock", "exact"):
        (report[side],) = child("race", "full_size", setting, side, folder)
        if path is not None:
            write(path, report)
    stages = list(report["stock"]["seconds"])
    print(f"{'CPU s':<10}" + "".join(f"{stage:>11}" for stage in stages) + f"{'peak MiB':>11}")
    for side, figures in report.items():
        cells = "".join(f"{figures['seconds'][stage]['cpu']:>11.2f}" for stage in stages)
        print(f"{side:<10}{cells}{figures['peak_rss_mib']:>11.0f}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="i2v, exact and fast, against stock diffusers and published ways to be faster.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw figures there, as they come")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw quality against speed (.svg, .png)")
    side = EMBEDDED.presets["standard"].area_side
    parser.add_argument("--side", type=int, default=side, help="of the square pictures, in pixels")
    parser.add_argument("--num-inference-steps", type=int, default=50, help="of stock")
    parser.add_argument("--guidance-scale", type=float, default=1.0, help="over 1: guided")
    parser.add_argument(
        "--pairs", type=int, default=8, help="clips that are timed; under 6 nothing can be told"
    )
    parser.add_argument("--clips", type=int, default=27, help="clips that are measured, of the held-out ones")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--references", type=Path, default=ROOT / "checkpoints" / "references", metavar="DIR")
    parser.add_argument("--kept-only", action="store_true", help="measure only clips with kept references")
    parser.add_argument(
        "--full-size",
        metavar="FOLDER",
        help="of `scripts.full_size.write`: two guided steps at 256 x 256, instead of all else",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one small clip, few steps: a test of this command"
    )
    options = parser.parse_args(arguments)
    if options.pairs < 1 or options.side < 1 or options.side % EMBEDDED.multiple:
        parser.error(f"--pairs must be at least 1, --side a multiple of {EMBEDDED.multiple}")
    return options


def main() -> int:
    options = vars(parse())
    path, drawing, quick, folder = (options.pop(name) for name in ("json", "plot", "quick", "full_size"))
    race = {**options, "references": str(options["references"])}
    if folder is not None:
        return full_size({**race, "num_inference_steps": 2}, folder, path)
    if quick:
        race |= {"side": 32, "num_inference_steps": 14, "pairs": 1, "clips": 1, "threads": 1}
    report = measure(race, lambda found: None if path is None else write(path, found))
    if drawing is not None:
        plot(report, drawing)
    print(table(report))
    return 0 if report["paired"]["frames_max_difference"] <= FRAME_TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
