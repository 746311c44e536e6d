"""i2v.cli.batch_rows: every row says where it stands, and what is unknown is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.cli.batch_rows import read_rows
from i2v.core.errors import InvalidRequest
from i2v.media.image import DEFAULT_LIMITS
from i2v.service.batch_files import COLUMNS
from tests.rehearsal import picture


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refusal(source: Path) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read_rows(source, {})
    return caught.value


def test_a_folders_pictures_come_in_order_with_the_prompt_beside_them(tmp_path: Path) -> None:
    for name in ("10.png", "9.JPG", "b.webp", ".hidden.png", "note.md", "²5.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "deeper").mkdir()
    write(tmp_path, "9.txt", " its own\n")
    write(tmp_path, "b.txt", "\n")
    rows = read_rows(tmp_path, {"prompt": "all", "fps": "8"})
    assert [(row.number, row.picture.name, row.fields["prompt"]) for row in rows] == [
        (1, "9.JPG", "its own"), (2, "10.png", "all"), (3, "b.webp", "all"), (4, "²5.png", "all"),
    ]  # fmt: skip
    assert {row.fields["fps"] for row in rows} == {"8"}


def test_a_csv_has_any_field_and_empty_cells_say_nothing(tmp_path: Path) -> None:
    text = '\ufeffimage, prompt,seed,options\na.png,"left, slowly",7,"{""zoom"": 2}"\n,,,\nsub/b.png,,,\n'
    first, second = read_rows(write(tmp_path, "clips.CSV", text), {"prompt": "all"})
    assert first.fields == {"prompt": "left, slowly", "seed": "7", "options": '{"zoom": 2}'}
    assert (second.picture, second.fields) == (tmp_path / "sub/b.png", {"prompt": "all"})
    assert second.place.endswith("clips.CSV, row 3")


def test_json_lines_have_values_of_any_type(tmp_path: Path) -> None:
    text = '{"image": "a.png", "seed": 7, "options": {"zoom": 2}, "prompt": null}\n\n{"image": "b.png"}\n'
    first, second = read_rows(write(tmp_path, "clips.jsonl", text), {})
    assert first.fields == {"seed": 7, "options": {"zoom": 2}}
    assert second.place.endswith("row 3")


@pytest.mark.parametrize(
    ("name", "text", "code", "words"),
    [
        (
            "a.csv",
            "image,promt\na.png,x\n",
            "batch.unknown_column",
            ["a.csv", "promt", "'prompt'", "image, "],
        ),
        ("a.csv", "image,inputs\na.png,x\n", "batch.unknown_column", ["inputs"]),
        ("a.csv", "image,image\na.png,x\n", "batch.bad_row", ["twice"]),
        ("a.csv", "image,prompt\na.png,x\nb.png\n", "batch.bad_row", ["a.csv, row 2", "cells"]),
        ("a.csv", "image,prompt\na.png,x,y\n", "batch.bad_row", ["row 1", "cells"]),
        ("a.csv", "prompt\nx\n", "batch.bad_row", ["row 1", "no image"]),
        ("a.csv", 'image\n"a.png\n', "batch.unreadable", ["a.csv", "line"]),
        ("a.csv", "image,prompt\n", "batch.empty", ["a.csv"]),
        ("a.csv", "", "batch.empty", ["a.csv"]),
        ("a.jsonl", '{"image": "a.png"}\n[1]\n', "batch.bad_row", ["row 2", "object"]),
        ("a.jsonl", "{", "batch.bad_row", ["row 1", "JSON"]),
        ("a.jsonl", '{"image": 7}', "batch.bad_row", ["row 1", "no image"]),
        ("a.jsonl", '{"image": "a", "speeed": 1}', "batch.unknown_column", ["row 1", "speeed", "'speed'"]),
        ("a.txt", "x", "batch.bad_source", ["a.txt"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, code: str, words: list[str]) -> None:
    error = refusal(write(tmp_path, name, text))
    assert error.code == code
    assert [word for word in words if word not in error.message] == []


def test_sources_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone").code == "batch.missing"
    assert refusal(tmp_path).code == "batch.empty"
    (tmp_path / "gbk.csv").write_bytes("image,prompt\na.png,镜头\n".encode("gbk"))
    assert "no UTF-8" in refusal(tmp_path / "gbk.csv").message


def test_a_row_is_checked_whatever_the_engine_and_told_from_others(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "bad.png").write_bytes(b"no picture")
    lines = ["a.png,x", "a.png,y", "a.png,x", "bad.png,x", "gone.png,x"]
    rows = read_rows(write(tmp_path, "a.csv", "\n".join(["image,prompt", *lines])), {})
    assert rows[0].check(DEFAULT_LIMITS) == (64, 64)
    digests = [row.digest(DEFAULT_LIMITS) for row in rows[:3]]
    assert digests[0] == digests[2] != digests[1]
    for row, code in ((rows[3], "image.unknown_format"), (rows[4], "image.missing")):
        with pytest.raises(InvalidRequest) as caught:
            row.check(DEFAULT_LIMITS)
        assert caught.value.code == code
        assert row.refused(caught.value).message.startswith(row.place)


def test_every_field_of_a_request_but_other_pictures_is_a_column() -> None:
    assert {"image", "prompt", "seed", "options", "engine"} <= set(COLUMNS)
    assert "inputs" not in COLUMNS
