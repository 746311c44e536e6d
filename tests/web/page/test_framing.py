"""What is shown of a picture before the clip: by the numbers that the clip is made with."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from i2v.core.schema import Fit
from i2v.media.image import fit_picture
from i2v.web.page.framing import Framing, first_frame, line, on_picture

WIDE = Framing('/uploads/a b".png', (1600, 900), (160, 128), "keep")


@pytest.mark.parametrize("fit", ["keep", "crop", "pad"])
@pytest.mark.parametrize("size", [(160, 90), (90, 160), (96, 64)])
def test_what_is_shown_as_cut_is_what_the_clip_is_cut_by(size: tuple[int, int], fit: Fit) -> None:
    framing = Framing("/x.png", size, (64, 64), fit)
    fitted = fit_picture(Image.new("RGB", size), 64, 64, fit)
    box = fitted.crop or (0, 0, *size)
    left, top, right, bottom = framing.cut
    width, height = size
    assert (left * width, top * height) == pytest.approx(box[:2])
    assert (width - right * width, height - bottom * height) == pytest.approx(box[2:])
    assert framing.is_whole == ("image.cropped" not in {notice.code for notice in fitted.notices})
    assert framing.is_padded == (fitted.padding is not None)


def test_the_line_says_that_all_is_used_only_where_nothing_is_cut() -> None:
    assert line(WIDE, "en") == "cuts 30 % off the picture (1600 x 900)"
    assert line(Framing("", (1600, 900), (160, 90), "keep"), "en") == "uses the whole picture (1600 x 900)"
    assert line(Framing("", (1600, 900), (64, 64), "crop"), "en").endswith("44 % is cut")
    assert line(Framing("", (1600, 900), (64, 64), "pad"), "zh-CN") == "为图片（1600 x 900）加边框"


def test_the_cut_parts_are_dimmed_and_can_be_kept() -> None:
    shown = on_picture(WIDE, can_pad=True, language="en")
    assert "left 15 %, right 15 %" in shown
    assert "to right" in shown
    assert re.search(r"rgb\(0 0 0 / 28%\) 14.84%, #000 14.84%, #000 85.16%", shown)
    assert 'data-act="pad"' in shown
    assert "data-act" not in on_picture(WIDE, can_pad=False, language="en")
    little = Framing("", (1210, 800), (192, 128), "keep")
    assert "right 0.41 %" in on_picture(little, can_pad=True, language="en")
    assert "data-act" not in on_picture(little, can_pad=True, language="en")
    tall = on_picture(Framing("", (100, 200), (64, 64), "crop"), can_pad=True, language="zh-CN")
    assert "to bottom" in tall
    assert "上 17 %" in tall
    for whole in ((100, 50), (101, 50)):  # of the second, half a pixel at each side is rounding
        assert on_picture(Framing("", whole, (64, 32), "keep"), can_pad=True, language="en") == ""


def test_the_first_frame_has_the_clips_shape_and_the_part_that_is_kept() -> None:
    shown = first_frame(Framing('/uploads/a b".png', (100, 200), (64, 64), "crop"), "en")
    assert "aspect-ratio: 64 / 64; width: min(100%, calc(var(--i2v-tall) * 1.0000))" in shown
    assert "object-position: 50% 33.3%" in shown
    assert 'src="gradio_api/file=/uploads/a%20b%22.png"' in shown
    assert "contain" in first_frame(Framing("", (100, 200), (64, 64), "pad"), "en")
