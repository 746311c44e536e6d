"""The Chinese of engines' own options: of fields and choices that there are, and complete."""

from __future__ import annotations

import re

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.option_fields import option_fields
from i2v.engines.registry import engines
from i2v.web.option_texts import CHINESE, choice_label, option_help, option_label
from tests.contrary import CONTRARY


def keys(spec: EngineSpec) -> set[str]:
    """Return the keys that texts of the engine may have."""
    found: set[str] = set()
    for field in option_fields(spec.options_model):
        key = f"option.{spec.name}.{field.name}"
        found |= {key, f"{key}.help", *(f"{key}.{choice}" for choice in field.choices)}
    return found


def test_each_text_is_chinese() -> None:
    assert [key for key, text in CHINESE.items() if not re.search(r"[\u4e00-\u9fff]", text)] == []


@pytest.mark.parametrize("name", engines())
def test_an_engine_of_ours_that_has_options_has_all_its_texts_and_no_others(name: str) -> None:
    spec = engines()[name]
    own = {key for key in CHINESE if key.split(".")[1] == name}
    assert own <= keys(spec)
    if option_fields(spec.options_model):
        assert own == keys(spec)


def test_what_is_not_in_the_table_is_said_in_english() -> None:
    field = option_fields(CONTRARY.options_model)[0]
    assert option_label("contrary", field, "zh-CN") == "Strength"
    assert option_help("contrary", field, "zh-CN") == "How much. 0: none."
    assert choice_label("contrary", field, 3, "zh-CN") == "3"
