"""i2v against stock diffusers on the embedded model: same weights, seed, threads, float32, in one run.

    python benchmarks/stock.py --json stock.json

Both sides live in one process and run in turn, pair by pair, the side that goes first alternating. Stock gets
the decode chunk that is fastest for it, found in the same run. Memory, FLOPs and UNet evaluations come from a
process of its own for each side.

How "not slower" is decided, for each stage: stock's seconds over ours is taken in each pair; the interval is
the one that holds the true median of this ratio with at least 95 % (order statistics: no assumption on the
noise). If it rules out that ours is slower by more than 5 %, ours is not slower. If it does not, ours is
slower where the whole interval is below 1; else the run was too short or too noisy to tell.

Exit codes: 0 not slower anywhere and the frames agree; 1 slower somewhere, or other frames; 3 cannot tell.

This file starts the measurements and judges the figures. It loads no torch: a child's peak memory is never
less than its parent's.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from i2v.core.settings_sources import ROOT, load_settings
from i2v.engines.i2vgen_xl.specs import EMBEDDED

if not __package__:  # run as a file, which has only its own folder on the path
    sys.path.insert(0, str(ROOT))

from benchmarks.reports import Figures, heading, machine, versions, write

SIDES = ("ours", "stock")
STAGES = ("load", "condition", "denoise", "decode", "clip")
TOLERANCE = 0.05  # ours may be slower by this much before it counts
CONFIDENCE = 0.95
FRAME_TOLERANCE = 1  # of 255: float32 sums in another order
CANNOT_TELL = 3


@dataclass(frozen=True)
class Comparison:
    """Stock's seconds over ours, pair by pair: above 1, ours is faster.

    `low` and `high` hold the true median with the probability `coverage`.
    """

    ratios: tuple[float, ...]
    median: float
    low: float
    high: float
    coverage: float
    verdict: str


def compare(ours: Sequence[float], stock: Sequence[float]) -> Comparison:
    """Judge paired seconds (see the module's text)."""
    ratios = tuple(theirs / mine for mine, theirs in zip(ours, stock, strict=True))
    low, high, coverage = median_interval(ratios)
    if coverage < CONFIDENCE:
        verdict = "cannot tell"
    elif low > 1:
        verdict = "faster"
    elif low >= 1 / (1 + TOLERANCE):
        verdict = "not slower"
    elif high < 1:
        verdict = "slower"
    else:
        verdict = "cannot tell"
    return Comparison(ratios, median(ratios), low, high, coverage, verdict)


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return (low, high, coverage): the narrowest pair of order statistics with at least 95 % coverage.

    The k-th smallest and the k-th largest of n values miss the true median only if fewer than k values fell
    on one side of it, a matter of n fair coins. Under six values, no pair reaches 95 %: the outermost is
    returned with what it has.
    """
    ordered, n = sorted(values), len(values)

    def coverage(k: int) -> float:
        return 1 - sum(math.comb(n, j) for j in range(k)) * 0.5 ** (n - 1)

    k = max((k for k in range(1, n // 2 + 1) if coverage(k) >= CONFIDENCE), default=1)
    return ordered[k - 1], ordered[n - k], coverage(k)


def exit_code(verdicts: Sequence[str], frames_max_difference: int) -> int:
    if "slower" in verdicts or frames_max_difference > FRAME_TOLERANCE:
        return 1
    return CANNOT_TELL if "cannot tell" in verdicts else 0


def start(mode: str, setting: dict[str, object]) -> subprocess.Popen[str]:
    """Start one measurement in a fresh process; its progress goes to standard error."""
    command = [sys.executable, "-m", "benchmarks.measure", mode, json.dumps(setting)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str]) -> Figures:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"benchmarks.measure failed with code {process.returncode}; its words are above")
    figures: Figures = json.loads(output)
    return figures


def measure(setting: dict[str, object]) -> Figures:
    """Return all figures and their comparison, in the form of the JSON file."""
    load_before = os.getloadavg()[0]
    paired = result(start("paired", setting))
    measured_on = machine(load_before)
    setting = {**setting, "stock_decode_chunk": paired["stock_decode_chunk"]}
    processes = {side: start(side, setting) for side in SIDES}  # untimed: they may overlap
    alone = {side: result(process) for side, process in processes.items()}
    seconds = {
        clock: {
            side: {stage: [reading[clock] for reading in paired["readings"][side][stage]] for stage in STAGES}
            for side in SIDES
        }
        for clock in ("wall", "cpu")
    }
    compared = {
        clock: {stage: compare(sides["ours"][stage], sides["stock"][stage]) for stage in STAGES}
        for clock, sides in seconds.items()
    }
    difference: int = paired["frames_max_difference"]
    verdicts = [comparison.verdict for comparison in compared["wall"].values()]
    return {
        "setting": {**setting, "threads": paired["threads"], "dtype": "float32"},
        "machine": measured_on,
        "versions": versions(),
        "seconds": seconds,
        "stock_decode_seconds_by_chunk": paired["stock_decode_seconds_by_chunk"],
        "ratios": {
            clock: {stage: asdict(comparison) for stage, comparison in stages.items()}
            for clock, stages in compared.items()
        },
        "alone": alone,
        "frames_max_difference": difference,
        "exit_code": exit_code(verdicts, difference),
    }


def table(report: Figures) -> str:
    """Return what a person reads."""
    setting, (before, after) = report["setting"], report["machine"]["load_average"]
    side, frames = setting["side"], report["frames_max_difference"]
    ending = {0: "OK: not slower anywhere", 1: "FAILED: slower somewhere, or other frames"}
    return "\n".join(
        (
            heading(report, setting["threads"]),
            f"embedded model, {side} x {side} pixels, {setting['num_inference_steps']} steps,"
            f" guidance {setting['guidance_scale']:g}; {setting['repeats']} pairs,"
            f" load average {before:.1f} before, {after:.1f} after",
            "",
            *time_rows(report),
            "",
            *count_rows(report),
            "",
            f"frames: at most {frames} of 255 apart",
            ending.get(report["exit_code"], "CANNOT TELL: more --repeats, or a quieter machine"),
        )
    )


def time_rows(report: Figures) -> Iterator[str]:
    seconds, ratios = report["seconds"]["wall"], report["ratios"]
    coverage = f"{ratios['wall']['clip']['coverage']:.0%} interval"
    row = "{:<10}{:>25}{:>25}{:>20}{:>15}{:>10}  {}".format
    yield row("seconds", "ours", "stock", "stock/ours", coverage, "CPU time", "")
    for stage in STAGES:
        wall, cpu = ratios["wall"][stage], ratios["cpu"][stage]
        ours, stock = (spread(seconds[side][stage], 3) for side in SIDES)
        interval = f"{wall['low']:.2f}..{wall['high']:.2f}"
        yield row(
            stage, ours, stock, spread(wall["ratios"], 2), interval, f"{cpu['median']:.2f}", wall["verdict"]
        )


def count_rows(report: Figures) -> Iterator[str]:
    row = "{:<26}{:>10}{:>10}".format
    ours, stock = (report["alone"][side] for side in SIDES)
    yield row("", *SIDES)
    yield row("UNet evaluations", ours["unet_evaluations"], stock["unet_evaluations"])
    yield row("TFLOPs", *(f"{side['flops']['clip'] / 1e12:.4f}" for side in (ours, stock)))
    yield row("peak memory, MiB", *(f"{side['peak_rss_mib']:.0f}" for side in (ours, stock)))
    yield row("  of it imports", *(f"{side['imported_rss_mib']:.0f}" for side in (ours, stock)))
    yield row("frames decoded at once", *(report["setting"][f"{side}_decode_chunk"] for side in SIDES))
    tried = report["stock_decode_seconds_by_chunk"].items()
    chunks = ", ".join(f"{size}: {median(seconds):.3f}" for size, seconds in tried)
    yield f"stock's decoding by frames at once, seconds: {chunks}"


def spread(values: Sequence[float], digits: int) -> str:
    """median (smallest..largest)"""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    preset = EMBEDDED.presets["standard"]
    parser = argparse.ArgumentParser(
        description="i2v against stock diffusers on the embedded model.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw figures there")
    parser.add_argument("--side", type=int, default=preset.area_side, help="of the square picture, in pixels")
    parser.add_argument("--num-inference-steps", type=int, default=preset.num_inference_steps)
    parser.add_argument("--guidance-scale", type=float, default=preset.guidance_scale, help="over 1: guided")
    parser.add_argument("--repeats", type=int, default=12, help="pairs; under 6 nothing can be told")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--ours-decode-chunk",
        type=int,
        default=load_settings().engine.decode_chunk,
        help="frames that ours decodes at a time; as configs/default.yaml has it",
    )
    options = parser.parse_args(arguments)
    if options.repeats < 1 or options.side < 1 or options.side % EMBEDDED.multiple:
        parser.error(f"--repeats must be at least 1, --side a multiple of {EMBEDDED.multiple}")
    return options


def main() -> int:
    options = vars(parse())
    path: Path | None = options.pop("json")
    report = measure(options)
    if path is not None:
        write(path, report)
    print(table(report))
    return int(report["exit_code"])


if __name__ == "__main__":
    raise SystemExit(main())
