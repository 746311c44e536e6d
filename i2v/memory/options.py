"""How a job can take less memory: the same computing in smaller parts, or parts of the model elsewhere.

Owns which ways there are, in which order they are tried, and how they are told. What each takes is
`estimate`'s business, which one a job gets `memory`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import product
from typing import get_args

from i2v.core.errors import Notice
from i2v.core.schema import Generation, MemoryPlan, Offload

# Tokens that a transformer takes at a time, where an engine's own number is too many. Still fewer save
# nothing in clips that are large enough to matter: convolutions take more by then.
FEW_TOKENS = 4096

_NAMES = ("offload", "cfg_passes", "decode_chunk", "chunk_tokens")


def set_by_hand(plan: MemoryPlan) -> set[str]:
    """Return the names of the options that are not at their default."""
    default = MemoryPlan(plan.device, plan.dtype)
    return {name for name in _NAMES if getattr(plan, name) != getattr(default, name)}


def ways_down(plan: MemoryPlan, generation: Generation, kept: Collection[str] = ()) -> Iterator[MemoryPlan]:
    """Yield `plan` and all plans in which no option takes more than in it.

    What costs least changes first: chunks of tokens, chunks of frames, guidance in two passes, and where the
    model waits. `vae_tiling` stays: it alone changes the frames by more than rounding.

    Args:
        kept: names of options that stay too.
    """
    offloads: tuple[Offload, ...] = get_args(Offload)
    away = offloads[offloads.index(plan.offload) :] if plan.device == "cuda" else (plan.offload,)
    passes = (1, 2) if generation.guidance_scale > 1 and plan.cfg_passes == 1 else (plan.cfg_passes,)
    frames = (plan.decode_chunk, 1) if plan.decode_chunk != 1 else (1,)
    tokens = (plan.chunk_tokens,) if 0 < plan.chunk_tokens <= FEW_TOKENS else (plan.chunk_tokens, FEW_TOKENS)
    for offload, cfg_passes, decode_chunk, chunk_tokens in product(away, passes, frames, tokens):
        way = replace(
            plan, offload=offload, cfg_passes=cfg_passes, decode_chunk=decode_chunk, chunk_tokens=chunk_tokens
        )
        if all(getattr(way, name) == getattr(plan, name) for name in kept):
            yield way


def explain(plan: MemoryPlan) -> Iterator[Notice]:
    """Yield what `plan` does to take less memory, each as one sentence."""
    if plan.chunk_tokens or plan.decode_chunk == 1:
        yield Notice("plan.small_chunks", {})
    if plan.cfg_passes == 2:
        yield Notice("plan.two_passes", {})
    if plan.offload == "encoders":
        yield Notice("plan.offload_encoders", {})
    if plan.offload == "model":
        yield Notice("plan.offload_model", {})
    if plan.vae_tiling:
        yield Notice("plan.tiled", {})
