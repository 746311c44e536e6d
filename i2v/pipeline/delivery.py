"""The end of a clip: frames, and sound, as they were generated become the published video.

Owns what is done to each frame on the way: enlarged by a network, scaled, followed by frames in between,
labelled, encoded. Deliberately does not know where they come from: an engine that still works, or the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.generation import Generation
from i2v.core.results import Result
from i2v.core.schema import Language
from i2v.core.stages import Stage
from i2v.media.image import resize_frames
from i2v.media.interpolation import Interpolator
from i2v.media.label import VisibleLabel
from i2v.media.outputs import OutputTarget
from i2v.media.sound import Sound
from i2v.media.unpublished import Kept
from i2v.media.upscale import Upscaler
from i2v.media.video import Mp4Writer, VideoInfo
from i2v.pipeline.beginning import Beginning
from i2v.pipeline.stages import Stopwatch

Content = NDArray[np.uint8] | Sound


@dataclass(frozen=True)
class Marks:
    """What a video carries besides its frames: metadata, and a visible label in a language, if any."""

    tags: dict[str, str] = field(default_factory=dict)
    visible: Language | None = None


def deliver(
    content: Iterable[Content],
    generation: Generation,
    marks: Marks,
    output: OutputTarget,
    watch: Stopwatch,
    beginning: Beginning | None = None,
) -> VideoInfo:
    """Publish `content`: frames, uint8 of shape (n, height, width, 3) each, and a sound if any.

    It is taken one after another as it can be encoded, after the `beginning` that it is joined to, if any.
    Returns what the video is, and where. Whatever is raised, no file is left behind:
        EncodeError, InvalidRequest: see `Mp4Writer`.
        ModelUnavailable: the network that enlarges is gone; no frame was taken then.
        InsufficientMemory: `encode.out_of_memory`.
    """
    size = (generation.width, generation.height)
    label = VisibleLabel(size, generation.video_fps, marks.visible) if marks.visible else None
    upscaler = None
    if generation.upscaler != "lanczos":
        with watch.phase(Stage.UPSCALE):
            upscaler = Upscaler(generation.upscaler)
    between = None
    if generation.interpolation is not None:
        is_loop = generation.loop and generation.narration is None  # else its last frame may be held
        between = Interpolator(generation.interpolation, generation.fps, generation.video_fps, is_loop)
    with Mp4Writer(output, fps=generation.video_fps, size=size, tags=marks.tags) as writer:

        def write(frames: NDArray[np.uint8]) -> None:
            with _booked(watch, Stage.ENCODE):
                frames = resize_frames(frames, *size)
                frames = label.draw(frames) if label else frames
                writer.append(beginning.join(frames) if beginning else frames)

        for frames in beginning.frames() if beginning else ():
            with _booked(watch, Stage.ENCODE):
                marked = label.draw(frames) if label else frames  # of the clip's first seconds, in any case
                writer.append(frames if beginning and beginning.is_labelled else marked)
        sound: Sound | None = None
        for chunk in content:
            if isinstance(chunk, Sound):
                sound = chunk
                continue
            if upscaler is not None:
                with _booked(watch, Stage.UPSCALE):
                    chunk = resize_frames(upscaler.enlarge(chunk), *size)
            for frames in _timed(between.add(chunk), watch) if between else (chunk,):
                write(frames)
        for frames in _timed(between.end(), watch) if between else ():
            write(frames)
        if sound is not None:
            if generation.narration is not None:  # the last frame stays as long as is spoken
                writer.hold(sound.seconds)
            writer.add_sound(sound)
        with _booked(watch, Stage.ENCODE):
            return writer.finish()


def _timed(frames: Iterator[NDArray[np.uint8]], watch: Stopwatch) -> Iterator[NDArray[np.uint8]]:
    """Pass frames on, with the time that they take to be computed booked."""
    while True:
        with _booked(watch, Stage.INTERPOLATE):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def publish_kept(
    kept: Kept, output: OutputTarget, on_frame: Callable[[int], None] = lambda number: None
) -> Result:
    """Publish frames and sound that were kept, and remove them then.

    `on_frame` is called with each frame's number, and may raise.
    """
    about = kept.about
    watch = Stopwatch(dict(about.seconds))

    def content() -> Iterator[Content]:
        for number, frame in enumerate(kept.frames()):
            on_frame(number)
            yield frame
        sound = kept.sound()
        if sound is not None:
            yield sound

    video = deliver(content(), about.generation, Marks(about.tags, about.visible), output, watch)
    kept.remove()
    notices = (*about.notices, Notice("unpublished.published", {}))
    held = held_frames(video, about.generation)
    return Result(video.path, about.generation, notices, watch.seconds, about.stages, about.made_with, held)


def held_frames(video: VideoInfo, generation: Generation) -> int:
    """Return how often the last frame is repeated at the end of the clip of `generation`."""
    return video.num_frames - generation.video_frames


@contextmanager
def _booked(watch: Stopwatch, stage: Stage) -> Iterator[None]:
    try:
        with watch.phase(stage):
            yield
    except MemoryError as error:
        raise InsufficientMemory("encode.out_of_memory", reason=str(error) or "MemoryError") from error
