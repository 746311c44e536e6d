"""i2v.media.pictures.limits: one rule for what is refused and for what is scaled down."""

from __future__ import annotations

import pytest

from i2v.core.settings_sources import load_settings
from i2v.media.pictures.limits import KEPT_PIXELS, ImageLimits, reduced, reduction, scaled_down


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        ((5000, 5000), (5000, 5000)),
        ((5001, 5000), (2501, 2500)),
        ((8064, 6048), (4032, 3024)),  # 48 megapixels
        ((9248, 6936), (4624, 3468)),  # 64
        ((12000, 9000), (4000, 3000)),  # 108
        ((3, 25_000_001), (2, 12_500_001)),
    ],
)
def test_large_ones_are_divided_by_the_least_whole_number(
    size: tuple[int, int], kept: tuple[int, int]
) -> None:
    assert reduced(size) == kept
    assert kept[0] * kept[1] <= KEPT_PIXELS * 1.01
    assert bool(scaled_down(size)) is (reduction(*size) > 1)


def test_limits_are_those_of_the_settings() -> None:
    limits = ImageLimits.of(load_settings(None, {}).image)
    assert limits == ImageLimits()
