"""Simulated peaks: which clips and plans are compared, and, in the slow run, what the goals are."""

from __future__ import annotations

import pytest

from benchmarks.memory import CARDS, Ours, Row, card, measure, plans, sizes, table
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.estimates import CONTEXT_BYTES
from i2v.memory.model import GIB

HALF = MemoryPlan("cuda", "float16")


def test_the_presets_and_the_models_own_size_are_compared() -> None:
    found = {name: (made.generated_width, made.generated_height, made.num_frames) for name, made in sizes()}
    assert found == {
        "quick": (512, 512, 8),
        "standard": (512, 512, 16),
        "high": (768, 768, 24),
        "extreme": (1024, 1024, 32),
        "wide": (1280, 704, 16),
    }


def test_ours_is_run_by_the_plan_for_each_card_and_by_the_least_one() -> None:
    asked = dict(sizes())["extreme"]
    found = {name: (plan, fits) for name, plan, fits in plans(asked)}
    assert list(found) == [*(f"{gib} GB" for gib in CARDS), "least"]
    assert found["24 GB"] == (HALF, True)
    assert found["8 GB"][1] is False
    least, fits = found["least"]
    assert (least.offload, least.cfg_passes, least.decode_chunk, fits) == ("model", 2, 1, None)


def test_the_table_tells_the_stage_that_takes_most_and_how_it_is_done() -> None:
    low, high = ({"condition": count * GIB, "denoise": 0, "decode": GIB} for count in (2, 3))
    ours = {
        "8 GB": Ours(HALF, True, low),
        "4 GB": Ours(MemoryPlan("cuda", "float16", cfg_passes=2, offload="model"), False, low),
        "least": Ours(MemoryPlan("cuda", "float16", cfg_passes=2, offload="model"), None, low),
    }
    *_, line = table([Row("quick", 512, 256, 8, high, low, ours)]).splitlines()
    message = "2.00 (plain) | does not fit | 2.00 (two passes, offload model)"
    assert line == f"| 512x256x8 | 3.00 | 2.00 | {message} |"


@pytest.mark.slow
def test_the_goals_are_met() -> None:
    """512 x 512, 16 frames, within 4 GiB; 1024 x 1024, 32 frames, within 8 GiB."""
    asked = [(name, made) for name, made in sizes() if name in ("standard", "extreme")]
    rows = {row.name: row for row in measure(asked)}
    assert most(rows["standard"].ours["least"]) <= 4 * GIB
    assert most(rows["extreme"].ours["least"]) <= 8 * GIB
    assert max(rows["extreme"].stock.values()) > 24 * GIB
    for row in rows.values():
        for name, gib in ((f"{gib} GB", gib) for gib in CARDS):
            side = row.ours[name]
            assert most(side) < max(row.stock.values())
            if side.fits:
                assert most(side) + CONTEXT_BYTES < card(gib).total_memory - GIB


def most(side: Ours) -> int:
    return max(side.peaks.values())
