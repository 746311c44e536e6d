"""A clip that ends where it begins: what it will be, and its frames in their order.

How an engine makes both ends of a clip alike is its own business.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.schema import GenerationRequest
from i2v.engines.base import Decoded, Event

_SHARE = 4  # of a clip, the part that it has twice


def with_loop(generation: Generation, request: GenerationRequest, spec: EngineSpec) -> Generation:
    """Return the generation of a request that may ask for a loop; an engine's own is an option of it."""
    kind, count = spec.capabilities.loop, generation.num_frames
    if not request.loop or kind == "own":
        return generation
    if kind == "wrapped":
        overlap = max(1, count // _SHARE)
        return replace(generation, loop=True, overlap=overlap, made_frames=count - overlap)
    return replace(generation, loop=True, made_frames=2 * count - 2)


def notices_on_loop(generation: Generation) -> Iterator[Notice]:
    """Yield how a loop is made, and what that does to its length."""
    if generation.loop and generation.made_frames:
        code = "loop.wrapped" if generation.overlap else "loop.back"
        made, shown = generation.num_frames, generation.made_frames
        yield Notice(code, {"num_frames": made, "video_frames": shown})


def looped(events: Iterator[Event], generation: Generation) -> Generator[Event]:
    """Pass the events of a clip on, those of a loop with the frames that it shows."""
    if not generation.loop or not generation.made_frames:  # the second: its frames are a loop as they are
        yield from events
        return
    left, kept = generation.made_frames, list[NDArray[np.uint8]]()
    for event in events:
        if not isinstance(event, Decoded):
            yield event
            continue
        frames = event.frames[:left]
        left -= len(frames)
        if not generation.overlap:
            kept.append(frames)
        if len(frames) or event.notices:
            yield replace(event, frames=frames)
    if kept:
        yield Decoded(np.concatenate(kept)[-2:0:-1])
