"""Pictures: untrusted bytes to upright RGB pixels, and those pixels to a model's size.

Owns what a picture may be (format, size, shape), how every kind of pixel becomes 8-bit sRGB, and how a
picture is cut or padded. Deliberately does not know where the bytes came from or which model the pixels are
for; a caller that fears a slow decoder runs `decode_picture` in a process with limits. Pillow's own warnings
are left to the caller's filters, because changing the filters is not thread-safe.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from i2v.errors import InvalidRequest, Notice
from i2v.schema import Fit
from i2v.settings import ImageSettings

# No EPS (runs Ghostscript) and no SVG. A phone's MPO opens as JPEG, with its first picture.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
PADDING_COLOUR = (0, 0, 0)

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may be. Its size is read from the file's header, before any pixel is decoded."""

    max_bytes: int = 50_000_000
    max_pixels: int = 25_000_000
    min_side: int = 16
    max_aspect: float = 8.0
    background: tuple[int, int, int] = (255, 255, 255)

    @classmethod
    def of(cls, settings: ImageSettings) -> Self:
        return cls(
            max_bytes=round(settings.max_megabytes * 1e6), max_pixels=round(settings.max_megapixels * 1e6)
        )


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True)
class Picture:
    """An upright RGB picture without any metadata; `source_size` is its (width, height)."""

    image: Image.Image
    source_size: tuple[int, int]
    notices: tuple[Notice, ...]


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


def decode_picture(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Picture:
    """Return the picture in `data`; raise `InvalidRequest` (`image.*`), and nothing else, if it is unusable.

    Only pixels leave: the result is a fresh image without EXIF, profile or comments.
    """
    if not data:
        raise InvalidRequest("image.empty")
    if len(data) > limits.max_bytes:
        raise InvalidRequest("image.too_many_bytes", bytes=len(data), allowed=limits.max_bytes)
    try:
        return _decode(data, limits)
    except InvalidRequest:
        raise
    except UnidentifiedImageError as error:
        raise InvalidRequest("image.unknown_format", allowed=", ".join(FORMATS)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))  # Pillow counted them from the header, before our own check
        size = f"{pixels.group()} pixels" if pixels else str(error)
        raise InvalidRequest("image.too_large", size=size, allowed=limits.max_pixels) from error
    except MemoryError as error:
        raise InvalidRequest("image.no_memory") from error
    # Hostile bytes make decoders raise nearly anything; it is translated here, not hidden.
    except Exception as error:
        # ASCII, because a lone surrogate would break the reply that quotes it.
        reason = ascii(str(error) or type(error).__name__)[1:-1][:120]
        raise InvalidRequest("image.damaged", reason=reason) from error


def _decode(data: bytes, limits: ImageLimits) -> Picture:
    notices: list[Notice] = []
    with Image.open(io.BytesIO(data), formats=FORMATS) as source:
        _check_size(source.width, source.height, limits)
        source.load()
        base, alpha = _split_alpha(source)
        rgb = _to_srgb(base, source.info.get("icc_profile"), notices)
        orientation = _orientation(source, notices)
        # The further pictures of a phone's MPO are depth maps and the like.
        if source.format != "MPO" and getattr(source, "is_animated", False):
            notices.append(Notice("image.animated", {}))
        if alpha is not None and alpha.getextrema() != (255, 255):
            colour = "#{:02x}{:02x}{:02x}".format(*limits.background)
            notices.append(Notice("image.transparent", {"background": colour}))
        image = Image.new("RGB", rgb.size, limits.background)
        image.paste(rgb, mask=alpha)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return Picture(image, image.size, tuple(notices))


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    size = f"{width}x{height}"
    if width * height > limits.max_pixels:
        raise InvalidRequest("image.too_large", size=size, allowed=limits.max_pixels)
    if min(width, height) < limits.min_side:
        raise InvalidRequest("image.too_small", size=size, allowed=limits.min_side)
    if max(width, height) > limits.max_aspect * min(width, height):
        raise InvalidRequest("image.too_narrow", size=size, allowed=limits.max_aspect)


