"""i2v.core.bounds: numbers as people write them, and one complaint with both bounds."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from i2v.core.bounds import Within

COUNT = TypeAdapter(Annotated[int, Within(4, 128)])
SHARE = TypeAdapter(Annotated[float, Within(0, 2, ", of white")])


def test_text_is_read_as_a_number() -> None:
    assert (COUNT.validate_python("16"), COUNT.validate_python(4)) == (16, 4)
    assert (SHARE.validate_python("0.5"), SHARE.validate_python(2)) == (0.5, 2)


@pytest.mark.parametrize("value", [3, 129, "1_0", "many", 4.5, True, None, [8]])
def test_what_is_no_such_number_is_refused_with_both_bounds(value: object) -> None:
    with pytest.raises(ValidationError, match="a whole number from 4 to 128"):
        COUNT.validate_python(value)


@pytest.mark.parametrize("value", [-0.1, 2.1, float("nan"), float("inf"), "nan", False, 10**400])
def test_what_is_not_finite_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="a number from 0 to 2, of white"):
        SHARE.validate_python(value)
