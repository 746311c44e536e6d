"""What a field may be, in Chinese: nothing that a request can be refused with stays English."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.engines.registry import engines
from i2v.pipeline.checks import check_request
from i2v.web.allowed_values import in_chinese
from i2v.web.texts import translate

WRONG: tuple[object, ...] = (10**9, -5, "no such", "\0", "\ud800", "x" * 3000, [], 1.5, {"x": float("nan")})


def refusals() -> Iterator[InvalidRequest]:
    """Yield what is said of wrong values of each field, of each engine's options, and beyond its limits."""
    requests: list[dict[str, object]] = [
        {name: value} for name in GenerationRequest.model_fields for value in WRONG
    ]
    for name, spec in engines().items():
        requests += [
            {"engine": name, "prompt": "x", "options": {option: value}}
            for option in spec.options_model.model_fields
            for value in WRONG
        ]
        limits: list[dict[str, object]] = [
            {"num_frames": 3600}, {"num_frames": 1}, {"fps": 60}, {"width": 4096}, {"fit": "pad"},
        ]  # fmt: skip
        requests += [{"engine": name, "prompt": "x", **fields} for fields in limits]
    for fields in requests:
        try:
            request = GenerationRequest.parse(fields)
            check_request(request, engines().get(request.engine, engines()["embedded"]))
        except InvalidRequest as error:
            yield error


def test_whatever_a_request_is_refused_for_is_said_in_chinese() -> None:
    said = {str(each.params["allowed"]) for each in refusals() if each.code == "request.invalid"}
    assert len(said) > 15
    names = r"[\w.'-]+"  # of models and values; a phrase has words between spaces
    english = {
        phrase
        for phrase in said
        if re.search(rf"(?<![\w'])(a|an|one|from|to|most|least) {names}", in_chinese(phrase))
    }
    assert english == set()


@pytest.mark.parametrize(
    ("allowed", "chinese"),
    [
        ("a whole number from 1 to 60", "1 到 60 之间的整数"),
        ("a whole number from 4 to 32 with Demo", "4 到 32 之间的整数（Demo）"),
        ("a whole number from -1 to 4294967295, where -1 means a random one",
         "-1 到 4294967295 之间的整数（-1 表示随机）"),
        ("one of 'keep', 'crop' or 'pad'", "以下之一：keep、crop、pad"),
        ("one of 14, 25 with SVD", "以下之一：14、25（SVD）"),
        ("5, 9, 13 and so on up to 121", "5、9、13 等等，最大 121"),
        ("what nobody has translated", "what nobody has translated"),
    ],
)  # fmt: skip
def test_values_stay_as_they_are(allowed: str, chinese: str) -> None:
    assert in_chinese(allowed) == chinese


def test_the_page_says_it_within_its_sentence() -> None:
    error = InvalidRequest("request.invalid", field="fps", value="99", allowed="a whole number from 1 to 60")
    assert "要求：1 到 60 之间的整数。" in translate(error.to_dict(), "zh-CN")
    assert "a whole number from 1 to 60" in translate(error.to_dict(), "en")
