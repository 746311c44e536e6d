"""A report as a person reads it: a line a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from i2v.bench.report import Figures, Report, Row
from i2v.memory.model import GIB


def heading(report: Report) -> str:
    device = cast("dict[str, object]", report.about["device"])
    engine = cast("dict[str, object]", report.about["engine"])
    versions = cast("dict[str, object]", report.about["versions"])
    driver = f", driver {device['driver']}" if device["driver"] else ""
    return (
        f"{engine['name']} on {device['name']}{driver}; i2v {versions['i2v']}, torch {versions['torch']},"
        f" diffusers {versions['diffusers']}"
    )


def line(row: Row) -> str:
    """Return "check  name  status  figures", and what there is to say of it."""
    words = "; ".join(_words(row))
    details = ". ".join(text for text in (words, row.message) if text)
    return f"{row.check:<8} {row.name:<15} {row.status:<8}{details}".rstrip()


def _words(row: Row) -> Iterator[str]:
    figures = row.figures
    clip = figures.get("seconds")
    if isinstance(clip, dict) and "clip" in clip:
        yield _size(figures)
        yield f"{clip['clip']:.1f} s" + _beside(figures, "seconds", "s")
    held = figures.get("bytes")
    if isinstance(held, dict) and (count := held["reserved"] or held["peak"]):
        yield f"{count / GIB:.2f} GB" + _beside(figures, "gigabytes", "GB")
    if "max_difference" in figures:
        expected = " and ".join(
            f"{name.partition('_')[0]} {value:.3g}"
            for name, value in cast("dict[str, float]", figures["expected_at_most"]).items()
        )
        yield (
            f"frames differ by up to {figures['max_difference']} of 255,"
            f" {figures['mean_difference']:.3f} on average (expected: at most {expected})"
        )
    if "black_frames" in figures:
        yield f"{figures['frames']} frames, no NaN"
    for stage in ("denoise", "decode"):
        if isinstance(stopped := figures.get(stage), dict):
            yield f"{stage}: stopped after {stopped['seconds']:.2f} s"
    if rungs := figures.get("stepped_down"):
        yield f"saved memory in {len(cast('list[object]', rungs))} steps and finished"


def _size(figures: Figures) -> str:
    run, steps = figures.get("steps_run"), figures["num_inference_steps"]
    ran = f", {run} of them run" if run not in (None, steps) else ""
    fast = ", fast" if figures.get("speed") == "fast" else ""
    return f"{figures['width']} x {figures['height']} x {figures['num_frames']}, {steps} steps{fast}{ran}"


def _beside(figures: Figures, name: str, unit: str) -> str:
    """Return the estimate and what was published, where there are."""
    words = []
    estimate, published = figures.get("estimate"), figures.get("published")
    if isinstance(estimate, dict):
        value = estimate["seconds"] if name == "seconds" else estimate["bytes"] / GIB
        if value is not None:
            words.append(f"estimated {value:.{0 if name == 'seconds' else 2}f}")
    if isinstance(published, dict):
        words.append(f"published {published[name]:g} {unit}")
    return f" ({', '.join(words)})" if words else ""
