"""Headers of weights against the table of published tensors: whole files without values, and damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from i2v.core.errors import ModelUnavailable
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.weights import EMBEDDED_FOLDER
from i2v.weights.tensors import check_tensors, published_shapes, read_shapes
from scripts.full_size.write import write_weights

Shapes = dict[str, tuple[int, ...]]
VAE = published_shapes(I2VGEN_XL)["vae"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "diffusion_pytorch_model.fp16.safetensors"


def refusal(path: Path, shapes: Shapes, expected: Shapes = VAE) -> ModelUnavailable:
    write_weights(path, shapes, seed=None)
    with pytest.raises(ModelUnavailable) as caught:
        check_tensors(I2VGEN_XL, path, expected)
    assert caught.value.params["path"] == str(path)
    return caught.value


def test_the_table_has_every_part() -> None:
    assert {part: len(shapes) for part, shapes in published_shapes(I2VGEN_XL).items()} == {
        "unet": 1511, "image_encoder": 520, "text_encoder": 388, "vae": 248,
    }  # fmt: skip
    assert published_shapes(EMBEDDED) == {}


def test_the_published_names_fit_and_so_do_those_of_other_versions(path: Path) -> None:
    write_weights(path, VAE, seed=None)
    check_tensors(I2VGEN_XL, path, VAE)
    old = {
        name.replace(".to_q.", ".query.").replace(".to_out.0.", ".proj_attn."): shape
        for name, shape in VAE.items()
    }
    assert old.keys() != VAE.keys()
    write_weights(path, old, seed=None)
    check_tensors(I2VGEN_XL, path, VAE)
    text = published_shapes(I2VGEN_XL)["text_encoder"]
    new = {name.removeprefix("text_model."): shape for name, shape in text.items()}
    write_weights(path, {**new, "embeddings.position_ids": (1, 77)}, seed=None)
    check_tensors(I2VGEN_XL, path, text)


def test_a_tensor_that_is_missing_unknown_or_misshapen_is_named(path: Path) -> None:
    fewer = {name: shape for name, shape in VAE.items() if name != "decoder.conv_in.bias"}
    error = refusal(path, fewer)
    assert (error.code, error.params["tensor"]) == ("weights.missing_tensor", "decoder.conv_in.bias")
    error = refusal(path, {**VAE, "loss.logvar": (1,)})
    assert (error.code, error.params["tensor"]) == ("weights.unexpected_tensor", "loss.logvar")
    error = refusal(path, {**VAE, "decoder.conv_in.bias": (256,)})
    assert (error.code, error.params["tensor"]) == ("weights.misshapen_tensor", "decoder.conv_in.bias")
    assert (error.params["found"], error.params["expected"]) == ("(256,)", "(512,)")


def test_a_file_of_another_library_is_read_as_it_reads_it() -> None:
    from safetensors import safe_open

    path = EMBEDDED_FOLDER / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    with safe_open(str(path), framework="np") as file:
        assert read_shapes(EMBEDDED, path) == {
            name: tuple(file.get_slice(name).get_shape())
            for name in file.keys()  # noqa: SIM118
        }


def cut(data: bytes) -> bytes:
    return data[:-1]


def grown(data: bytes) -> bytes:
    return data + b"x"


def page(data: bytes) -> bytes:
    return b"<html>please log in to this network</html>"


def huge_header(data: bytes) -> bytes:
    return (2**62).to_bytes(8, "little") + data[8:]


def broken_header(data: bytes) -> bytes:
    return data[:9] + b"!" + data[10:]


def other_type(data: bytes) -> bytes:
    return data.replace(b'"F16"', b'"I64"')


def no_table(data: bytes) -> bytes:
    words = json.dumps([1, 2]).encode()
    return len(words).to_bytes(8, "little") + words


def no_shape(data: bytes) -> bytes:
    words = json.dumps({"a": {"dtype": "F16"}}).encode()
    return len(words).to_bytes(8, "little") + words


def test_a_sound_file_is_read(path: Path) -> None:
    write_weights(path, {"a": (3, 4), "b": (5,)}, seed=None)
    assert read_shapes(I2VGEN_XL, path) == {"a": (3, 4), "b": (5,)}


@pytest.mark.parametrize(
    "damage", [cut, grown, page, huge_header, broken_header, other_type, no_table, no_shape]
)
def test_a_damaged_file_is_unreadable_and_says_why(path: Path, damage: Callable[[bytes], bytes]) -> None:
    write_weights(path, {"a": (3, 4), "b": (5,)}, seed=None)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelUnavailable) as caught:
        read_shapes(I2VGEN_XL, path)
    assert caught.value.code == "weights.unreadable"
    assert len(caught.value.message) < 600
