"""i2v.engines.preview: latents to colours, whatever number of channels they have."""

from __future__ import annotations

import numpy as np
import pytest

from i2v.engines.preview import preview_of


@pytest.mark.parametrize("channels", [4, 16])
def test_each_latent_is_mapped_by_the_factors(channels: int) -> None:
    random = np.random.default_rng(7)
    latents = random.normal(size=(channels, 3, 2, 5)).astype(np.float32)
    factors = tuple(map(tuple, random.uniform(-0.2, 0.4, (channels + 1, 3)).tolist()))
    pixels = preview_of(latents, factors)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (3, 2, 5, 3))
    for frame, y, x, colour in np.ndindex(pixels.shape):
        value = factors[-1][colour]
        value += sum(latents[row, frame, y, x] * factors[row][colour] for row in range(channels))
        assert pixels[frame, y, x, colour] == pytest.approx(255 * min(max(value, 0), 1), abs=0.51)
