"""Requests for tests: one that is accepted, and what is said of one that is not."""

from __future__ import annotations

import json

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.schema import GenerationRequest

PROMPT = "the camera pans left"


def parse(**fields: object) -> GenerationRequest:
    other = {"height": {"width": 64}, "width": {"height": 64}}  # sides come in pairs
    (first, *_) = [*fields, None]
    return GenerationRequest.parse({"prompt": PROMPT, **other.get(str(first), {}), **fields})


def refusal(**fields: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    return caught.value


def assert_readable(error: I2VError) -> None:
    """The message is one short line, and both it and the params go through UTF-8 and strict JSON."""
    assert len(error.message) < 600
    assert error.message.isprintable()
    json.dumps(error.to_dict(), ensure_ascii=False, allow_nan=False).encode("utf-8")
