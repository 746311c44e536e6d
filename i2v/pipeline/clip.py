"""A clip whose engine is at work: its frames are encoded as they come, and kept where only that fails.

How the engine was loaded and what it was given is not known here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from i2v.core.errors import Cancelled, I2VError, Notice
from i2v.core.results import MadeWith, Result
from i2v.engines.base import Decoded, Engine, Event, Sounded
from i2v.media.checkpoints import Checkpoints
from i2v.media.latents import KeptLatents
from i2v.media.outputs import OutputTarget
from i2v.media.provenance import Provenance
from i2v.media.sound import Sound
from i2v.media.unpublished import About, FrameRecorder
from i2v.media.video.frames import read_sound
from i2v.pipeline.beginning import Beginning
from i2v.pipeline.delivery import Content, Marks, deliver, held_frames, publish_kept
from i2v.pipeline.enhance import Source
from i2v.pipeline.plan import ClipPlan
from i2v.pipeline.segments import SegmentBegun
from i2v.pipeline.soundtrack import Soundtrack
from i2v.pipeline.stages import BusyCpus, StageBooks, Stopwatch

# What may go well the next moment: the encoder was killed, the folder was moved while it wrote.
PASSING = ("encode.failed", "encode.broken", "encode.frames_lost", "encode.mismatch")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Output:
    """Where a clip goes.

    Attributes:
        recorder: copies frames that take long to make, in case that only the clip's end fails.
        checkpoints: keeps finished segments of a story, in the recorder's place: a retry goes on from there.
        latents: keep how far denoising is, likewise.
        tags: metadata of the video, besides where it comes from.
        track: the file that was kept of the sound that goes beside the frames (`Generation.sound`).
    """

    target: OutputTarget
    recorder: FrameRecorder | None = None
    checkpoints: Checkpoints | None = None
    latents: KeptLatents | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    track: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """The engine is ready, and the clip begins. `provenance`: where it will have come from."""

    provenance: Provenance
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class FrameRead:
    """A frame of the clip that is made longer was read."""

    notices: tuple[Notice, ...] = ()


Made = SegmentBegun | Event
ClipEvent = Loaded | FrameRead | Made


@dataclass
class Clip:
    """A clip whose engine is at work; `notices` grow as it goes on."""

    plan: ClipPlan
    output: Output
    marks: Marks
    books: StageBooks
    watch: Stopwatch
    notices: list[Notice]
    engine: Engine
    versions: dict[str, str]
    soundtrack: Soundtrack
    source: Source | None = None
    busy: BusyCpus = field(default_factory=BusyCpus)
    has_begun: bool = False
    is_whole: bool = False  # all that the engine makes has come

    def publish(self, events: Iterator[Made], handle: Callable[[ClipEvent], None]) -> Result:
        """Encode what the engine makes as it comes. Where only that fails, it is kept for a retry."""
        recorder, generation = self.output.recorder, self.plan.generation
        sound_seconds = self.soundtrack.seconds if self.plan.has_sound else 0.0
        with recorder.begin(generation, sound_seconds) if recorder is not None else nullcontext():
            content = self._made(events, handle)
            try:
                beginning = self._beginning(handle)
                video = deliver(content, generation, self.marks, self.output.target, self.watch, beginning)
            except Exception as error:  # a defect in the delivery is no reason to lose frames either
                if recorder is None or not self.has_begun or isinstance(error, Cancelled):
                    raise
                return self._publish_kept(content, recorder, error)
        return Result(
            video.path,
            generation,
            tuple(self.notices),
            self.watch.seconds,
            tuple(self.books.to_list()),
            self._made_with(),
            held_frames(video, generation),
        )

    def _beginning(self, handle: Callable[[ClipEvent], None]) -> Beginning | None:
        source = self.source
        if source is None:
            return None
        is_labelled = source.provenance.visible_label is not None
        return Beginning(source.video, is_labelled, self.plan.generation, lambda: handle(FrameRead()))

    def _made_with(self) -> MadeWith:
        """Return what has computed the clip: a kernel that failed on the way is not in use any more."""
        engine, device = self.engine, self.plan.device
        busy = self.busy.average() if device.type == "cpu" else None
        return MadeWith(device.name, engine.plan.dtype, engine.kernels, self.versions, busy)

    def _made(self, events: Iterator[Made], handle: Callable[[Made], None]) -> Iterator[Content]:
        self.has_begun = True
        own: Sound | None = None
        if self.plan.generation.upscaler != "lanczos" or self.plan.generation.interpolation is not None:
            events = _frame_by_frame(events)
        for event in events:
            handle(event)
            if isinstance(event, Decoded):
                if self.output.recorder is not None:
                    self.output.recorder.append(event.frames)
                yield event.frames
            elif isinstance(event, Sounded):
                own = Sound(event.samples, event.sample_rate)
        sound = self.soundtrack.with_own(own)
        if self.source is not None:
            sound = read_sound(self.source.video)  # which silence follows
        if sound is not None:
            if self.output.recorder is not None:
                self.output.recorder.append_sound(sound)
            yield sound
        self.is_whole = True

    def _publish_kept(self, content: Iterator[Content], recorder: FrameRecorder, error: Exception) -> Result:
        """Have all of it kept; encode it once more where the error may pass, else raise it."""
        for _ in content:  # where the engine itself failed, there is no more
            pass
        if not self.is_whole:
            raise error
        stages = tuple(self.books.to_list())
        about = About(
            self.plan.generation,
            self.marks.tags,
            self.marks.visible,
            tuple(self.notices),
            self.watch.seconds,
            stages,
            made_with=self._made_with(),
        )
        kept = recorder.keep(about)
        if kept is None or not (isinstance(error, I2VError) and error.code in PASSING):
            raise error
        log.warning("the video is encoded once more: %s", error)
        published = replace(publish_kept(kept, self.output.target), notices=tuple(self.notices))
        recorder.notice = None
        return published


def _frame_by_frame(events: Iterator[Made]) -> Iterator[Made]:
    """Pass events on, each frame as one: what takes a while for every frame can be cancelled between two."""
    for event in events:
        if isinstance(event, Decoded):
            for index in range(len(event.frames)):
                yield Decoded(event.frames[index : index + 1], () if index else event.notices)
        else:
            yield event
