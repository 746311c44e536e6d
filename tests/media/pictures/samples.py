"""Small pictures, and the parts that formats are made of."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def quadrants(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green over blue, yellow: turns, mirrors and halves show."""
    pixels = np.zeros((height, width, 3), np.uint8)
    middle, centre = height // 2, width // 2
    pixels[:middle, :centre], pixels[:middle, centre:] = (220, 30, 30), (30, 180, 40)
    pixels[middle:, :centre], pixels[middle:, centre:] = (40, 60, 210), (230, 210, 40)
    return Image.fromarray(pixels)


def noise(width: int = 160, height: int = 120) -> Image.Image:
    """A picture whose every part takes bytes."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    exif[0x010E] = "SECRET place"
    return exif


def png_chunk(kind: bytes, body: bytes, crc: int = 0) -> bytes:
    """Return a chunk; `crc` is what is wrong about its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ crc)


def with_chunk(png: bytes, chunk: bytes) -> bytes:
    """Return the PNG with a chunk before its pixels."""
    return png[:33] + chunk + png[33:]


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as file:
        file.load()
        return file
