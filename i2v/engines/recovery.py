"""Work goes on where memory ran out: what is finished is kept, the next plan does the rest.

Owns the order of things: let go of all that the failure holds, give the memory back, ask the ladder, say so,
go on. Which errors mean a lack of memory, and what of the work outlives one, is its own business: loading
(`i2v.pipeline`) and a clip (its engine).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Protocol

from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import Event, Ladder, SteppedDown
from i2v.memory import allocator

_RAN_OUT: dict[Stage, Notice] = {
    Stage.LOAD: Notice("ladder.load", {}),
    Stage.CONDITION: Notice("ladder.condition", {}),
    Stage.DENOISE: Notice("ladder.denoise", {}),
    Stage.DECODE: Notice("ladder.decode", {}),
}

log = logging.getLogger(__name__)


class Work(Protocol):
    """Something that may run out of memory. Its `stage` is the one that it is in, `None` once it is done."""

    @property
    def stage(self) -> Stage | None: ...

    def events(self, plan: MemoryPlan) -> Generator[Event]:
        """Go on by `plan` from what is finished."""
        ...


def recovering(
    work: Work, plan: MemoryPlan, ladder: Ladder, reason_of: Callable[[BaseException], str | None]
) -> Generator[Event]:
    """Yield the work's events, and a `SteppedDown` wherever it goes on by another plan.

    Args:
        reason_of: says in short what ran out of memory, `None` for any other error.
    Raises:
        InsufficientMemory: `engine.out_of_memory`, where the ladder has no plan left.
    """
    while True:
        reason: str | None = None
        lower: MemoryPlan | None = None
        with closing(work.events(plan)) as events:
            try:
                lower = yield from _until_short(events, work, plan, ladder)
            except Exception as error:
                reason = reason_of(error)
                if reason is None:
                    raise
        # The error is gone here, and with it its traceback, whose frames hold all that was being computed.
        stage = work.stage
        if stage is None:
            return
        allocator.release()
        why = Notice("ladder.short", {})
        if lower is None:
            lower = ladder.step_down(plan, stage)
            if lower is None:
                raise InsufficientMemory("engine.out_of_memory", reason=reason)
            why = _RAN_OUT[stage]
        log.warning("%s%s It goes on by %s", why.message, f" ({reason})" if reason else "", lower)
        yield SteppedDown(stage, lower, (why, *changes(plan, lower)))
        plan = lower


def _until_short(
    events: Iterable[Event], work: Work, plan: MemoryPlan, ladder: Ladder
) -> Generator[Event, None, MemoryPlan | None]:
    """Pass events on; where memory is short and there is a plan that takes less, return it."""
    stage = work.stage
    for event in events:
        if work.stage != stage:
            stage = work.stage
            allocator.trim()  # so that a stage does not hold what only the one before it needed
        yield event
        if stage is not None and ladder.is_short():
            lower = ladder.step_down(plan, stage)
            if lower is not None:
                return lower
    return None


def changes(before: MemoryPlan, after: MemoryPlan) -> Iterator[Notice]:
    """Yield what `after` does another way than `before`; only the last of them changes the frames."""
    if after.chunk_tokens != before.chunk_tokens:
        yield Notice("ladder.chunk_tokens", {"chunk_tokens": after.chunk_tokens})
    if after.decode_chunk != before.decode_chunk:
        yield Notice("ladder.decode_chunk", {"decode_chunk": after.decode_chunk})
    if after.cfg_passes != before.cfg_passes:
        yield Notice("ladder.cfg_passes", {"cfg_passes": after.cfg_passes})
    if after.offload == "encoders" != before.offload:
        yield Notice("ladder.offload_encoders", {})
    if after.offload == "model" != before.offload:
        yield Notice("ladder.offload_model", {})
    if after.vae_tiling != before.vae_tiling:
        yield Notice("ladder.vae_tiling", {})
