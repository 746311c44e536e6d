"""The options of a `MemoryPlan`: which of them are set by hand, and how each is said.

What an option saves is the engine's `MemoryModel`'s business, which one a job gets `plan`'s.
"""

from __future__ import annotations

from collections.abc import Iterator

from i2v.core.errors import Notice
from i2v.core.memory_plan import MemoryPlan

_NAMES = ("offload", "cfg_passes", "decode_chunk", "chunk_tokens", "storage_dtype")


def set_by_hand(plan: MemoryPlan) -> set[str]:
    """Return the names of the options that are not at their default."""
    default = MemoryPlan(plan.device, plan.dtype)
    return {name for name in _NAMES if getattr(plan, name) != getattr(default, name)}


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
    if plan.storage_dtype == "float8_e4m3fn":
        yield Notice("plan.float8", {})
    if plan.vae_tiling:
        yield Notice("plan.tiled", {})
