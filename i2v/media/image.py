"""A picture's pixels to a model's size: what is cut, padded and enlarged, and what is said of it.

Owns the arithmetic of sizes. Files are `pictures`' business; what the rest of the program needs of it is
found here too. Deliberately does not know which model the pixels are for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.crop import Crop
from i2v.core.errors import Notice
from i2v.core.schema import Fit
from i2v.media.pictures.decode import Inspection, Picture, decode_picture, inspect_picture
from i2v.media.pictures.kinds import FORMATS
from i2v.media.pictures.limits import DEFAULT_LIMITS, ImageLimits

__all__ = [
    "DEFAULT_LIMITS", "FORMATS", "Fit", "FittedPicture", "ImageLimits", "Inspection", "Picture",
    "cropped", "decode_picture", "fit_picture", "fit_size", "inspect_picture", "kept_part", "resize_frames",
]  # fmt: skip

PADDING_COLOUR = (0, 0, 0)
# "keep" may make so much less or more than the area aimed at where that comes nearer to the picture's shape:
# what a gate passes for a size reaches a sixteenth beyond its side (`benchmarks/gate.py`).
_LEAST_AREA, _MOST_AREA = 0.7, (17 / 16) ** 2
_AREA_WEIGHT = 0.2  # a tenth of the area is worth as much as a fiftieth of the picture


@dataclass(frozen=True)
class FittedPicture:
    """A picture at a model's size, and what was done to get there.

    crop: (left, top, right, bottom) of the part that was kept, in the given picture's pixels; fractions of
        a pixel are meant, they keep the aspect ratio exact. None: all of it was kept.
    padding: (left, top, right, bottom) pixels of `PADDING_COLOUR` around the picture in `image`. None: none.
    scale: (horizontal, vertical) factor from kept source pixels to result pixels.
    """

    image: Image.Image
    crop: tuple[float, float, float, float] | None
    padding: tuple[int, int, int, int] | None
    scale: tuple[float, float]
    notices: tuple[Notice, ...]


def fit_size(
    width: int, height: int, area_side: float, multiple: int, fit: Fit, largest_side: float = math.inf
) -> tuple[int, int]:
    """Return the (width, height) to generate for a picture of `width` x `height` pixels.

    The area aimed at is `area_side` squared ("512p" is 512 x 512); both sides are multiples of `multiple`, at
    least one. "keep" has the shape near the picture's of which the least is cut, for about that area, and no
    side over `largest_side` where one near that area has none; "crop" and "pad" are square.
    """
    if min(width, height, area_side, multiple) < 1:
        raise ValueError(f"sizes must be positive: {width=}, {height=}, {area_side=}, {multiple=}")
    if fit == "keep":
        return _nearest_shape(width / height, area_side**2, multiple, largest_side)
    side = _round_to(area_side, multiple)
    return side, side


def _nearest_shape(aspect: float, area: float, multiple: int, largest_side: float) -> tuple[int, int]:
    """Return the size with the least cut of a picture of that `aspect` (width / height), and a good area."""
    wide, high = math.sqrt(area * aspect), math.sqrt(area / aspect)

    def cost(size: tuple[int, int]) -> float:
        shape = size[0] / size[1] / aspect
        return 1 - min(shape, 1 / shape) + _AREA_WEIGHT * abs(size[0] * size[1] / area - 1)

    sizes = [(_round_to(wide, multiple), _round_to(high, multiple))]
    for width in _multiples(wide, multiple):
        below = math.floor(width / aspect / multiple) * multiple
        sizes += [
            (width, height)
            for height in (below, below + multiple)
            if height and _is_near(width * height, area)
        ]
    allowed = [size for size in sizes if max(size) <= largest_side]
    return min(allowed or sizes, key=cost)  # of two, the first: the one that is nearest in pixels


def _multiples(length: float, multiple: int) -> range:
    """Return those around `length` with which the area can be one that is taken."""
    first = math.floor(length * math.sqrt(_LEAST_AREA) / multiple)
    last = math.ceil(length * math.sqrt(_MOST_AREA) / multiple)
    return range(max(1, first) * multiple, (last + 1) * multiple, multiple)


def _is_near(pixels: int, area: float) -> bool:
    return _LEAST_AREA * area <= pixels <= _MOST_AREA * area


def _round_to(length: float, multiple: int) -> int:
    return max(1, math.floor(length / multiple + 0.5)) * multiple


def fit_picture(image: Image.Image, width: int, height: int, fit: Fit) -> FittedPicture:
    """Bring an RGB picture to exactly `width` x `height` without ever stretching it.

    crop: fills the size. What is too wide is cut equally at both sides; what is too tall loses a third of the
        excess at the top and two thirds at the bottom, because heads are near the top.
    keep: for a size from `fit_size`, whose rounding leaves a small excess; it is cut equally at both sides.
    pad: all of the picture, centred on `PADDING_COLOUR`.
    """
    if image.mode != "RGB" or min(width, height) < 1:
        raise ValueError(f"an RGB picture and a positive size are needed: {image.mode}, {width}x{height}")
    if fit == "pad":
        return _pad(image, width, height)
    return _crop(image, width, height, fit)


def cropped(image: Image.Image, crop: Crop | None) -> Image.Image:
    """Return the part of a picture that was asked for; without a crop, all of it."""
    return image if crop is None else image.crop(crop.box(image.size))


def kept_part(size: tuple[int, int], width: int, height: int, fit: Fit) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of what a clip of `width` x `height` has of a picture of `size`.

    In the picture's pixels; fractions of one are meant. See `fit_picture` for where it is cut.
    """
    if fit == "pad" or size[0] * height == size[1] * width:
        return 0, 0, *size
    scale = max(width / size[0], height / size[1])
    kept_width, kept_height = min(size[0], width / scale), min(size[1], height / scale)
    left, top = (size[0] - kept_width) / 2, (size[1] - kept_height) * (1 / 3 if fit == "crop" else 1 / 2)
    return left, top, min(left + kept_width, size[0]), min(top + kept_height, size[1])


