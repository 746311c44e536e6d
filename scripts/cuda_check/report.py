"""Rows as a person reads them: a line each while they come, and a short table last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from scripts.cuda_check.rows import Row

GIB = 2**30


def line(row: Row) -> str:
    spent = "" if row.seconds is None else f"{row.seconds:7.1f} s"
    detail = "; ".join(filter(None, [row.detail, _figures(row)]))
    return f"{row.part:<12}{row.status:<8}{spent:>10}  {row.name}{': ' if detail else ''}{detail}"


def _figures(row: Row) -> str:
    words = []
    for name, value in row.figures.items():
        if name == "kernels":
            continue
        if isinstance(value, int) and "bytes" in name and value >= 2**20:
            value = f"{value / GIB:.2f} GiB"
        if isinstance(value, float):
            value = f"{value:.4g}"
        words.append(f"{name} {value}")
    return ", ".join(words)[:400]


def table(rows: Iterable[Row]) -> str:
    """Return how many rows of each part passed, what failed, and the figures that matter most."""
    rows = list(rows)
    return "\n".join(["", *_counts(rows), "", *_speed(rows), *_failures(rows)])


def _counts(rows: list[Row]) -> Iterator[str]:
    yield f"{'part':<14}{'ok':>6}{'failed':>8}{'skipped':>9}"
    for part in dict.fromkeys(row.part for row in rows):
        found = Counter(row.status for row in rows if row.part == part)
        yield f"{part:<14}{found['ok']:>6}{found['failed']:>8}{found['skipped']:>9}"


def _speed(rows: list[Row]) -> Iterator[str]:
    timed = [row for row in rows if "milliseconds" in row.figures and row.part != "kernels"]
    if timed:
        yield f"{'one guided evaluation':<36}{'ms':>10}{'stock/this':>12}{'over weights':>15}"
    for row in timed:
        most, against = row.figures["peak_bytes_over_weights"], row.figures.get("stock_over_this", "")
        held = f"{most / GIB:.2f} GiB" if isinstance(most, int) else ""
        yield f"{row.name:<36}{row.figures['milliseconds']:>10}{against:>12}{held:>15}"
    for row in rows:
        if row.part == "clips" and "seconds" in row.figures:
            seconds = row.figures["seconds"]
            assert isinstance(seconds, dict)
            of_all = f", all steps {row.figures['seconds_whole']} s" if "seconds_whole" in row.figures else ""
            beside = row.figures.get("measured_over_estimate")
            memory = "" if beside is None else f", memory {beside} of the estimate"
            yield f"clip {row.name}: {seconds['clip']:.2f} s{of_all}{memory}"


def _failures(rows: list[Row]) -> Iterator[str]:
    failed = [row for row in rows if row.status == "failed"]
    yield f"\n{len(failed)} failed" if failed else "\nNothing failed"
    for row in failed:
        yield f"  {row.part}: {row.name}: {(row.detail or '')[:200]}"
