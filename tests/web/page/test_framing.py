"""What is shown of a picture before the clip: by the numbers that the clip is made with."""

from __future__ import annotations

import re
from dataclasses import asdict, replace

import pytest
from PIL import Image

from i2v.core.crop import Crop
from i2v.core.schema import Fit
from i2v.media.image import cropped, fit_picture
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
    assert shown.count("linear-gradient") == 1
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


PART = Framing("/x.png", (400, 200), (64, 64), "keep", Crop(0.5, 0, 1, 1))


@pytest.mark.parametrize("fit", ["keep", "crop", "pad"])
@pytest.mark.parametrize("crop", [Crop(0.5, 0, 1, 1), Crop(0.1, 0.2, 0.7, 0.9)])
def test_what_is_shown_as_cut_of_a_part_is_what_the_clip_is_cut_by(crop: Crop, fit: Fit) -> None:
    size = (160, 90)
    framing = Framing("/x.png", size, (64, 48), fit, crop)
    left, top, right, bottom = crop.box(size)
    fitted = fit_picture(cropped(Image.new("RGB", size), crop), 64, 48, fit)
    box = fitted.crop or (0, 0, right - left, bottom - top)
    cut = framing.cut
    assert (cut[0] * 160, cut[1] * 90) == pytest.approx((left + box[0], top + box[1]))
    assert (160 - cut[2] * 160, 90 - cut[3] * 90) == pytest.approx((left + box[2], top + box[3]))
    assert framing.is_whole == ("image.cropped" not in {notice.code for notice in fitted.notices})
    assert framing.is_padded == (fitted.padding is not None)


def test_of_a_part_the_first_frame_shows_that_part() -> None:
    shown = first_frame(PART, "en")
    assert "left: -100.000%; top: 0.000%; width: 200.000%; height: 100.000%" in shown
    assert "clip-path: inset(0.000% 0.000% 0.000% 50.000%)" in shown
    padded = first_frame(replace(PART, clip=(128, 64), fit="pad"), "en")  # borders at the left and right
    assert "left: -25.000%; top: 0.000%; width: 100.000%; height: 100.000%" in padded
    assert line(PART, "en") == "uses the chosen part of the picture (200 x 200)"
    assert "left 50 %" in on_picture(PART, can_pad=True, language="en")
    assert "data-act" not in on_picture(PART, can_pad=True, language="en")
    both = on_picture(replace(PART, crop=Crop(0.5, 0.5, 1, 1)), can_pad=True, language="en")
    assert both.count("linear-gradient") == 2


def test_a_generation_gives_its_part() -> None:
    made = {
        "generated_width": 64, "generated_height": 64, "fit": "keep", "crop": asdict(Crop(0.5, 0, 1, 1)),
        "strength": 1.0, "num_inference_steps": 25,
    }  # fmt: skip
    assert Framing.of("/x.png", (400, 200), made) == PART
    assert Framing.of("/x.png", (400, 200), made | {"crop": None}).crop is None
    for moving in ({"strength": 0.5}, {"num_inference_steps": 0}):
        clip = Framing.of("/x.png", (64, 64), made | {"crop": None} | moving)
        assert line(clip, "en") == "the camera moves over the picture (64 x 64)"
