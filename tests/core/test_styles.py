"""i2v.core.styles: names in both languages, and words that go with what a person wrote."""

from __future__ import annotations

from typing import get_args

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.fields import PROMPT_LIMIT
from i2v.core.schema import GenerationRequest
from i2v.core.styles import STYLES, StyleName, joined
from i2v.web.texts import TEXTS


def test_every_name_has_a_style_and_a_word_for_the_page() -> None:
    assert set(STYLES) == set(get_args(StyleName))
    assert all(f"style.{name}" in TEXTS for name in STYLES)
    assert len({style.chinese for style in STYLES.values()}) == len(STYLES)


@pytest.mark.parametrize(
    ("given", "name"), [("oil", "oil"), (" Oil ", "oil"), ("油画", "oil"), ("", None), (None, None)]
)
def test_a_style_is_named_in_english_or_chinese(given: str | None, name: str | None) -> None:
    assert GenerationRequest.parse({"style": given}).style == name


@pytest.mark.parametrize("given", ["baroque", 3, ["oil"]])
def test_an_unknown_style_is_refused_with_those_that_there_are(given: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest.parse({"style": given})
    assert caught.value.params["field"] == "style"
    assert "'anime'" in str(caught.value.params["allowed"])


def test_words_are_joined_once_and_nothing_is_no_word() -> None:
    assert joined("a cat runs.", "oil painting") == "a cat runs, oil painting"
    assert joined("镜头向左平移。", "oil painting") == "镜头向左平移, oil painting"
    assert (joined("", "oil"), joined("a cat", ""), joined("", "")) == ("oil", "a cat", "")
    assert max(len(style.prompt) for style in STYLES.values()) < PROMPT_LIMIT / 20
