"""What frames look like in numbers, and how they are brought back to the look of a story's first frame.

A model sees the last frame of what it made before and makes the next one from that, so that small errors add
up: colours shift, contrast grows or fades, fine detail goes. Means and deviations of the channels are matched
as by Reinhard et al. (2001, "Color transfer between images"), but in RGB; sharpness by an unsharp mask.
What has really changed in the picture looks like drift too: therefore each is only changed so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Frame = NDArray[np.uint8]  # (H, W, 3)

BLUR_RADIUS = 1.5  # pixels: what it takes away is fine detail
# How far a picture is changed at a time, at most.
MOST_GAIN = 1.1
MOST_SHIFT = 8.0  # levels of 255
MOST_SHARPENING = 0.5


@dataclass(frozen=True)
class Look:
    """Means and standard deviations of the channels, 0 to 255; the deviation of fine detail."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    detail: float

    @classmethod
    def of(cls, frame: Frame) -> Look:
        pixels = frame.astype(np.float32)
        red, green, blue = (float(each) for each in pixels.mean((0, 1)))
        deviations = (float(each) for each in pixels.std((0, 1)))
        detail = float((pixels - _blurred(frame)).std())
        first, second, third = deviations
        return cls((red, green, blue), (first, second, third), detail)


def corrected(frames: Sequence[Frame], first: Look) -> list[Frame]:
    """Return frames that follow each other, changed alike: the last one is nearer to the look `first`."""
    now = Look.of(frames[-1])
    gains = np.clip(_ratio(first.deviation, now.deviation), 1 / MOST_GAIN, MOST_GAIN)
    shifts = np.clip(np.subtract(first.mean, now.mean), -MOST_SHIFT, MOST_SHIFT)
    # a gain changes fine detail as well
    sharper = float(_ratio([first.detail], [now.detail * float(gains.mean())])[0]) - 1
    amount = float(np.clip(sharper, -MOST_SHARPENING, MOST_SHARPENING))
    mean = np.asarray(now.mean, np.float32)
    return [_changed(frame, mean, gains.astype(np.float32), shifts, amount) for frame in frames]


def _changed(
    frame: Frame,
    mean: NDArray[np.float32],
    gains: NDArray[np.float32],
    shifts: NDArray[np.float64],
    amount: float,
) -> Frame:
    pixels = frame.astype(np.float32)
    pixels += np.float32(amount) * (pixels - _blurred(frame))
    pixels = (pixels - mean) * gains + mean + shifts.astype(np.float32)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _ratio(wanted: Sequence[float], found: Sequence[float]) -> NDArray[np.float64]:
    return (np.asarray(wanted, np.float64) + 1e-3) / (np.asarray(found, np.float64) + 1e-3)


def _blurred(frame: Frame) -> NDArray[np.float32]:
    blurred = Image.fromarray(frame).filter(ImageFilter.GaussianBlur(BLUR_RADIUS))
    return np.asarray(blurred, np.float32)
