"""Sound that belongs to a video: samples, and how they are brought to the video's length.

Deliberately does not know which model made it, nor how it is encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

MAX_CHANNELS = 2  # every browser plays mono and stereo
SAMPLE_RATES = (8_000, 192_000)  # the lowest and the highest, in hertz; what AAC lacks ffmpeg converts


@dataclass(frozen=True)
class Sound:
    """Samples, float32 of shape (n, channels) in [-1, 1], `sample_rate` of them a second."""

    samples: NDArray[np.float32]
    sample_rate: int

    @property
    def channels(self) -> int:
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    def __str__(self) -> str:
        return f"{self.samples.dtype} {self.samples.shape} at {self.sample_rate} Hz"

    def problem(self) -> str:
        """Return what it would have to be to be encoded, "" where it can be."""
        if self.samples.dtype != np.float32 or self.samples.ndim != 2:
            return "float32 (n, channels) is needed"
        if not 1 <= self.channels <= MAX_CHANNELS:
            return f"1 to {MAX_CHANNELS} channels are needed"
        low, high = SAMPLE_RATES
        if not low <= self.sample_rate <= high:
            return f"{low} to {high} samples a second are needed"
        if not np.isfinite(self.samples).all():
            return "all samples must be finite numbers"
        return ""

    def fitted(self, seconds: float) -> Self:
        """Return the sound at a length of `seconds`: cut at its end, or followed by silence.

        Samples beyond [-1, 1] are clipped.
        """
        count = round(seconds * self.sample_rate)
        samples = np.zeros((count, self.channels), np.float32)
        kept = self.samples[:count]
        np.clip(kept, -1.0, 1.0, out=samples[: len(kept)])
        return type(self)(samples, self.sample_rate)
