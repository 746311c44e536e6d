"""i2v.service.batch_files: see `cli.test_batch_rows`, which reads real files, for what is refused."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.service.batch_files import Listed, parse_rows


def test_rows_of_both_kinds_say_where_they_stand() -> None:
    assert parse_rows("a.csv", ".csv", "image,seed\r\na.png,7\r\n") == [
        Listed("a.csv, row 1", "a.png", {"seed": "7"})
    ]
    assert parse_rows("b", ".jsonl", '{"image": "a.png", "seed": 7}') == [
        Listed("b, row 1", "a.png", {"seed": 7})
    ]


def test_a_cell_may_have_several_lines_and_letters_that_end_lines_elsewhere() -> None:
    [row] = parse_rows("a", ".csv", 'image,prompt\na.png,"one\ntwo\u2028three\x0b"\n')
    assert row.fields == {"prompt": "one\ntwo\u2028three"}
    [row] = parse_rows("a", ".jsonl", '{"image": "a.png", "prompt": "one\u2028two"}\r\n')
    assert row.fields == {"prompt": "one\u2028two"}


@pytest.mark.parametrize("column", ["inputs", "sound"])
def test_a_column_whose_files_no_row_has_is_refused(column: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_rows("a.csv", ".csv", f"image,{column}\na.png,1\n")
    assert (caught.value.code, caught.value.params["column"]) == ("batch.unknown_column", column)


def test_an_unknown_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_rows("a.csv", ".csv", "image,sed\na.png,1\n")
    assert (caught.value.params["column"], caught.value.params["nearest"]) == ("sed", "seed")
