"""i2v.media.preview: frames become a small WebP that moves."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from i2v.media.preview import MIME_TYPE, encode_preview
from tests.clips import make_frames


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_it_moves_at_the_clips_speed_without_end() -> None:
    preview = opened(encode_preview(make_frames(8, (32, 24), noise=True), fps=8))
    assert Image.MIME[preview.format or ""] == MIME_TYPE
    assert (preview.size, preview.n_frames, preview.info["loop"]) == ((32, 24), 8, 0)
    for number in range(8):
        preview.seek(number)
        preview.load()
        assert preview.info["duration"] == 125  # milliseconds


def test_the_frames_are_those_that_were_given() -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    frames = np.array([np.broadcast_to(colour, (16, 16, 3)) for colour in colours], np.uint8)
    preview = opened(encode_preview(frames, fps=8))
    for number, colour in enumerate(colours):
        preview.seek(number)
        found = np.asarray(preview.convert("RGB"), np.int16)
        assert np.abs(found - colour).max() < 20  # WebP is lossy


def test_a_single_frame_is_a_picture() -> None:
    assert getattr(opened(encode_preview(make_frames(1), fps=8)), "n_frames", 1) == 1


@pytest.mark.parametrize("fps", [1, 60])
def test_all_speeds_can_be_written(fps: int) -> None:
    preview = opened(encode_preview(make_frames(2, noise=True), fps))
    preview.load()
    assert preview.info["duration"] == round(1000 / fps)


def test_it_is_small() -> None:
    """As of the published preset, 16 frames of 64 x 64 latents, and of noise, which compresses worst."""
    assert len(encode_preview(make_frames(16, (64, 64)), fps=8)) < 10_000
    assert len(encode_preview(make_frames(16, (64, 64), noise=True), fps=8)) < 100_000
