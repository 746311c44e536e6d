"""i2v.cli.batch_names: a pattern is refused before the first clip, and its names are files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from i2v.cli.batch_names import NamePattern
from i2v.core.errors import InvalidRequest

RESULT = {
    "prompt": "A cat, 2 dogs",
    "seed": 7,
    "engine": "embedded",
    "width": 64,
    "height": 48,
    "num_frames": 8,
    "fps": 8,
}


def named(pattern: str, stem: str = "cat 照片") -> list[str]:
    return [path.name for path in islice(NamePattern(pattern).candidates(Path("out"), stem, 3, RESULT), 2)]


def test_names_are_made_of_the_picture_and_the_result() -> None:
    assert named("{stem}") == ["cat 照片.mp4", "cat 照片_2.mp4"]
    assert named("{number:03}_{stem}_{seed}.mp4")[0] == "003_cat 照片_7.mp4"
    assert named("{engine} {width}x{height} {num_frames} {fps}")[0] == "embedded 64x48 8 8.mp4"
    assert named("{picture}_{prompt}_{seed}", "my: cat!")[0] == "my_cat_A_cat_2_dogs_7.mp4"
    assert len(named("{stem}", "照" * 80)[1].encode()) <= 255


@pytest.mark.parametrize("pattern", [
    "", ".mp4", "{}", "{date}", "{stem", "{stem.x}", "{stem[0]}", "a/{stem}", "../x", ".{stem}",
    "{stem:99q}", "a\0b",
])  # fmt: skip
def test_what_is_no_name_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        NamePattern(pattern)
    assert caught.value.code == "batch.bad_name"
