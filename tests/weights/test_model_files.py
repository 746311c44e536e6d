"""weights.model_files: names of other versions are known, and what does not fit is named with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.core.errors import ModelUnavailable
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.weights.model_files import Shape, match_tensors, unreadable

FILE = Path("vae/model.safetensors")
EXPECTED = {"attention.to_out.0.bias": (4,), "attention.to_q.weight": (4, 4), "layer.weight": (2, 3)}


def refusal(found: dict[str, Shape]) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        match_tensors(FILE, found, EXPECTED)
    assert caught.value.params["path"] == str(FILE)
    return caught.value


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_each_expected_name_gets_the_one_that_the_file_has(prefix: str) -> None:
    names = {
        "layer.weight": f"{prefix}layer.weight",
        "attention.to_q.weight": "attention.query.weight",
        "attention.to_out.0.bias": "attention.proj_attn.bias",
    }
    found = {old: EXPECTED[name] for name, old in names.items()}
    assert list(match_tensors(FILE, found, EXPECTED).items()) == list(names.items())
    other_way = {f"text_model.{name}": shape for name, shape in EXPECTED.items()}
    assert match_tensors(FILE, EXPECTED, other_way) == {f"text_model.{name}": name for name in EXPECTED}


def test_a_name_that_is_expected_is_not_taken_for_an_old_one() -> None:
    expected = {"query.weight": (4, 4), "to_q.weight": (4, 4)}
    assert match_tensors(FILE, expected, expected) == {name: name for name in expected}


def test_a_constant_that_some_files_have_is_no_tensor_of_the_model() -> None:
    found = {**EXPECTED, "embeddings.position_ids": (1, 77)}
    assert match_tensors(FILE, found, EXPECTED).keys() == EXPECTED.keys()


def test_the_first_of_those_that_are_missing_unknown_or_misshapen_is_named() -> None:
    error = refusal({"layer.weight": (2, 3)})
    assert (error.code, error.params["tensor"], error.params["count"]) == (
        "weights.missing_tensor",
        "attention.to_out.0.bias",
        2,
    )
    error = refusal({**EXPECTED, "lora.up": (1,), "lora.down": (1,)})
    assert (error.code, error.params["tensor"]) == ("weights.unexpected_tensor", "lora.down")
    error = refusal({**EXPECTED, "layer.weight": (3, 2)})
    assert (error.code, error.params["tensor"]) == ("weights.misshapen_tensor", "layer.weight")
    assert (error.params["found"], error.params["expected"]) == ("(3, 2)", "(2, 3)")


def test_a_reason_is_reported_on_one_line_and_not_at_any_length() -> None:
    error = unreadable(I2VGEN_XL, FILE, "a library says\n\n  much: " + 500 * "x")
    assert error.code == "weights.unreadable"
    assert str(error.params["reason"]).startswith("a library says much: xxx")
    assert len(str(error.params["reason"])) == 300
