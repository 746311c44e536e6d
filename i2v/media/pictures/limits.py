"""What a picture may be, and to what size a large one is brought: the one rule for headers and for pixels.

It does not know any file format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from i2v.core.errors import InvalidRequest, Notice

if TYPE_CHECKING:
    from i2v.core.settings import ImageSettings

# What is kept of a picture at most. The largest clip is 2048 x 2048 pixels; what is scaled down keeps at
# least a quarter of this, 2500 x 2500.
KEPT_PIXELS = 25_000_000


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may be. Its size is read from the file's header, before any pixel is decoded."""

    max_bytes: int = 50_000_000
    max_pixels: int = 110_000_000
    min_side: int = 16
    max_aspect: float = 8.0
    background: tuple[int, int, int] = (255, 255, 255)

    @classmethod
    def of(cls, settings: ImageSettings) -> Self:
        return cls(
            max_bytes=round(settings.max_megabytes * 1e6), max_pixels=round(settings.max_megapixels * 1e6)
        )

    def check_bytes(self, count: int) -> None:
        """Raise `InvalidRequest` if no file of `count` bytes is read."""
        if count == 0:
            raise InvalidRequest("image.empty")
        if count > self.max_bytes:
            raise InvalidRequest("image.too_many_bytes", bytes=count, allowed=self.max_bytes)

    def check_size(self, width: int, height: int) -> None:
        """Raise `InvalidRequest` if a picture of so many pixels, upright, is not taken."""
        size = f"{width}x{height}"
        if width * height > self.max_pixels:
            raise InvalidRequest("image.too_large", size=size, allowed=self.max_pixels)
        if min(width, height) < self.min_side:
            raise InvalidRequest("image.too_small", size=size, allowed=self.min_side)
        if max(width, height) > self.max_aspect * min(width, height):
            raise InvalidRequest("image.too_narrow", size=size, allowed=f"{self.max_aspect:g}")


DEFAULT_LIMITS = ImageLimits()


def reduction(width: int, height: int) -> int:
    """Return the whole number that the sides are divided by: 1 for what has `KEPT_PIXELS` or fewer."""
    factor = 1
    while width * height > KEPT_PIXELS * factor * factor:
        factor += 1
    return factor


def reduced(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) that is kept of a picture of `size`."""
    factor = reduction(*size)
    return -(-size[0] // factor), -(-size[1] // factor)


def scaled_down(size: tuple[int, int]) -> tuple[Notice, ...]:
    """Return what is said of a picture of `size`, upright, that is scaled down."""
    kept = reduced(size)
    if kept == size:
        return ()
    sizes = {"source": f"{size[0]}x{size[1]}", "size": f"{kept[0]}x{kept[1]}"}
    return (Notice("image.scaled_down", {**sizes}),)
