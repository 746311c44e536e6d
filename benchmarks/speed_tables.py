"""What a person sees of `benchmarks/speed.py`: its tables and its plot. Measures nothing, loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.reports import Figures, heading

STAGES = ("load", "condition", "denoise", "decode", "encode", "clip")
CLOCKS = ("wall", "cpu")


def table(report: Figures) -> str:
    """Return what a person reads."""
    setting, paired = report["setting"], report["paired"]
    before, after = report["machine"]["load_average"]
    return "\n".join(
        (
            heading(report, paired["threads"]),
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
    for side in report["seconds"]["wall"]:
        wall, cpu = (median(report["seconds"][clock][side]["clip"]) for clock in CLOCKS)
        reported: list[str] = []
        for clock in CLOCKS if side != "stock" else ():
            ratio = report["ratios"][clock][side]["clip"]
            reported += [f"{ratio['median']:.2f}", f"{ratio['low']:.2f}..{ratio['high']:.2f}"]
        yield row(side, f"{wall:.2f}", f"{cpu:.2f}", "", *(reported or ["1", "", "1", ""]))


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


def points(report: Figures) -> dict[str, Figures]:
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
