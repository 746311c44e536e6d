"""i2v.core.file_names: patterns, and names that any file system takes."""

from __future__ import annotations

from datetime import datetime

import pytest

from i2v.core.file_names import NameFacts, check_pattern, cleaned, picture_name, stem_of

WHEN = datetime(2025, 4, 5, 14, 23, 10)
FACTS = NameFacts("IMG 001.HEIC", "A cat: turns/looks?", 7, "camera-move")


def stem(pattern: str, prefix: str = "", facts: NameFacts = FACTS) -> str:
    return stem_of(prefix, check_pattern(pattern), facts, WHEN)


def test_a_name_tells_what_the_pattern_asks_for() -> None:
    assert stem("{date}_{time}", "video_") == "video_20250405_142310"
    assert stem("{picture}_{seed}") == "IMG_001_7"
    assert stem("{prompt} by {engine}") == "A_cat_turns_looks by camera-move"
    assert stem("{picture}-{prompt}", facts=NameFacts(seed=1)) == "picture-prompt"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("猫，转头！", "猫_转头"), ("e\u0301te\u0301", "été"), ("हिन्दी", "हिन्दी"), ("..\\../etc", "etc"),
        ("-rf *", "rf"), ("🐱", ""), ("a\0b\nc", "a_b_c"), ("x" * 100, "x" * 60),
    ],
)  # fmt: skip
def test_texts_keep_letters_and_digits_of_any_script(text: str, kept: str) -> None:
    assert cleaned(text) == kept


@pytest.mark.parametrize(
    ("pattern", "picture", "name"),
    [
        ("{picture}", "con.png", "_con"), ("{picture}.x", "nul", "_nul.x"), (".{seed}", "", "_.7"),
        ("{seed}. .", "", "7"), ("lpt1", "", "_lpt1"), ("console", "", "console"),
    ],
)  # fmt: skip
def test_no_name_is_hidden_a_device_or_ends_in_a_dot(pattern: str, picture: str, name: str) -> None:
    assert stem(pattern, facts=NameFacts(picture, seed=7)) == name


def test_a_long_name_leaves_room_for_its_number_and_ending() -> None:
    long = stem("{picture}{prompt}", "照" * 64, NameFacts("片" * 90, "文" * 90))
    assert len(long.encode()) <= 200
    assert long.startswith("照" * 64)


@pytest.mark.parametrize("pattern", [
    "", "{stem}", "{seed", "seed}", "{}", "{seed:03}", "{{seed}}", "a/b", "a\\b", "a:b", "a?",
    "a\nb", "x" * 101,
])  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\{picture\}, \{prompt\}"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("C:\\fakepath\\cat.jpg", "cat.jpg"),
        ("../../cat.jpg", "cat.jpg"),
        (" a\0b\n.png ", "ab.png"),
        ("", ""),
    ],
)
def test_a_pictures_name_has_no_folders(sent: str, name: str) -> None:
    assert picture_name(sent) == name
