"""i2v.media.label: the two marks of generated content, against the standard's numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from i2v.core.schema import Language
from i2v.media.label import TEXTS, VisibleLabel, aigc_tag


def test_the_metadata_label_has_the_standards_fields_in_its_order() -> None:
    tag = json.loads(aigc_tag("某某公司", "abc"))
    assert list(tag) == [
        "Label",
        "ContentProducer",
        "ProduceID",
        "ReservedCode1",
        "ContentPropagator",
        "PropagateID",
        "ReservedCode2",
    ]
    assert (tag["Label"], tag["ContentProducer"], tag["ProduceID"]) == ("1", "某某公司", "abc")
    assert all(isinstance(value, str) for value in tag.values())


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("size", [(128, 128), (160, 112), (1024, 576), (576, 1024), (64, 64)])
def test_letters_are_five_percent_of_the_shorter_side(size: tuple[int, int], language: Language) -> None:
    black = np.zeros((1, size[1], size[0], 3), np.uint8)
    labelled = VisibleLabel(size, 8, language).draw(black)[0]
    white = labelled[..., 0] > 40
    columns = np.flatnonzero(white.any(axis=0))
    width = columns[-1] - columns[0]
    share = {"en": 6, "zh-CN": 3}[language]  # "AI" of "AI-generated", which has no descender; "人工"
    tall = white[:, : columns[0] + width // share]
    rows = np.flatnonzero(tall.any(axis=1))
    height = rows[-1] - rows[0] + 1
    if size[0] >= 128:
        assert height >= 0.05 * min(size)
    assert height <= 0.25 * min(size)
    assert white[size[1] // 2 :].sum() == white.sum(), "at the bottom"
    assert np.flatnonzero(white.any(axis=0))[-1] > 0.9 * size[0], "at the right"
    assert white.mean() > 0.002


@pytest.mark.parametrize(("fps", "chunks", "count"), [(8, [4, 30], 16), (7.5, [40], 15), (8, [5], 5)])
def test_it_stays_for_two_seconds(fps: float, chunks: list[int], count: int) -> None:
    label = VisibleLabel((128, 128), fps, "en")
    frames = np.full((sum(chunks), 128, 128, 3), 90, np.uint8)
    parts = np.split(frames, np.cumsum(chunks)[:-1])
    drawn = np.concatenate([label.draw(part) for part in parts])
    changed = (drawn != 90).any((1, 2, 3))
    assert changed[:count].all()
    assert not changed[count:].any()
    assert (frames == 90).all(), "the caller's frames are not touched"


def test_it_is_read_on_white_and_on_black() -> None:
    for ground in (0, 255):
        drawn = VisibleLabel((256, 256), 8, "zh-CN").draw(np.full((1, 256, 256, 3), ground, np.uint8))[0]
        plate = drawn[-10:, -40:].astype(int)
        assert plate.max() - plate.min() > 100


def test_every_language_says_that_it_is_generated() -> None:
    assert "AI" in TEXTS["en"]
    assert "人工智能" in TEXTS["zh-CN"]
    assert "生成" in TEXTS["zh-CN"]
