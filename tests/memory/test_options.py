"""i2v.memory.options: which ways there are to take less memory, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2v.core.errors import Notice
from i2v.core.schema import MemoryPlan
from i2v.memory.options import FEW_TOKENS, explain, set_by_hand, ways_down
from tests.memory.test_estimate import I2VGEN_XL, clip

CARD = MemoryPlan("cuda", "float16")
GUIDED, UNGUIDED = clip(I2VGEN_XL, 512, 16), clip(I2VGEN_XL, 512, 16, guidance=1.0)


def test_the_first_way_is_the_plan_itself_and_what_costs_least_changes_first() -> None:
    first, second, third, *_ = ways = list(ways_down(CARD, GUIDED))
    assert first == CARD
    assert second == replace(CARD, chunk_tokens=FEW_TOKENS)
    assert third == replace(CARD, decode_chunk=1)
    assert ways[-1] == replace(CARD, chunk_tokens=FEW_TOKENS, decode_chunk=1, cfg_passes=2, offload="model")
    assert len(ways) == len(set(ways)) == 24


def test_no_way_changes_frames_or_goes_up_again() -> None:
    ways = list(ways_down(replace(CARD, offload="encoders", chunk_tokens=64, decode_chunk=1), GUIDED))
    assert {way.offload for way in ways} == {"encoders", "model"}
    assert {(way.chunk_tokens, way.decode_chunk, way.dtype) for way in ways} == {(64, 1, "float16")}
    assert not any(way.vae_tiling for way in ways)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_has_nowhere_to_be_offloaded_to_is_not(device: str) -> None:
    ways = ways_down(replace(CARD, device=device), GUIDED)  # type: ignore[arg-type]
    assert {way.offload for way in ways} == {"none"}


def test_a_clip_without_guidance_has_nothing_to_do_in_two_passes() -> None:
    assert {way.cfg_passes for way in ways_down(CARD, UNGUIDED)} == {1}


def test_what_was_set_by_hand_can_be_kept() -> None:
    plan = replace(CARD, cfg_passes=2, chunk_tokens=99_999, vae_tiling=True)
    assert set_by_hand(plan) == {"cfg_passes", "chunk_tokens"}
    assert set_by_hand(CARD) == set()
    ways = list(ways_down(plan, GUIDED, kept=set_by_hand(plan)))
    assert {(way.cfg_passes, way.chunk_tokens) for way in ways} == {(2, 99_999)}
    assert len(ways) == 6


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"decode_chunk": 4}, []),
        ({"decode_chunk": 1}, ["plan.small_chunks"]),
        ({"chunk_tokens": 4096, "cfg_passes": 2}, ["plan.small_chunks", "plan.two_passes"]),
        ({"offload": "encoders"}, ["plan.offload_encoders"]),
        ({"offload": "model", "vae_tiling": True}, ["plan.offload_model", "plan.tiled"]),
    ],
)
def test_each_option_is_told_in_a_sentence(changes: dict[str, object], codes: list[str]) -> None:
    told = list(explain(replace(CARD, **changes)))  # type: ignore[arg-type]
    assert told == [Notice(code, {}) for code in codes]
    assert all(notice.message.endswith(".") for notice in told)
