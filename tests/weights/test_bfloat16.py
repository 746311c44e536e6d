"""i2v.weights.bfloat16: float32 files written again, to the bit as torch rounds, and gone on with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from i2v.weights import bfloat16
from i2v.weights.bfloat16 import compare, lay_out, rounded, write

SPECIAL = [0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 3.4e38, -3.4e38, 1e-45, 1.17e-38]


def quiet(done: int) -> None:
    pass


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    torch.manual_seed(0)
    files = [
        {"blocks.0.norm1.weight": torch.randn(7), "blocks.0.ffn.weight": torch.randn(33, 5) * 100},
        {"head.weight": torch.randn(3, 4, 1, 2), "scale": torch.randn(()), "empty": torch.zeros(0, 3)},
    ]
    paths = [tmp_path / f"{index}.safetensors" for index in range(len(files))]
    for path, tensors in zip(paths, files, strict=True):
        save_file(tensors, path)
    return paths


def test_it_rounds_as_torch_does() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    halves = (np.arange(2**16, dtype=np.uint32) << 16) + 0x8000  # just between two
    values = np.concatenate([bits.view(np.float32), halves.view(np.float32), np.array(SPECIAL, np.float32)])
    expected = torch.from_numpy(values).to(torch.bfloat16)
    found = torch.from_numpy(rounded(values).view(np.int16).copy()).view(torch.bfloat16)
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.nan_to_num(7).view(torch.int16), expected.nan_to_num(7).view(torch.int16))


def test_the_new_file_has_every_tensor_rounded_but_for_those_that_stay(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16, "BLOCK", 16)
    layout, target = lay_out(sources, ["norm1"]), tmp_path / "new.safetensors"
    write(layout, target, quiet)
    expected = {name: tensor for path in sources for name, tensor in load_file(path).items()}
    found = load_file(target)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        kept = "norm1" in name
        assert found[name].dtype == (torch.float32 if kept else torch.bfloat16)
        assert torch.equal(found[name], tensor if kept else tensor.to(torch.bfloat16)), name
    assert target.stat().st_size == layout.size
    assert compare(layout, target, quiet) == hashlib.sha256(target.read_bytes()).hexdigest()


@pytest.mark.parametrize("cut", [0, 5, 200, 420, 10**6])
def test_an_interrupted_write_goes_on_and_ends_as_the_same_file(
    sources: list[Path], tmp_path: Path, cut: int
) -> None:
    layout, whole, part = lay_out(sources, ["norm1"]), tmp_path / "whole", tmp_path / "part"
    write(layout, whole, quiet)
    part.write_bytes(whole.read_bytes()[:cut])
    write(layout, part, quiet)
    assert part.read_bytes() == whole.read_bytes()
    part.write_bytes(b"a part of something else" * 30)
    write(layout, part, quiet)
    assert part.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("place", [3, 60, -1])
def test_one_wrong_byte_is_found(sources: list[Path], tmp_path: Path, place: int) -> None:
    layout, target = lay_out(sources, []), tmp_path / "new"
    write(layout, target, quiet)
    content = bytearray(target.read_bytes())
    content[place] ^= 1
    target.write_bytes(content)
    assert compare(layout, target, quiet) is None
    target.write_bytes(content[:-2])
    assert compare(layout, target, quiet) is None


def test_what_is_not_of_float32_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2), "b": torch.zeros(2, dtype=torch.float16)}, tmp_path / "mixed")
    with pytest.raises(ValueError, match="b is not of float32"):
        lay_out([tmp_path / "mixed"], [])
    save_file({}, tmp_path / "none")
    with pytest.raises(ValueError, match="no tensors"):
        lay_out([tmp_path / "none"], [])
