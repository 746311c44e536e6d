"""i2v.media.pictures.pixels: every kind of pixel looks the same at a third of its size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from i2v.core.errors import Notice
from i2v.media.pictures.pixels import reduce, split_alpha, to_srgb
from tests.media.pictures.samples import quadrants

WHOLE = quadrants(300, 210)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F", "I"])
def test_scaled_down_it_is_the_same_picture(mode: str) -> None:
    if mode in ("I;16", "F", "I"):
        kind = {"I;16": np.uint16, "F": np.float32, "I": np.int32}[mode]
        source = Image.fromarray(np.asarray(WHOLE.convert("L")).astype(kind) * (257 if mode == "I;16" else 1))
    else:
        source = WHOLE.convert(mode, dither=Image.Dither.NONE)
    small, _ = split_alpha(reduce(source, 3))
    full, _ = split_alpha(source)
    assert small.size == (100, 70)
    expected = np.asarray(to_srgb(full, None, None, []).resize((100, 70), Image.Resampling.BOX), int)
    assert np.abs(np.asarray(to_srgb(small, None, None, []), int) - expected).mean() < 3


def test_hidden_colours_do_not_show_at_the_edge() -> None:
    clear = Image.new("RGBA", (30, 30), (255, 0, 255, 0))
    clear.paste((40, 40, 40, 255), (0, 0, 16, 30))
    colours, alpha = split_alpha(reduce(clear, 3))
    assert alpha is not None
    visible = np.asarray(colours)[np.asarray(alpha) > 0]
    assert np.abs(visible.astype(int) - 40).max() <= 1


def test_wide_colours_by_numbers_become_srgb() -> None:
    notices: list[Notice] = []
    red = Image.new("RGB", (4, 4), (200, 60, 60))
    assert to_srgb(red, None, (1, 13), notices).getpixel((0, 0)) == (200, 60, 60)
    p3 = to_srgb(red, None, (12, 13), notices).getpixel((0, 0))
    # Display P3 to sRGB by the matrices of CSS Color 4
    assert p3 == pytest.approx((217, 43, 55), abs=3)
    assert notices == []
    to_srgb(red, None, (9, 16), notices)
    assert [notice.code for notice in notices] == ["image.hdr"]
