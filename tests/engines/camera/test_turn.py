"""Turned views: measured against frames by definition; the arithmetic of quarter turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2v.engines.camera.level import Box, Level
from i2v.engines.camera.turn import Canvas, min_density, quarter_turns, shears_for
from i2v.engines.camera.workers import Workers
from tests.engines.camera.frames import worst_decibels

# Measured: 51 dB and more, mostly 54; both pictures are rounded to 8 bits, which alone leaves 56. Pillow's
# bicubic transform, which does not filter, gets 24 at scale 2.1.
BOUND = 50


@pytest.mark.parametrize("roll", [0.01, 6, -15, 25, 26, -35, 45, 60, 90, 100, 179.5, -135, 180])
@pytest.mark.parametrize("scale", [1.5, 2.13])
def test_fine_rings_turn_without_aliasing_or_blur(roll: float, scale: float) -> None:
    assert worst_decibels(scale, roll) > BOUND


@settings(deadline=None, derandomize=True, database=None)
@given(roll=st.floats(-180, 180))
def test_quarter_turns_leave_at_most_45_degrees(roll: float) -> None:
    quarters, degrees = quarter_turns(roll)
    assert quarters in range(4)
    assert -45 <= degrees <= 45
    assert (90 * quarters + degrees - roll) % 360 == pytest.approx(0, abs=1e-9) or (
        90 * quarters + degrees - roll
    ) % 360 == pytest.approx(360, abs=1e-9)


@settings(deadline=None, derandomize=True, database=None)
@given(degrees=st.floats(-45, 45).filter(lambda degrees: abs(degrees) > 1e-6), scale=st.floats(1.5, 2.4))
def test_the_two_shears_and_the_scales_are_the_rotation(degrees: float, scale: float) -> None:
    shears = shears_for(0, 0, scale, degrees, (10, 10))
    h = np.array([[1, shears.along_x], [0, 1]])
    v = np.array([[1, 0], [shears.along_y, 1]])
    d = np.diag([shears.step_x, shears.step_y])
    angle = np.radians(degrees)
    rotation = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert np.allclose(h @ v @ d, rotation)


@settings(deadline=None, derandomize=True, database=None)
@given(
    degrees=st.floats(-45, 45).filter(lambda degrees: abs(degrees) > 1e-6),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    x=st.floats(-50, 50),
    y=st.floats(-50, 50),
)
def test_a_canvas_looks_at_nothing_outside_its_box(
    degrees: float, size: tuple[int, int], x: float, y: float
) -> None:
    shears = shears_for(x, y, max(1.5, min_density(degrees)), degrees, size)
    box: Box = shears.box
    level = Level(np.full((box.bottom - box.top, 3, box.right - box.left), 777, np.uint16), box)
    with Workers(1) as workers:
        canvas = Canvas(level, shears, workers)
    columns = np.zeros((shears.width, 3, shears.height), np.float32)
    canvas.load(0, 0, columns)
    rows = shears.taps[1]
    left, right = shears.taps[0].window
    seen = columns[left:right, :, rows.window[0] : rows.window[1]]
    assert np.allclose(seen, 777, atol=0.01)