def _orientation(source: Image.Image, notices: list[Notice]) -> int:
    """Return the EXIF orientation, 1 to 8. Ask after `load`, where Pillow turns a TIFF upright by itself."""
    try:
        return int(source.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # the pixels are whole; broken metadata is no reason to refuse them
        notices.append(Notice("image.orientation_unknown", {}))
        return 1


def _split_alpha(source: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return 8-bit colours (mode L, RGB or CMYK) and, where there is transparency, its alpha (mode L)."""
    if source.mode.startswith(("I", "F")):
        values = np.asarray(source)
        grey_8 = Image.fromarray(_to_8_bit(values, is_16_bit=source.mode.startswith("I;16")))
        if (key := source.info.get("transparency")) is None:
            return grey_8, None
        return grey_8, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    mode = "L" if source.mode in ("1", "L", "LA") else "RGB"
    if source.has_transparency_data:
        rgba = source.convert("RGBA")
        return rgba.convert(mode), rgba.getchannel("A")
    if source.mode in (mode, "CMYK"):
        return source, None
    return source.convert(mode), None


def _to_8_bit(values: NDArray[Any], is_16_bit: bool) -> NDArray[np.uint8]:
    """Scale grey values (H, W) to 0..255 instead of clipping them, as Pillow would.

    32-bit integers and floats do not say what their white is: the smallest usual one (1, 255, 65535) that
    holds all values is taken, and failing that, or below zero, the range that is there is stretched.
    """
    if is_16_bit:
        scaled: NDArray[np.uint8] = np.rint(np.arange(65536) / 257).astype(np.uint8)[values]
        return scaled
    numbers: NDArray[np.floating[Any]] = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    black, white = float(numbers.min()), float(numbers.max())
    if black >= 0 and white <= 65535:
        whites = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
        black, white = 0.0, next(usual for usual in whites if white <= usual)
    else:
        numbers, black, white = numbers / 2, black / 2, white / 2  # halved: the difference stays finite
    share = (numbers - np.float32(black)) / np.float32((white - black) or 1.0)
    scaled = np.rint(share * 255).clip(0, 255).astype(np.uint8)
    return scaled


def _to_srgb(base: Image.Image, profile: bytes | None, notices: list[Notice]) -> Image.Image:
    """Return `base` (L, RGB or CMYK) as RGB, through its colour profile where that can be applied."""
    if profile:
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # sRGB to sRGB would only add rounding.
            if not ImageCms.getProfileDescription(given).startswith("sRGB"):
                converted = ImageCms.profileToProfile(
                    base, given, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), outputMode="RGB"
                )
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notices.append(Notice("image.profile_ignored", {}))
    return base if base.mode == "RGB" else base.convert("RGB")


def fit_size(width: int, height: int, area_side: float, multiple: int, fit: Fit) -> tuple[int, int]:
    """Return the (width, height) to generate for a picture of `width` x `height` pixels.

    The area aimed at is `area_side` squared ("512p" is 512 x 512); both sides are multiples of `multiple`, at
    least one. "keep" has the picture's aspect ratio, each side rounded to the nearest multiple; "crop" and
    "pad" are square.
    """
    if min(width, height, area_side, multiple) < 1:
        raise ValueError(f"sizes must be positive: {width=}, {height=}, {area_side=}, {multiple=}")
    if fit == "keep":
        scale = area_side / math.sqrt(width * height)
        return _round_to(width * scale, multiple), _round_to(height * scale, multiple)
    side = _round_to(area_side, multiple)
    return side, side


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
    return _crop(image, width, height, top_share=1 / 3 if fit == "crop" else 1 / 2)


def _crop(image: Image.Image, width: int, height: int, top_share: float) -> FittedPicture:
    scale = max(width / image.width, height / image.height)
    box, notices = None, _enlarged(scale, width, height)
    if image.width * height != image.height * width:
        kept_width = min(image.width, width / scale)
        kept_height = min(image.height, height / scale)
        left, top = (image.width - kept_width) / 2, (image.height - kept_height) * top_share
        box = (left, top, min(left + kept_width, image.width), min(top + kept_height, image.height))
        notices.append(
            Notice(
                "image.cropped",
                {
                    "source": f"{image.width}x{image.height}",
                    "left": round(box[0]),
                    "top": round(box[1]),
                    "right": round(image.width - box[2]),
                    "bottom": round(image.height - box[3]),
                },
            )
        )
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
