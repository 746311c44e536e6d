"""i2v.media.optical_flow: motion that is known is found, and what is not there is known to be unsure."""

from __future__ import annotations

import numpy as np
import pytest

from i2v.media.optical_flow import estimate_flow
from tests.media.test_interpolation import SIZE, scene, view


@pytest.mark.parametrize(("x", "y"), [(0, 0), (9, 0), (-6, 5), (14, -8)])
def test_a_shift_is_found(x: int, y: int) -> None:
    picture = scene(1)
    flow = estimate_flow(view(picture, 50, 50), view(picture, 50 + x, 50 + y))
    pixels = flow.vectors[20:-20, 24:-24] * np.array(SIZE)
    np.testing.assert_allclose(np.median(pixels, axis=(0, 1)), [-x, -y], atol=0.3)
    assert flow.vectors.shape == (SIZE[1], SIZE[0], 2)


def test_vectors_are_read_between_their_places_and_beyond_the_border() -> None:
    flow = estimate_flow(view(scene(1), 50, 50), view(scene(1), 56, 50))
    places = np.array([[0.0, 0.5, 1.0]])
    assert flow.at(places, places).shape == (1, 3, 2)
    assert flow.at(np.array([[0.5]]), np.array([[0.5]]))[0, 0, 0] * SIZE[0] == pytest.approx(-6, abs=0.5)


def test_flows_agree_where_one_leads_back_along_the_other() -> None:
    picture = scene(1)
    first, second, other = view(picture, 50, 50), view(picture, 56, 53), view(scene(2), 50, 50)
    there, back = estimate_flow(first, second), estimate_flow(second, first)
    inside = there.stays_inside()
    assert not inside[:, 0].any(), "it has left the picture"
    assert np.mean(there.agreement(back)[inside]) > 0.8
    unlike = estimate_flow(first, other)
    assert np.mean(unlike.agreement(estimate_flow(other, first))[unlike.stays_inside()]) < 0.5


def test_nothing_to_see_is_no_motion() -> None:
    grey = np.full((40, 60, 3), 128, np.uint8)
    assert not estimate_flow(grey, grey).vectors.any()