def lost_pixels(size: tuple[int, int], part: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """Return the whole pixels that a picture of `size` loses at (left, top, right, bottom) of its `part`.

    Less than one at a side is rounding, and not worth a word.
    """
    left, top, right, bottom = part
    lost = (left, top, size[0] - right, size[1] - bottom)
    whole = [math.floor(each + 1e-6) for each in lost]  # 3 pixels may be 2.9999999
    return whole[0], whole[1], whole[2], whole[3]


def _crop(image: Image.Image, width: int, height: int, fit: Fit) -> FittedPicture:
    scale = max(width / image.width, height / image.height)
    part = kept_part(image.size, width, height, fit)
    box, notices = None if part == (0, 0, *image.size) else part, _enlarged(scale, width, height)
    lost = lost_pixels(image.size, part)
    cut = dict(zip(("left", "top", "right", "bottom"), lost, strict=True))
    if any(lost):
        notices.append(Notice("image.cropped", {"source": f"{image.width}x{image.height}", **cut}))
    fitted = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    return FittedPicture(fitted, box, None, (scale, scale), tuple(notices))


def _pad(image: Image.Image, width: int, height: int) -> FittedPicture:
    scale = min(width / image.width, height / image.height)
    # Whole pixels: the two factors may differ by less than half a pixel over the side.
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    notices = _enlarged(scale, width, height)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    padding = (left, top, width - inner[0] - left, height - inner[1] - top)
    fitted = Image.new("RGB", (width, height), PADDING_COLOUR)
    fitted.paste(image.resize(inner, Image.Resampling.LANCZOS), (left, top))
    if any(padding):
        sides = dict(zip(("left", "top", "right", "bottom"), padding, strict=True))
        notices.append(Notice("image.padded", {"size": f"{width}x{height}", **sides}))
    factors = (inner[0] / image.width, inner[1] / image.height)
    return FittedPicture(fitted, None, padding if any(padding) else None, factors, tuple(notices))


def _enlarged(scale: float, width: int, height: int) -> list[Notice]:
    if scale <= 1:
        return []
    return [Notice("image.upscaled", {"factor": round(scale, 2), "size": f"{width}x{height}"})]


def resize_frames(frames: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return (n, height, width, 3) frames, scaled where (n, H, W, 3) `frames` are of another size."""
    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack(
        [
            np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))
            for frame in frames
        ]
    )
