"""The transfer function of sRGB, as tables of codes."""

from __future__ import annotations

import numpy as np

from i2v.engines.camera.light import CODES, VALUES, encode


def linear(value: float) -> float:
    """IEC 61966-2-1, of a value from 0 to 255."""
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def light(codes: np.ndarray) -> np.ndarray:
    return (codes.astype(np.float64) - CODES[0]) / (CODES[255] - CODES[0])


def test_every_value_has_its_light_and_comes_back() -> None:
    assert np.allclose(light(CODES), [linear(value) for value in range(256)], atol=1e-6)
    assert np.array_equal(encode(CODES.copy()), np.arange(256))


def test_light_between_two_values_becomes_the_nearer_one() -> None:
    black, white = float(CODES[0]), float(CODES[255])
    for value in range(255):
        for share, nearest in ((0.45, value), (0.55, value + 1)):
            code = black + (white - black) * linear(value + share)
            assert encode(np.array([code], np.float32)) == nearest


def test_what_is_darker_than_black_or_brighter_than_white_is_clipped() -> None:
    assert encode(np.array([-1e6, 0, CODES[0] - 1, CODES[255] + 1, 65535, 1e6], np.float32)).tolist() == [
        0, 0, 0, 255, 255, 255,
    ]  # fmt: skip
    assert (np.diff(VALUES.astype(int)) >= 0).all()
