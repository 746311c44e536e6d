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
first run computes them, for hours.

This file starts the measurements and judges the figures. It loads no torch: a child's peak memory is never
less than its parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from i2v.engines.specs import EMBEDDED
from i2v.settings import ROOT

if not __package__:  # run as a file, which has only its own folder on the path
    sys.path.insert(0, str(ROOT))

from benchmarks.stock import compare, cpu_name

STAGES = ("load", "condition", "denoise", "decode", "encode", "clip")
CLOCKS = ("wall", "cpu")
FRAME_TOLERANCE = 1  # of 255
Figures = dict[str, Any]


def child(module: str, *arguments: str) -> Figures:
    """Run one measurement in a fresh process; its progress goes to standard error."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks.{module} failed with code {done.returncode}; its words are above")
    figures: Figures = json.loads(done.stdout)
    return figures


def measure(race: Figures) -> Figures:
    """Return all figures, in the form of the JSON file."""
    setting = json.dumps(race)
    load_before = os.getloadavg()[0]
    paired = child("race", "paired", setting)
    load_after = os.getloadavg()[0]
    readings: dict[str, dict[str, list[dict[str, float]]]] = paired.pop("readings")
    seconds = {
        clock: {
            side: {stage: [reading[clock] for reading in stages[stage]] for stage in STAGES}
            for side, stages in readings.items()
        }
        for clock in CLOCKS
    }
    return {
        "setting": race,
        "machine": {
            "cpu": cpu_name(),
            "cpus": os.cpu_count(),
            "platform": platform.platform(),
            "load_average": [load_before, load_after],
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("i2v", "torch", "diffusers", "transformers", "numpy")},
        },
        "paired": paired,
        "seconds": seconds,
        "ratios": ratios(seconds),
        "alone": {side: child("race", "alone", setting, side) for side in readings},
        "quality": child("sweep", setting),
    }


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


def table(report: Figures) -> str:
    """Return what a person reads."""
    setting, machine, versions = (report[key] for key in ("setting", "machine", "versions"))
    paired, (before, after) = report["paired"], machine["load_average"]
    return "\n".join(
        (
            f"i2v {versions['i2v']}, diffusers {versions['diffusers']}, torch {versions['torch']}, float32,"
            f" {paired['threads']} thread(s) on {machine['cpu']}",
            f"embedded model, {setting['side']} x {setting['side']} pixels, guidance"
            f" {setting['guidance_scale']:g}, stock at {setting['num_inference_steps']} steps;"
            f" {len(paired['cases'])} clips timed, load average {before:.1f} before, {after:.1f} after",
            "",
            *time_rows(report),
            "",
            *stage_rows(report),
            "",
            *work_rows(report),
            "",
            *quality_rows(report),
            "",
            f"stock against exact: frames at most {paired['frames_max_difference']} of 255 apart",
        )
    )


def time_rows(report: Figures) -> Iterator[str]:
    """End to end: picture and prompt to MP4, the model being loaded."""
    row = "{:<26}{:>9}{:>9}{:>9}{:>9}  {:<16}{:>8}  {:<16}".format
    yield row("clip, end to end", "wall s", "CPU s", "", "wall x", "interval", "CPU x", "interval")
    for side, stages in report["seconds"]["wall"].items():
        wall, cpu = (median(report["seconds"][clock][side]["clip"]) for clock in CLOCKS)
        told: list[str] = []
        for clock in CLOCKS if side != "stock" else ():
            ratio = report["ratios"][clock][side]["clip"]
            told += [f"{ratio['median']:.2f}", f"{ratio['low']:.2f}..{ratio['high']:.2f}"]
        yield row(side, f"{wall:.2f}", f"{cpu:.2f}", "", *(told or ["1", "", "1", ""]))
        del stages


def stage_rows(report: Figures) -> Iterator[str]:
    """Stock's CPU seconds over each side's, by stage; "denoise" is the UNet and the solver."""
    yield f"{'stock / side, CPU':<26}" + "".join(f"{stage:>11}" for stage in STAGES)
    stock = report["seconds"]["cpu"]["stock"]
    yield f"{'stock, CPU s':<26}" + "".join(f"{median(stock[stage]):>11.3f}" for stage in STAGES)
    for side, stages in report["ratios"]["cpu"].items():
        yield f"{side:<26}" + "".join(f"{stages[stage]['median']:>11.2f}" for stage in STAGES)


def work_rows(report: Figures) -> Iterator[str]:
    row = "{:<26}{:>12}{:>12}{:>14}{:>14}{:>12}".format
    yield row("", "evaluations", "whole ones", "UNet TFLOP", "stock / side", "peak MiB")
    stock = report["alone"]["stock"]["flops"]["denoise"]
    for side, alone in report["alone"].items():
        flops = alone["flops"]["denoise"]
        yield row(
            side,
            alone["unet_evaluations"],
            alone["whole_unet_evaluations"],
            f"{flops / 1e12:.4f}",
            f"{stock / flops:.2f}",
            f"{alone['peak_rss_mib']:.0f}",
        )


def quality_rows(report: Figures) -> Iterator[str]:
    """How far each way of sampling is from the reference, as the gate has it (`benchmarks.gate`)."""
    quality = report["quality"]
    if not quality["measured"]:
        yield "quality: not measured, no references are kept"
        return
    yield f"quality over {len(quality['cases'])} clips: median | worst decile (energy: both ends)"
    row = "{:<26}{:>7}{:>7}  {:>13} {:>13} {:>13} {:>13} {:>13} {:>18} {:>13}  {}".format
    yield row(
        "", "evals", "CPU x", "latent RMSE", "1-SSIM", "1-MS-SSIM", "flow error", "flow to (a)",
        "energy", "dB lost", "gate",
    )  # fmt: skip
    for label, point in points(report).items():
        cells = []
        for check in quality["gate"][label]:
            low, high = check["deciles"]
            worst = f"{low:.2f}..{high:.2f}" if "energy" in check["name"] else f"{high:.2f}"
            cells.append(f"{check['median']:.2f} | {worst}")
        passed = "passed" if point["passed"] else "failed"
        yield row(label, f"{point['evaluations']:.0f}", f"{point['speed']:.2f}", *cells, passed)


def points(report: Figures) -> dict[str, dict[str, Any]]:
    """Return, for each way of sampling, how much faster than stock it denoises (CPU time), and its error."""
    quality = report["quality"]
    stock = median(report["seconds"]["cpu"]["stock"]["denoise"])
    return {
        label: {
            "speed": stock / median(run["cpu"] for run in runs),
            "evaluations": median(run["out"] for run in runs),
            "errors": {check["name"]: check["median"] for check in quality["gate"][label]},
            "passed": all(check["passed"] for check in quality["gate"][label]),
        }
        for label, runs in quality["work"].items()
    }


def plot(report: Figures, path: Path) -> None:
    """Draw error against speed, a line for each way of sampling."""
    import matplotlib  # an extra: `pip install 'i2v[bench]'`

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text, not outlines: a tenth of the file
    from matplotlib import pyplot

    shown = ("latent RMSE / stock's", "1-SSIM / stock's", "flow error / stock's")
    figure, axes = pyplot.subplots(1, len(shown), figsize=(15, 4.5), layout="constrained")
    found = points(report)
    families: dict[str, list[str]] = {}
    for label in found:
        families.setdefault(label.replace("-", " ").split()[0], []).append(label)
    for axis, name in zip(axes, shown, strict=True):
        for family, labels in families.items():
            ordered = sorted(labels, key=lambda label: found[label]["speed"])
            speeds = [found[label]["speed"] for label in ordered]
            errors = [found[label]["errors"][name] for label in ordered]
            axis.plot(speeds, errors, marker="*" if family == "fast" else "o", label=family)
            for label, *place in zip(ordered, speeds, errors, strict=True):
                axis.annotate(label, place, fontsize=7)
        axis.axhline(1.25, linestyle=":", color="grey", label="the gate, for the median")
        axis.set(xlabel="denoising, times as fast as stock (CPU time)", ylabel=name, yscale="log")
    axes[0].legend()
    figure.savefig(path)


def full_size(race: Figures, folder: str, path: Path | None) -> int:
    """Print seconds and peak memory of stock and of ours, exact, one after the other."""
    setting = json.dumps(race)
    report = {side: child("race", "full_size", setting, side, folder) for side in ("stock", "exact")}
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw quality against speed (.svg, .png)")
    parser.add_argument("--side", type=int, default=128, help="of the square pictures, in pixels")
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
    report = measure(race)
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if drawing is not None:
        plot(report, drawing)
    print(table(report))
    return 0 if report["paired"]["frames_max_difference"] <= FRAME_TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
