"""Resampling by blocks of matrix products gives what the sum over the window's taps gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2v.engines.camera.resample import Floats, Taps, lanczos_taps, reach, resample
from i2v.engines.camera.workers import Workers


def plain_weights(count: int, scale: float, first: float, length: int, lobes: int) -> np.ndarray:
    """Return (count, length) weights by the definition."""
    centres = first + (np.arange(count) + 0.5) * scale
    x = (np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1)
    weights = np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def dense(taps: Taps, length: int) -> np.ndarray:
    weights = np.zeros((taps.weights.shape[0] * taps.weights.shape[1], length))
    for block, start in enumerate(taps.starts):
        rows = slice(block * taps.block, (block + 1) * taps.block)
        weights[rows, start : start + taps.span] += taps.weights[block]
    return weights[: taps.count]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    count=st.integers(1, 70),
    scale=st.floats(0.05, 5) | st.floats(50, 60),
    shift=st.floats(0, 3),
    lobes=st.sampled_from([3, 5]),
)
def test_the_weights_are_those_of_the_definition(count: int, scale: float, shift: float, lobes: int) -> None:
    first = reach(scale, lobes) + shift
    length = math.ceil(first + count * scale) + reach(scale, lobes)
    taps = lanczos_taps(count, scale, first, length, lobes)
    assert np.allclose(dense(taps, length), plain_weights(count, scale, first, length, lobes), atol=1e-6)
    assert taps.window[0] >= 0
    assert taps.window[1] <= length


def test_at_the_same_density_pixels_that_lie_on_each_other_are_kept() -> None:
    taps = lanczos_taps(40, 1.0, 4.0, 48)
    assert np.allclose(dense(taps, 48), np.eye(48)[4:44], atol=1e-7)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.6, 40.0])
@pytest.mark.parametrize("length", [1, 7, 300])
def test_edges_are_repeated_where_asked(scale: float, length: int) -> None:
    margin = math.ceil(40 * scale) + reach(scale)
    taps = lanczos_taps(70, scale, -10.3, length, repeat_edges=True)
    beyond = plain_weights(70, scale, margin - 10.3, length + 2 * margin + math.ceil(70 * scale), lobes=3)
    expected = beyond[:, margin : margin + length].copy()
    expected[:, 0] += beyond[:, :margin].sum(axis=1)
    expected[:, -1] += beyond[:, margin + length :].sum(axis=1)
    assert np.allclose(dense(taps, length), expected, atol=1e-5)


@pytest.mark.parametrize(("first", "length"), [(1.0, 100), (6.0, 70)])
def test_inputs_that_are_not_there_are_an_error(first: float, length: int) -> None:
    with pytest.raises(ValueError, match="are needed"):
        lanczos_taps(32, 2.0, first, length)


@pytest.mark.parametrize("cpus", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 33), (64, 200), (97, 131)])
def test_two_axes_are_two_products_of_matrices(height: int, width: int, cpus: int) -> None:
    scale_y, scale_x = 1.7, 0.8
    source = np.random.default_rng(0).random((400, 3, 300), np.float32)
    rows = lanczos_taps(height, scale_y, 20.3, 400)
    columns = lanczos_taps(width, scale_x, 15.9, 300)
    result = np.full((height, 3, width), np.nan, np.float32)

    def load(row: int, column: int, out: Floats) -> None:
        part = source[row : row + len(out), :, column : column + out.shape[2]]
        out[:, :, : part.shape[2]] = part

    def store(row: int, block: Floats) -> None:
        result[row : row + len(block)] = block

    with Workers(cpus) as workers:
        resample(rows, columns, load, store, workers)
    expected = np.tensordot(dense(rows, 400), source, axes=1) @ dense(columns, 300).T
    assert np.allclose(result, expected, atol=1e-5)
