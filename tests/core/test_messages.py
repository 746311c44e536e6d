"""i2v.core.messages: one row a code in each language, which say the same with the same values."""

from __future__ import annotations

import re
from dataclasses import asdict
from string import Formatter
from typing import get_args

import pytest

from i2v.core.errors import printable, render
from i2v.core.messages import Entry, catalogue, fill, hint
from i2v.core.schema import Language

HAN = re.compile(r"[\u4e00-\u9fff]")
LANGUAGES = get_args(Language)


def params(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_row_with_the_same_values(language: str) -> None:
    english, translated = catalogue(), catalogue(language)
    assert translated.keys() == english.keys()
    for code, entry in english.items():
        other = translated[code]
        assert params(other.message) == params(entry.message), code
        assert params(other.page) == params(entry.page) <= params(entry.message), code
        assert bool(other.hint) == bool(entry.hint), code
        assert not params(entry.hint) | params(other.hint), code


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_file_is_in_its_language(language: str) -> None:
    for code, entry in catalogue(language).items():
        for text in (entry.message, entry.hint, entry.page):
            assert bool(HAN.search(text)) == (language != "en") or not text, code


def test_what_is_the_same_in_every_language_stands_once() -> None:
    sentences = {"message", "hint", "page"}
    plain = {name: value for name, value in asdict(Entry("")).items() if name not in sentences}
    for language in set(LANGUAGES) - {"en"}:
        for code, entry in catalogue(language).items():
            assert asdict(entry).items() >= plain.items(), code


def test_codes_and_placeholders_are_plain_names() -> None:
    for code, entry in catalogue().items():
        assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", code)
        assert all(name.isidentifier() for name in params(entry.message)), code
        filled = render(code, dict.fromkeys(params(entry.message), "X"))
        assert filled == printable(filled)


def test_a_code_that_does_not_exist_has_no_hint() -> None:
    assert hint("job.unknown") is not None
    assert hint("request.invalid") is None
    assert hint("no.such_code") is None


def test_a_time_is_said_in_words_of_the_language() -> None:
    assert (
        fill("{low:time}, {high:time}, {count}", {"low": 40, "high": 130.0, "count": 3}) == "40 s, 2 min, 3"
    )
    assert fill("{low:time}", {"low": 130}, "zh-CN") == "2 分钟"
    with pytest.raises(KeyError):
        fill("{low:time}", {})
