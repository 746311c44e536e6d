"""What is known of one set of weights: words that its text encoder never saw are said in others."""

from __future__ import annotations

import pytest

from i2v.engines.i2vgen_xl.facts import facts_of
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL


@pytest.mark.parametrize(
    ("prompt", "known"),
    [
        ("推镜头", "镜头推近"),
        ("慢慢拉镜头", "慢慢镜头拉远"),
        ("镜头推近", "镜头推近"),
        ("zoom in", "zoom in"),
    ],
)
def test_the_demo_model_is_told_a_push_in_by_words_that_it_knows(prompt: str, known: str) -> None:
    assert facts_of(EMBEDDED).understood(prompt) == known
    assert facts_of(I2VGEN_XL).understood(prompt) == prompt
