"""The strip of takes and two of them beside each other: what can be pressed, and nothing as markup."""

from __future__ import annotations

import re
from dataclasses import replace

from i2v.web.page.takes_panels import side_by_side, strip
from tests.web.page.test_panels import DONE, HOSTILE, JOB, RAN

OTHER = replace(DONE, id="1" * 32, generation=replace(RAN, seed=5))


def acts(markup: str) -> list[tuple[str, str]]:
    return [(act, number[0]) for act, number in re.findall(r'data-act="(\w+)" data-id="(\w+)"', markup)]


def test_one_take_needs_no_strip_and_of_two_the_shown_one_is_marked() -> None:
    assert strip([DONE], DONE.id, "", "en") == ""
    markup = strip([DONE, OTHER], DONE.id, "", "en")
    assert acts(markup) == [("take", "0"), ("take", "1"), ("compare", "1")]
    assert markup.count('aria-current="true"') == 1
    assert "Take 2 · Seed 5" in markup
    assert "poster" in markup
    assert "Stop comparing" in strip([DONE, OTHER], DONE.id, OTHER.id, "en")
    assert "取消对比" in strip([DONE, OTHER], DONE.id, OTHER.id, "zh-CN")


def test_a_take_that_is_not_done_says_how_it_is_and_cannot_be_compared() -> None:
    markup = strip([replace(JOB, id="2" * 32), DONE], DONE.id, "", "en")
    assert "Denoising · step 3 of 10" in markup
    assert ("compare", "2") not in acts(markup)
    assert f"api/v1/jobs/{'2' * 32}/thumbnail" in markup


def test_two_takes_show_what_they_were_made_with_differently() -> None:
    hostile = replace(OTHER, generation=replace(RAN, seed=5, prompt=HOSTILE + "!"))
    markup = side_by_side(DONE, hostile, "en")
    assert markup.count("<video") == 2
    assert re.findall(r"<th>(\w+)</th>", markup) == ["Prompt", "Seed"]
    assert "<img" not in markup
    assert "<table" not in side_by_side(DONE, replace(DONE, id="3" * 32), "en")
