"""Whether fast sampling is good enough with given weights, and the certificate that says so.

    python -m benchmarks.gate --weights i2v/embedded --num-inference-steps 50 --guidance-scale 1

Held-out photographs (`benchmarks.cases`) are made fast and measured (`benchmarks.quality`). The rule was
fixed before any schedule was tried, from the error of stock's own steps. With n for the steps asked for:

- Errors to the exact way at 200 steps (latents, structure at one and at several scales, flow): clip by clip,
  at most 1.25 times those of stock's n steps.
- Flow away from stock's n steps: at most 1.25 times as far as the exact limit of many steps is. DDIM is of
  first order, so this limit is 200 / (200 - n) times as far from n steps as 200 steps are.
- The energy of frame differences: 0.9 to 1.1 times stock's. A frozen clip and a flickering one fail here.
- The first frame: at most 0.2 dB (median) and 0.5 dB (worst decile) further from the picture than stock's.

Each is asked of the median over the clips and of the worst decile; energy's worst decile is at either end.

With `--certify`, what passed goes into `i2v/weights/certificates.json` and is the default of such requests.

Exit codes: 0 passed; 1 failed; 3 too few clips to tell.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines import EXACT, Bench, Sampler, fast
from benchmarks.cases import COUNT, REFERENCES, SIDE, Case, References, cases
from benchmarks.quality import Quality, Truth
from i2v.core.schedules import Schedule
from i2v.core.schedules import fast as sampled
from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.weights import EMBEDDED_FOLDER, weights_digest

CERTIFICATES = ROOT / "i2v" / "weights" / "certificates.json"
REFERENCE_STEPS = 200
ENOUGH = 24  # clips
WORST = 0.9  # the quantile beyond which the worst decile lies
AS_FAR_AS_STOCK = 1.25
CANNOT_TELL = 3

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """One case: the clip in question, stock's, and the reference's, each measured."""

    clip: Quality
    stock: Quality
    reference: Quality


@dataclass(frozen=True)
class Check:
    """One figure over all clips, and where it must lie; `deciles` are the bounds of the outer tenths."""

    name: str
    median: float
    deciles: Bounds
    allowed: Bounds
    allowed_worst: Bounds

    @property
    def passed(self) -> bool:
        (low, high), (worst_low, worst_high) = self.allowed, self.allowed_worst
        return low <= self.median <= high and worst_low <= self.deciles[0] and self.deciles[1] <= worst_high


def judge(measured: Sequence[Measured], num_inference_steps: int) -> list[Check]:
    """Apply the rule. A figure that is not a number passes nothing."""
    error: Bounds = (0.0, AS_FAR_AS_STOCK)
    further = REFERENCE_STEPS / (REFERENCE_STEPS - num_inference_steps)
    motion: Bounds = (0.0, AS_FAR_AS_STOCK * further)
    energy: Bounds = (0.9, 1.1)
    lost = -np.inf

    def check(name: str, figure: Callable[[Measured], float], allowed: Bounds, worst: Bounds) -> Check:
        values = [figure(one) for one in measured]
        low, middle, high = (float(np.quantile(values, share)) for share in (1 - WORST, 0.5, WORST))
        return Check(name, middle, (low, high), allowed, worst)

    return [
        check("latent RMSE / stock's", lambda m: m.clip.latent_error / m.stock.latent_error, error, error),
        check("1-SSIM / stock's", lambda m: m.clip.structure_error / m.stock.structure_error, error, error),
        check("1-MS-SSIM / stock's", lambda m: m.clip.scales_error / m.stock.scales_error, error, error),
        check("flow error / stock's", lambda m: m.clip.flow_error / m.stock.flow_error, error, error),
        check(
            "flow to stock / reference's",
            lambda m: m.clip.flow_to_stock / m.reference.flow_to_stock,
            motion,
            motion,
        ),
        check("frame-difference energy / stock's", lambda m: m.clip.energy, energy, energy),
        check(
            "first frame, dB lost",
            lambda m: m.stock.first_frame - m.clip.first_frame,
            (lost, 0.2),
            (lost, 0.5),
        ),
    ]


def truths(
    bench: Bench, references: References, chosen: Sequence[Case], kept_only: bool
) -> Iterator[tuple[Case, Truth]]:
    """Yield each case with what it is measured against; with `kept_only`, those that need no computing."""
    for case in chosen:
        stock, reference = case, case.at(REFERENCE_STEPS)
        if kept_only and not all(references.find(one) for one in (stock, reference)):
            continue
        clips = [references.get(one, lambda one: bench.make(one, EXACT)) for one in (stock, reference)]
        yield case, Truth(*clips, np.asarray(case.picture))


def measure(case: Case, truth: Truth, bench: Bench, sampler: Sampler) -> Measured:
    clip = bench.make(case, sampler)
    return Measured(truth.measure(clip), truth.measure(truth.stock), truth.measure(truth.reference))


def table(checks: Sequence[Check]) -> str:
    """Return what a person reads."""
    row = "{:<34}{:>9}{:>18}{:>18}{:>18}  {}".format
    lines = [row("", "median", "outer deciles", "allowed", "allowed, deciles", "")]
    for check in checks:
        bounds = [
            f"{low:.3f}..{high:.3f}" if np.isfinite(low) else f"up to {high:.3f}"
            for low, high in (check.deciles, check.allowed, check.allowed_worst)
        ]
        lines.append(row(check.name, f"{check.median:.3f}", *bounds, "ok" if check.passed else "FAILED"))
    return "\n".join(lines)


def exit_code(checks: Sequence[Check], count: int) -> int:
    if not all(check.passed for check in checks):
        return 1
    return 0 if count >= ENOUGH else CANNOT_TELL


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one setting and judge it; the figures are those of the JSON file and of a certificate."""
    digest = weights_digest(EMBEDDED, options.weights)
    bench = Bench(options.weights)
    chosen = [
        case.at(options.num_inference_steps)
        for case in cases(options.guidance_scale, options.clips, options.side)
    ]
    sampler = fast(bench.components, chosen[0].generation)
    references = References(digest, options.references)
    measured = {}
    for case, truth in truths(bench, references, chosen, options.kept_only):
        measured[case.name] = measure(case, truth, bench, sampler)
        print(f"{case.name}: {len(measured)} of {len(chosen)}", file=sys.stderr)
    if not measured:
        raise SystemExit("no references are kept: run this without --kept-only, which takes hours")
    checks = judge([*measured.values()], options.num_inference_steps)
    print(table(checks))
    return {
        "weights": digest,
        "certificate": certificate(options, sampler.schedule, checks, len(measured)),
        "checks": [{**asdict(check), "passed": check.passed} for check in checks],
        "exit_code": exit_code(checks, len(measured)),
        "measured": {name: asdict(one) for name, one in measured.items()},
    }


