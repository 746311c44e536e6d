"""The gate: what passes, and each way to fail."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.gate import (
    CANNOT_TELL,
    ENOUGH,
    Measured,
    certificate,
    certify,
    exit_code,
    judge,
    parse,
    table,
)
from benchmarks.quality import Quality
from i2v.core.schedules import fast
from i2v.weights.certificates import Certificate

STOCK = Quality(0.016, 0.001, 0.0002, 0.04, 0.0, 1.0, 22.0)
REFERENCE = Quality(0.0, 0.0, 0.0, 0.0, 0.04, 1.03, 21.95)
GOOD = Quality(0.018, 0.0011, 0.0002, 0.045, 0.06, 0.98, 21.9)


def of(*clips: Quality) -> list[Measured]:
    return [Measured(clip, STOCK, REFERENCE) for clip in clips]


def failed(*clips: Quality) -> list[str]:
    return [check.name for check in judge(of(*clips), 50) if not check.passed]


def test_stock_and_the_reference_themselves_pass() -> None:
    assert failed(*[STOCK] * 10) == failed(*[REFERENCE] * 10) == failed(*[GOOD] * 10) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"latent_error": 0.0201}, "latent RMSE / stock's"),
        ({"structure_error": 0.00126}, "1-SSIM / stock's"),
        ({"scales_error": 0.00026}, "1-MS-SSIM / stock's"),
        ({"flow_error": 0.051}, "flow error / stock's"),
        ({"flow_to_stock": 0.067}, "flow to stock / reference's"),
        ({"energy": 0.89}, "frame-difference energy / stock's"),
        ({"energy": 1.11}, "frame-difference energy / stock's"),
        ({"first_frame": 21.7}, "first frame, dB lost"),
        ({"latent_error": float("nan")}, "latent RMSE / stock's"),
    ],
)
def test_each_figure_alone_can_fail(change: dict[str, float], name: str) -> None:
    bad = replace(GOOD, **change)
    assert failed(*[bad] * 10) == [name]
    assert failed(*[GOOD] * 8, bad, bad) == ([name] if "first_frame" not in change else [])  # a fifth of all
    assert "FAILED" in table(judge(of(*[bad] * 10), 50))


def test_one_clip_of_24_is_outside_the_worst_decile_and_three_are_not() -> None:
    bad = replace(GOOD, latent_error=0.03)
    assert failed(*[GOOD] * 23, bad) == []
    assert failed(*[GOOD] * 21, bad, bad, bad) == ["latent RMSE / stock's"]


def test_a_first_frame_may_be_worse_in_few_clips_but_not_by_much() -> None:
    worse, far_worse = replace(GOOD, first_frame=21.7), replace(GOOD, first_frame=21.4)
    assert failed(*[GOOD] * 8, worse, worse) == []
    assert failed(*[GOOD] * 8, far_worse, far_worse) == ["first frame, dB lost"]


def test_fewer_steps_may_be_further_from_stock_only_as_far_as_more_steps_lead() -> None:
    flow = {check.name: check.allowed[1] for check in judge(of(GOOD), 25)}["flow to stock / reference's"]
    assert flow == pytest.approx(1.25 * 8 / 7)


def test_too_few_clips_tell_nothing() -> None:
    checks = judge(of(*[GOOD] * 10), 50)
    assert exit_code(checks, ENOUGH) == 0
    assert exit_code(checks, ENOUGH - 1) == CANNOT_TELL
    assert exit_code(judge(of(replace(GOOD, energy=0.5)), 50), 1) == 1


def test_a_certificate_holds_for_what_was_measured_and_for_fewer_steps_of_the_same_schedule(
    tmp_path: Path,
) -> None:
    checks = judge(of(*[GOOD] * 24), 50)
    made = certificate(parse([]), fast(50), checks, 24)
    assert made["schedule"] == {**asdict(fast(50)), "timesteps": fast(50).timesteps}
    low, high = made["num_inference_steps"]
    assert fast(low) == fast(high) != fast(low - 1)
    assert high == 50
    ranges = {name: tuple(made[name]) for name in Certificate.__dataclass_fields__}
    assert Certificate(**ranges).guidance_scale == (1.0, 1.0)

    path = tmp_path / "certificates.json"
    path.write_text('{"others": []}')
    certify("weights", made, path)
    guided = {**made, "guidance_scale": [2.5, 2.5]}
    certify("weights", guided, path)
    certify("weights", {**guided, "clips": 27}, path)
    kept = json.loads(path.read_text())
    assert [(one["guidance_scale"], one["clips"]) for one in kept["weights"]] == [
        ([1, 1], 24),
        ([2.5, 2.5], 27),
    ]
    assert kept["others"] == []
