"""The frames of a clip that is there, at the beginning of a longer one, and the seam between old and new.

Deliberately does not know how the new frames are made, nor where either video lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from i2v.core.generation import Generation
from i2v.media.video.frames import read_frames
from i2v.media.video.reading import VideoInfo


class Beginning:
    """The clip that a longer one begins with, as frames of the video; all of them but the last ones go by."""

    def __init__(
        self, video: VideoInfo, is_labelled: bool, generation: Generation, on_frame: Callable[[], None]
    ) -> None:
        """`is_labelled`: it says itself that it is generated, in its picture.

        `on_frame` is called with each frame, and may raise to cancel.
        """
        self.is_labelled = is_labelled
        self._video = video
        self._on_frame = on_frame
        new = generation.overlap + generation.fresh_frames
        come = -(-new * generation.video_fps // generation.fps)
        # As many as make the whole as long as it is to be, where the rates do not divide.
        self._joined = video.num_frames + come - generation.video_frames
        self._old: list[NDArray[np.uint8]] = []

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yield (1, H, W, 3) each; raises as `read_frames` does."""
        with closing(read_frames(self._video)) as frames:
            for number, frame in enumerate(frames):
                self._on_frame()
                if number < self._video.num_frames - self._joined:
                    yield frame
                else:
                    self._old.append(frame[0])

    def join(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return new frames, (n, H, W, 3), the first of which are faded in over the clip's last ones."""
        if not self._old:
            return frames
        faded = frames.astype(np.float32)
        for index in range(min(len(frames), len(self._old))):
            share = np.float32(1 - len(self._old) / (self._joined + 1))
            old = self._old.pop(0).astype(np.float32)
            faded[index] = old + share * (faded[index] - old)
        return np.rint(faded).astype(np.uint8)