def certificate(
    options: argparse.Namespace, schedule: Schedule, checks: Sequence[Check], clips: int
) -> dict[str, Any]:
    """Return what `i2v.weights.certificates` reads: what was measured, and for which requests it holds.

    Fewer steps that are answered by the same schedule are held to less.
    """
    asked, side = options.num_inference_steps, options.side
    fewest = next(steps for steps in range(1, asked + 1) if sampled(steps) == sampled(asked))
    frames = EMBEDDED.presets["standard"].num_frames
    return {
        "schedule": asdict(schedule),
        "guidance_scale": [options.guidance_scale] * 2,
        "num_inference_steps": [fewest, asked],
        "num_frames": [frames, frames],
        "area_side": [side * 15 // 16, side * 17 // 16],
        "clips": clips,
        "figures": {
            check.name: {
                "median": round(check.median, 3),
                "deciles": [round(one, 3) for one in check.deciles],
            }
            for check in checks
        },
    }


def certify(weights: str, passed: dict[str, Any], path: Path) -> None:
    """Put a certificate into the table at `path`, in place of one for the same requests."""
    table: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    asked = ("guidance_scale", "num_frames", "area_side")
    others = [one for one in table.get(weights, []) if any(one[name] != passed[name] for name in asked)]
    table[weights] = sorted([*others, passed], key=lambda one: [one[name] for name in asked])
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Whether fast sampling is good enough with given weights.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--weights", type=Path, default=EMBEDDED_FOLDER, metavar="FOLDER")
    parser.add_argument("--num-inference-steps", type=int, default=50, help="that are asked for")
    parser.add_argument("--guidance-scale", type=float, default=1.0, help="over 1: guided")
    parser.add_argument("--side", type=int, default=SIDE, help="of the square pictures, in pixels")
    parser.add_argument("--clips", type=int, default=COUNT, help=f"under {ENOUGH} nothing passes")
    parser.add_argument("--references", type=Path, default=REFERENCES, metavar="FOLDER")
    parser.add_argument("--kept-only", action="store_true", help="only clips whose references are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--certify", action="store_true", help=f"write {CERTIFICATES.name} where it passes")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    report = run(options)
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.certify and report["exit_code"] == 0:
        certify(report["weights"], report["certificate"], CERTIFICATES)
    print({0: "passed", 1: "FAILED", CANNOT_TELL: "too few clips to tell"}[report["exit_code"]])
    return int(report["exit_code"])


if __name__ == "__main__":
    raise SystemExit(main())
