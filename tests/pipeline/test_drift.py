"""i2v.pipeline.drift: a frame that has drifted is brought back, and one that has not is left alone."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from i2v.pipeline.drift import MOST_SHIFT, Look, corrected


def drifted(photo: Image.Image, gain: float = 1.0, shift: float = 0.0, blur: float = 0.0) -> np.ndarray:
    pixels = np.asarray(photo.filter(ImageFilter.GaussianBlur(blur)) if blur else photo, np.float32)
    return np.clip((pixels - 110) * gain + 110 + shift, 0, 255).astype(np.uint8)


def test_a_frame_that_looks_as_the_first_is_left_alone(photo: Image.Image) -> None:
    frame = np.asarray(photo)
    assert np.array_equal(corrected([frame], Look.of(frame))[0], frame)


def test_colours_and_contrast_come_back(photo: Image.Image) -> None:
    first = Look.of(drifted(photo, gain=0.6))
    frame = drifted(photo, gain=0.56, shift=5)
    back = Look.of(corrected([frame], first)[0])
    assert np.abs(np.subtract(back.mean, first.mean)).max() < 1
    assert np.abs(np.subtract(back.deviation, first.deviation)).max() < 1


def test_sharpness_comes_nearer() -> None:
    noise = np.random.default_rng(2).integers(90, 160, (64, 96, 3), np.uint8)
    sharp = Image.fromarray(noise)
    first, frame = Look.of(noise), drifted(sharp, blur=0.4)
    before, after = Look.of(frame).detail, Look.of(corrected([frame], first)[0]).detail
    assert before < after < first.detail * 1.05


def test_what_has_really_changed_is_not_undone(photo: Image.Image) -> None:
    dark = drifted(photo, shift=-60)
    back = Look.of(corrected([dark], Look.of(np.asarray(photo)))[0])
    assert np.subtract(back.mean, Look.of(dark).mean).max() < MOST_SHIFT + 3


def test_frames_that_follow_each_other_are_changed_alike(photo: Image.Image) -> None:
    first = Look.of(np.asarray(photo))
    frame = drifted(photo, shift=4)
    one, two = corrected([frame, frame], first)
    assert np.array_equal(one, two)
