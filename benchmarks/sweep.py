"""The quality part of `benchmarks/speed.py`: every way of sampling, measured over the held-out clips.

    python -m benchmarks.sweep SETTING

SETTING is the JSON of a `benchmarks.race.Race`; the figures are printed as JSON, anew on a line of their own
with each clip that is measured. Clips are shared out among as many processes as have a core for each of their
threads, so the seconds here are CPU time and no more.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.baselines import Adaptive, Bench, DeepCache, Sampler, fast
from benchmarks.cases import Case, Clip, References, cases
from benchmarks.gate import Measured, judge, truths
from benchmarks.measure import counting
from benchmarks.quality import Quality
from benchmarks.race import Race, plain
from i2v.core.schedules import evaluations
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.weights import EMBEDDED_FOLDER, weights_digest


@dataclass(frozen=True)
class Row:
    """One case, by way of sampling: its quality, and its work ("cpu" seconds, UNet evaluations)."""

    case: str
    quality: dict[str, Quality]
    work: dict[str, dict[str, float]]


def swept(race: Race, ours: Sampler) -> list[Sampler]:
    """Return ours, and the baselines from careful to careless."""
    steps = race.num_inference_steps
    counts = {evaluations("fast", steps), steps // 2, steps * 3 // 4}
    return [
        ours,
        *(Adaptive(steps, threshold) for threshold in (0.0025, 0.005, 0.01)),
        *(DeepCache(steps, interval) for interval in (2, 3, 5)),
        *(plain(count) for count in sorted(counts)),
    ]


def measure(race: Race, case: Case) -> Row | None:
    """Measure one case, `None` where its references would have to be computed and should not be.

    Stock's clip and the reference are the kept ones; `race.paired` checks that stock gives the same.
    """
    torch.set_num_threads(race.threads)
    bench = Bench(EMBEDDED_FOLDER)
    references = References(weights_digest(EMBEDDED, EMBEDDED_FOLDER), Path(race.references))
    for _, truth in truths(bench, references, [case], race.kept_only):
        quality = {"stock": truth.measure(truth.stock), "reference": truth.measure(truth.reference)}
        work = {}
        conditioning = bench.condition(case.generation, case.picture)
        for sampler in swept(race, fast(bench.components, case.generation)):
            start = time.process_time()
            with counting(bench.components.unet) as pictures:
                latents = sampler.sample(bench.components, conditioning, case.generation)
            spent = {"cpu": time.process_time() - start}
            counts = {place: count / case.generation.num_frames for place, count in pictures.items()}
            work[sampler.label] = {**spent, **counts}
            quality[sampler.label] = truth.measure(Clip(latents.numpy(), bench.decode(latents)))
        print(f"{case.name}: measured", file=sys.stderr)
        return Row(case.name, quality, work)
    return None


def measure_all(race: Race) -> Iterator[Row]:
    """Yield each case as soon as it and those before it are measured."""
    chosen = [case.at(race.num_inference_steps) for case in cases(race.guidance_scale, race.clips, race.side)]
    workers = min(len(chosen), max(1, (os.cpu_count() or 1) // race.threads))
    if workers <= 1:
        yield from filter(None, (measure(race, case) for case in chosen))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from filter(None, pool.map(measure, [race] * len(chosen), chosen))


def reports(race: Race) -> Iterator[dict[str, object]]:
    """Yield the figures of the cases so far: with each one, or once where none can be measured."""
    rows: list[Row] = []
    for row in measure_all(race):
        rows.append(row)
        yield report(rows, race.num_inference_steps)
    if not rows:
        yield report(rows, race.num_inference_steps)


def report(rows: Sequence[Row], num_inference_steps: int) -> dict[str, object]:
    labels = list(rows[0].work) if rows else []
    checks = {
        label: judge(
            [Measured(row.quality[label], row.quality["stock"], row.quality["reference"]) for row in rows],
            num_inference_steps,
        )
        for label in labels
    }
    return {
        "cases": [row.case for row in rows],
        "measured": [{label: asdict(one) for label, one in row.quality.items()} for row in rows],
        "work": {label: [row.work[label] for row in rows] for label in labels},
        "gate": {
            label: [{**asdict(check), "passed": check.passed} for check in found]
            for label, found in checks.items()
        },
    }


if __name__ == "__main__":
    for found in reports(Race(**json.loads(sys.argv[1]))):
        print(json.dumps(found), flush=True)
