"""Examples and motions to click: only what the engine knows, in the language of the page."""

from __future__ import annotations

import re

import pytest

from i2v.core.schema import Language
from i2v.engines.camera.phrases import read_prompt
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.service.advice import advise
from i2v.web.page.starting_points import (
    EXAMPLES,
    MOTIONS,
    PACES,
    chips,
    example,
    examples,
    motions_of,
    prompt_of,
    with_motion,
    with_pace,
)
from tests.contrary import CONTRARY


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("name", MOTIONS)
def test_what_a_motion_writes_is_known_to_the_engines_that_list_them(name: str, language: Language) -> None:
    prompt = MOTIONS[name].prompt[language]
    assert advise(prompt, None, 1, 8, EMBEDDED) == ()
    assert read_prompt(prompt, 2.0).names_motion


def test_an_engine_has_the_motions_that_it_knows_and_none_where_it_reads_no_prompt() -> None:
    assert motions_of(EMBEDDED) == motions_of(I2VGEN_XL) == tuple(MOTIONS)
    assert motions_of(CONTRARY) == ()
    assert chips(CONTRARY, "en") == ""
    assert re.findall(r'data-id="(\w+)"', chips(EMBEDDED, "zh-CN")) == [*MOTIONS, *PACES]
    assert "镜头向左平移" in chips(EMBEDDED, "zh-CN")


def test_a_motion_takes_the_place_of_another_one_and_comes_after_other_words() -> None:
    assert with_motion("", "left", EMBEDDED, "en") == "the camera pans left"
    assert with_motion("the camera pans left", "in", EMBEDDED, "en") == "the camera zooms in"
    assert with_motion("a boat drifts", "in", EMBEDDED, "en") == "the camera zooms in"  # it knows no boats
    assert with_motion("a boat drifts.", "in", I2VGEN_XL, "en") == "a boat drifts, the camera zooms in"
    assert (
        with_motion("a boat drifts, the camera zooms in", "left", I2VGEN_XL, "en")
        == "a boat drifts, the camera pans left"
    )
    assert (
        with_motion("the picture rotates counterclockwise", "clockwise", EMBEDDED, "zh-CN")
        == "画面顺时针旋转"
    )


@pytest.mark.parametrize(("language", "names"), [("en", ("left", "in")), ("zh-CN", ("left", "in"))])
def test_a_pace_is_read_takes_the_place_of_another_one_and_goes_again(
    language: Language, names: tuple[str, str]
) -> None:
    for name in names:
        plain = MOTIONS[name].prompt[language]
        slow = with_pace(plain, "slow", language)
        fast = with_pace(slow, "fast", language)
        assert advise(slow, None, 1, 8, EMBEDDED) == advise(fast, None, 1, 8, EMBEDDED) == ()
        ways = [abs(read_prompt(each, 2.0).move.pan or read_prompt(each, 2.0).move.zoom - 1)
                for each in (slow, plain, fast)]  # fmt: skip
        assert ways == sorted(ways)
        assert ways[0] < ways[1] < ways[2]
        assert with_pace(fast, "fast", language) == plain
    assert with_pace("", "slow", language) == ""
    assert with_motion(slow, "left", EMBEDDED, language).endswith(PACES["slow"].prompt[language])


def test_examples_are_pictures_with_a_prompt_and_nothing_else_is_read() -> None:
    markup = examples("en")
    assert re.findall(r'data-id="(\w+)"', markup) == list(EXAMPLES)
    assert prompt_of("cat", "zh-CN") == "画面顺时针旋转"
    assert (example("cat") or b"")[:2] == b"\xff\xd8"
    assert example("README") is None
    assert example("../README") is None
