"""Untrusted bytes to upright RGB pixels, or, by the header alone, to what the pixels would be.

Owns the order of the steps; both ways go through the same gate. A caller that fears a slow decoder runs
this in a process with limits. Pillow's own warnings are left to the caller's filters, because changing the
filters is not thread-safe.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from PIL import Image, UnidentifiedImageError

from i2v.core.errors import InvalidRequest, Notice
from i2v.media.pictures import boxes, gif, jpeg, pixels, png, webp
from i2v.media.pictures.cleaned import (
    EXTRA_SKIPPED,
    ORIENTATION,
    ORIENTATION_UNKNOWN,
    Cleaned,
    damaged,
    unique,
)
from i2v.media.pictures.kinds import Kind, kind_of, without_blanks
from i2v.media.pictures.limits import DEFAULT_LIMITS, ImageLimits, reduced, reduction, scaled_down

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)
_CLEAN: dict[Kind, Callable[[bytes], Cleaned]] = {
    "PNG": png.clean,
    "JPEG": jpeg.clean,
    "WEBP": webp.clean,
    "GIF": gif.clean,
    "HEIF": partial(boxes.clean, kind="HEIF"),
    "AVIF": partial(boxes.clean, kind="AVIF"),
}


@dataclass(frozen=True)
class Picture:
    """An upright RGB picture without any metadata.

    Attributes:
        source_size: the file's (width, height), upright; larger than the image where that was scaled down.
    """

    image: Image.Image
    source_size: tuple[int, int]
    notices: tuple[Notice, ...]


@dataclass(frozen=True)
class Inspection:
    """What a header tells.

    Attributes:
        size: (width, height) of the picture that decoding would give.
        source_size: the file's, upright.
        notices: what is said of the size.
    """

    size: tuple[int, int]
    source_size: tuple[int, int]
    notices: tuple[Notice, ...]


def clean(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[Kind, Cleaned]:
    """Return which format `data` has, and its pixels as a file; raises as `decode_picture` does."""
    limits.check_bytes(len(data))
    with _translated(limits):
        picture = without_blanks(data)
        kind = kind_of(picture)
        cleaned = _CLEAN[kind](picture) if kind in _CLEAN else Cleaned(picture, is_private=False)
    if len(picture) < len(data):
        cleaned = replace(cleaned, notices=unique([*cleaned.notices, EXTRA_SKIPPED]))
    return kind, cleaned


def inspect_picture(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Inspection:
    """Return what the header of `data` tells; raises what `decode_picture` would raise because of it."""
    kind, cleaned = clean(data, limits)
    with _translated(limits), _opened(kind, cleaned) as source:
        _, size = _upright(source, kind, cleaned, limits, [])
        return Inspection(reduced(size), size, scaled_down(size))


def decode_picture(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Picture:
    """Return the picture in `data`; raise `InvalidRequest` (`image.*`), and nothing else, if it is unusable.

    Only pixels leave: the result is a fresh image without EXIF, profile or comments.
    """
    return decode_cleaned(*clean(data, limits), limits)


def decode_cleaned(kind: Kind, cleaned: Cleaned, limits: ImageLimits = DEFAULT_LIMITS) -> Picture:
    """Return the picture that `clean` has prepared; raises as `decode_picture` does."""
    notices = list(cleaned.notices)
    with _translated(limits), _opened(kind, cleaned) as source:
        orientation, size = _upright(source, kind, cleaned, limits, notices)
        factor = reduction(*size)
        if factor > 1:  # JPEG alone: decoded at a half, a quarter or an eighth
            source.draft(None, (source.width // factor, source.height // factor))
        source.load()
        if not cleaned.is_sure and not jpeg.is_whole(cleaned.data):
            raise damaged("a part of its pixels is missing")
        small = _scaled(source, reduced(size), orientation)
        base, alpha = pixels.split_alpha(small)
        rgb = pixels.to_srgb(base, source.info.get("icc_profile"), cleaned.coding, notices)
        notices[:0] = scaled_down(size)
        if _has_more(source, cleaned):
            notices.append(Notice("image.animated", {}))
        if alpha is not None and alpha.getextrema() != (255, 255):
            colour = "#{:02x}{:02x}{:02x}".format(*limits.background)
            notices.append(Notice("image.transparent", {"background": colour}))
        image = Image.new("RGB", rgb.size, limits.background)
        image.paste(rgb, mask=alpha)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return Picture(image, size, unique(notices))


def _opened(kind: Kind, cleaned: Cleaned) -> Image.Image:
    if kind == "HEIF":
        import pillow_heif  # for these alone: it takes a while

        pillow_heif.register_heif_opener(
            thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
        )
    return Image.open(io.BytesIO(cleaned.data), formats=(kind,))


def _upright(
    source: Image.Image, kind: Kind, cleaned: Cleaned, limits: ImageLimits, notices: list[Notice]
) -> tuple[int, tuple[int, int]]:
    """Return how the opened picture has to be turned, and its size then, which was found to be allowed."""
    orientation = cleaned.orientation
    if kind == "AVIF" and orientation == 1:  # its own turns and mirrors, as Pillow tells them
        orientation = int(source.getexif().get(ORIENTATION, 1))
    elif kind == "TIFF":
        _check_exif(source, notices)
    width, height = source.size
    if orientation in _ON_ITS_SIDE:  # HEIC is turned when it is opened, and so is TIFF
        width, height = height, width
    limits.check_size(width, height)
    return orientation, (width, height)


def _check_exif(source: Image.Image, notices: list[Notice]) -> None:
    try:
        int(source.getexif().get(ORIENTATION, 1))
    except Exception:  # the pixels are whole; broken metadata is no reason to refuse them
        notices.append(ORIENTATION_UNKNOWN)


def _scaled(source: Image.Image, size: tuple[int, int], orientation: int) -> Image.Image:
    """Return the loaded picture at `size`, which is of the upright one."""
    wanted = (size[1], size[0]) if orientation in _ON_ITS_SIDE else size
    if source.size == wanted:
        return source
    factor = max(1, min(-(-source.width // wanted[0]), -(-source.height // wanted[1])))
    small = pixels.reduce(source, factor)
    return small if small.size == wanted else small.resize(wanted, Image.Resampling.BOX)


def _has_more(source: Image.Image, cleaned: Cleaned) -> bool:
    return cleaned.frames or bool(getattr(source, "is_animated", False))


@contextmanager
def _translated(limits: ImageLimits) -> Iterator[None]:
    """Say whatever a decoder complains about in our words."""
    try:
        yield
    except InvalidRequest:
        raise
    except UnidentifiedImageError as error:
        raise damaged("its header cannot be read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        counted = re.search(r"\d+", str(error))  # Pillow counted them from the header, before our own check
        size = f"{counted.group()} pixels" if counted else str(error)
        raise InvalidRequest("image.too_large", size=size, allowed=limits.max_pixels) from error
    except MemoryError as error:
        raise InvalidRequest("image.no_memory") from error
    # Hostile bytes make decoders raise nearly anything; it is translated here, not hidden.
    except Exception as error:
        raise damaged(str(error) or type(error).__name__) from error
