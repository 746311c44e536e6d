"""A story as one stream of events: its segments, made one after another and joined.

Owns what a segment is made from, what is held back of it for the next one, and how the two are joined; of all
frames, only those that neighbours have in common are in memory. Each segment's frames are kept as they come
from the engine, and read again by a later attempt: all that follows from them is computed anew, so that the
story comes out the same. Deliberately does not know engines, jobs or files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.schema import MAX_SEED
from i2v.core.story import Segment
from i2v.engines.base import Decoded, Event, Inputs
from i2v.media.checkpoints import Checkpoints
from i2v.pipeline.drift import Frame, Look, corrected


@dataclass(frozen=True)
class SegmentBegun:
    """Segment `number` of `total` begins, which brings the story `frames` more."""

    number: int
    total: int
    frames: int
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Before:
    """What a story goes on from where it makes a clip longer (`Generation.extends`).

    Attributes:
        frames: the last ones of that clip, as many as neighbouring segments have in common, (H, W, 3) uint8
            of the size that is generated.
        first: the look of its first frame.
    """

    frames: tuple[Frame, ...]
    first: Look


# Makes one clip of the generation from the inputs: the engine.
Make = Callable[[Generation, Inputs], Generator[Event]]

_RESUMED = Notice("story.resumed", {})


def story_events(
    generation: Generation,
    inputs: Inputs,
    make: Make,
    checkpoints: Checkpoints | None = None,
    before: Before | None = None,
) -> Generator[SegmentBegun | Event]:
    """Yield the events of all segments, each after a `SegmentBegun`; `Decoded` has the story's own frames.

    A clip that is no story is made as it is. A notice that was said of one segment is not said again. Of a
    story that makes a clip longer, the first frames are those that it has in common with `before`, made anew.
    """
    if not generation.story:
        yield from make(generation, inputs)
        return
    segments = generation.segments
    joint, said = _Joint(generation, before), list[Notice]()
    for segment in segments:
        asked, given = _asked(generation, segment), joint.inputs(inputs, segment)
        shape = (asked.num_frames, asked.generated_height, asked.generated_width, 3)
        kept = None if checkpoints is None else checkpoints.find(segment.number, shape)
        notices = (_RESUMED,) if kept is not None and _RESUMED not in said else ()
        joint.begin(segment)
        brings = joint.brings(segment, is_last=segment is segments[-1])
        yield SegmentBegun(segment.number, len(segments), brings, notices)
        said += notices
        events = make(asked, given) if kept is None else (Decoded(frames) for frames in kept)
        with (
            closing(events),
            checkpoints.writing(segment.number) if checkpoints and kept is None else nullcontext() as file,
        ):
            for event in events:
                new = tuple(notice for notice in event.notices if notice not in said)
                said += new
                if not isinstance(event, Decoded):
                    yield replace(event, notices=new)
                    continue
                if file is not None:
                    file.append(event.frames)
                frames = joint.add(event.frames)
                if len(frames) or new:
                    yield Decoded(frames, new)
    yield Decoded(joint.end())


def _asked(generation: Generation, segment: Segment) -> Generation:
    """Return what the engine is asked for: each segment has noise of its own."""
    prompt = generation.new_scenes[segment.scene][0].prompt
    return replace(generation, prompt=prompt, seed=(generation.seed + segment.number) % (MAX_SEED + 1))


class _Joint:
    """Where one segment goes over into the next. Frames are uint8 (H, W, 3)."""

    def __init__(self, generation: Generation, before: Before | None) -> None:
        self._generation = generation
        # the last ones so far, which the next segment has too
        self._held: list[Frame] = [] if before is None else list(before.frames)
        self._old: list[Frame] = []  # those of the segment before
        self._left = 0  # frames of the segment that have not come yet
        self._first: Look | None = None if before is None else before.first
        # the frame at which what the engine gets begins: a camera moves on from the last one that is there
        self._origin = max(0, generation.extends - 1)

    def inputs(self, inputs: Inputs, segment: Segment) -> Inputs:
        """Return what the segment is made from."""
        if not self._held:
            return replace(inputs, start=segment.start - self._origin)
        frames = self._held
        if self._first is not None and self._generation.correct_drift:
            frames = corrected(frames, self._first)
        earlier = tuple(Image.fromarray(frame) for frame in frames)
        return replace(inputs, image=earlier[0], earlier=earlier, start=segment.start - self._origin)

    def begin(self, segment: Segment) -> None:
        # a clip that is made longer has its own frames at that place (`pipeline.extend`)
        self._old = self._held if segment.number else []
        self._held, self._left = [], segment.frames

    def brings(self, segment: Segment, is_last: bool) -> int:
        """Return how many frames come out of `add` for the segment, and of `end` after the last one."""
        return segment.frames if is_last else segment.frames - self._generation.overlap

    def add(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take frames, (n, H, W, 3), and return those that no segment after this one changes."""
        frames = frames[: self._left]
        if not len(frames):
            return frames
        self._left -= len(frames)
        if self._first is None:
            self._first = Look.of(frames[0])
        self._held += self._faded(frames)
        count = max(0, len(self._held) - self._generation.overlap)
        done, self._held = self._held[:count], self._held[count:]
        return np.stack(done) if done else frames[:0]

    def end(self) -> NDArray[np.uint8]:
        """Return what is held back."""
        return np.stack(self._held)

    def _faded(self, frames: NDArray[np.uint8]) -> Sequence[Frame]:
        """Return the frames, the first ones faded in over those of the segment before."""
        out, steps = list[Frame](), self._generation.overlap + 1
        for frame in frames:
            if self._old:
                share = 1 - len(self._old) / steps
                old = self._old.pop(0).astype(np.float32)
                frame = np.rint(old + np.float32(share) * (frame - old)).astype(np.uint8)
            out.append(np.array(frame))  # a copy: a view would keep all of the chunk
        return out
