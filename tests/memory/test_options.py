"""i2v.memory.options: which options are set by hand, and how each is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2v.core.errors import Notice
from i2v.core.memory_plan import MemoryPlan
from i2v.memory.options import explain, set_by_hand

CARD = MemoryPlan("cuda", "float16")


def test_what_was_set_by_hand_is_known() -> None:
    assert set_by_hand(replace(CARD, cfg_passes=2, chunk_tokens=99, vae_tiling=True)) == {
        "cfg_passes",
        "chunk_tokens",
    }
    assert set_by_hand(CARD) == set()


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
def test_each_option_is_reported_in_a_sentence(changes: dict[str, object], codes: list[str]) -> None:
    reported = list(explain(replace(CARD, **changes)))  # type: ignore[arg-type]
    assert reported == [Notice(code, {}) for code in codes]
    assert all(notice.message.endswith(".") for notice in reported)
