"""Levels: parts of a photograph in linear light, at any density, with its edges repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2v.engines.camera.level import (
    MIN_DENSITY,
    Box,
    Level,
    build_level,
    level_scale,
    step_for,
)
from i2v.engines.camera.light import CODES
from i2v.engines.camera.workers import Workers


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def build(picture: Image.Image, step: int, box: Box, cpus: int = 1) -> Level:
    with Workers(cpus) as workers:
        return build_level(picture, step, box, workers)


@settings(deadline=None, derandomize=True, database=None)
@given(scale=st.floats(1e-3, 1e3), density=st.sampled_from([MIN_DENSITY, 2.0]))
def test_a_level_is_as_dense_as_asked_and_no_more_than_a_quarter_of_an_octave_denser(
    scale: float, density: float
) -> None:
    found = scale / level_scale(step_for(scale, density))
    assert density * (1 - 1e-6) <= found <= density * 2**0.25 * (1 + 1e-6)


def test_step_0_is_the_photograph_with_its_edges_repeated() -> None:
    picture = noise(50, 40)
    level = build(picture, 0, Box(-9, -7, 61, 52))
    expected = np.pad(np.asarray(picture), ((7, 12), (9, 11), (0, 0)), mode="edge")
    assert np.allclose(level.pixels.transpose(0, 2, 1), CODES[expected], atol=1)


@pytest.mark.parametrize("box", [Box(-90, 5, -80, 9), Box(70, 60, 90, 100), Box(3, -50, 9, -40)])
def test_beyond_the_photograph_there_are_only_its_edges(box: Box) -> None:
    picture = noise(50, 40)
    level = build(picture, 0, box)
    ys = np.clip(np.arange(box.top, box.bottom), 0, 39)
    xs = np.clip(np.arange(box.left, box.right), 0, 49)
    expected = CODES[np.asarray(picture)[ys[:, None], xs]]
    assert np.allclose(level.pixels.transpose(0, 2, 1), expected, atol=1)


@pytest.mark.parametrize("step", [-9, -4, -1, 1, 5, 12])
def test_a_grey_photograph_is_grey_at_any_density(step: int) -> None:
    level = build(Image.new("RGB", (70, 60), (90, 90, 90)), step, Box(-5, -5, 40, 33))
    assert np.allclose(level.pixels, CODES[90], atol=1)


@pytest.mark.parametrize("step", [-5, 3])
def test_a_part_of_a_level_is_the_same_whatever_else_was_built_and_by_how_many(step: int) -> None:
    picture = noise(90, 80)
    whole = build(picture, step, Box(0, 0, 60, 50), cpus=3).pixels
    part = build(picture, step, Box(13, 7, 40, 45)).pixels
    assert np.abs(whole[7:45, :, 13:40].astype(int) - part).max() <= 1


def test_four_quarter_turns_are_none_and_one_is_clockwise() -> None:
    level = build(noise(30, 20), 0, Box(2, 3, 25, 17))
    turned = level.quarter_turned()
    assert turned.box == Box(-17, 2, -3, 25)
    assert np.array_equal(turned.pixels[0, :, -1], level.pixels[0, :, 0])  # top left is now top right
    again = turned.quarter_turned().quarter_turned().quarter_turned()
    assert again.box == level.box
    assert np.array_equal(again.pixels, level.pixels)
