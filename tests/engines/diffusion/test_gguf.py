"""i2v.engines.diffusion.gguf: numbers are unpacked as the package's reference does; bad files are named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quants
from torch import nn

from i2v.core.errors import ModelUnavailable
from i2v.engines.diffusion.gguf import GGUFLinear, assign_gguf, read_gguf, unpacked
from i2v.engines.wan.figures import _UNPACKING
from i2v.engines.wan.specs import WAN_TI2V_5B
from tests.peak_memory import PeakMemory

CPU = torch.device("cpu")
# Where a block of each type has the half-precision scales of its numbers, in bytes from its beginning.
SCALES = {"Q4_0": (0,), "Q8_0": (0,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def random_rows(kind: GGMLQuantizationType, rows: int, columns: int) -> np.ndarray:
    """Return (rows, bytes of a row): any bits, but for scales of a usual size."""
    block_size, type_size = GGML_QUANT_SIZES[kind]
    random = np.random.default_rng(int(kind))
    blocks = random.integers(0, 256, (rows * columns // block_size, type_size), dtype=np.uint8)
    for place in SCALES[kind.name]:
        scales = random.normal(0, 1e-3, (len(blocks), 1)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8)
    return blocks.reshape(rows, -1)


@pytest.mark.parametrize("name", SCALES)
def test_numbers_are_those_of_the_reference_up_to_rounding_in_half_precision(name: str) -> None:
    kind = GGMLQuantizationType[name]
    rows = random_rows(kind, 16, 512)
    expected = torch.from_numpy(quants.dequantize(rows, kind))
    packed = torch.from_numpy(rows)
    with PeakMemory() as memory:
        found = unpacked(packed, int(kind))
    assert memory.most <= _UNPACKING * found.numel(), "as the estimate has it"
    assert found.shape == expected.shape == (16, 512)
    assert expected.std() > 1e-3
    assert (found.float() - expected).abs().max() <= 2e-3 * expected.abs().max()


def write(path: Path, tensors: dict[str, tuple[np.ndarray, GGMLQuantizationType | None]]) -> None:
    writer = GGUFWriter(path, "wan")
    for name, (values, kind) in tensors.items():
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_linear_weights_stay_in_blocks_and_all_else_is_plain(tmp_path: Path) -> None:
    kind = GGMLQuantizationType.Q8_0
    weight = random_rows(kind, 8, 64)
    table = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float16)
    write(
        tmp_path / "a.gguf",
        {
            "fc.weight": (weight, kind),
            "fc.bias": (np.ones(8, np.float32), None),
            "table": (table, None),
            "conv.weight": (random_rows(kind, 4, 32), kind),
        },
    )
    with torch.device("meta"):
        model = nn.Module()
        model.fc, model.conv = nn.Linear(64, 8), nn.Conv2d(32, 4, 1, bias=False)
        model.table = nn.Parameter(torch.empty(1, 6, 8))
    tensors = read_gguf(WAN_TI2V_5B, tmp_path / "a.gguf")
    assign_gguf(model, tmp_path / "a.gguf", tensors, CPU, torch.bfloat16, frozenset(["table"]))
    assert isinstance(model.fc, GGUFLinear)
    assert (model.fc.weight.dtype, model.fc.bias.dtype) == (torch.uint8, torch.bfloat16)
    assert (model.table.dtype, model.table.shape) == (torch.float32, (1, 6, 8))
    assert (model.conv.weight.dtype, model.conv.weight.shape) == (torch.bfloat16, (4, 32, 1, 1))
    states = torch.randn(3, 64)
    expected = nn.functional.linear(states, torch.from_numpy(quants.dequantize(weight, kind)), torch.ones(8))
    assert (model.fc(states) - expected).abs().max() <= 1e-3


def test_a_file_of_another_model_is_refused_with_the_tensor(tmp_path: Path) -> None:
    write(tmp_path / "a.gguf", {"other.weight": (np.ones((2, 2), np.float32), None)})
    with torch.device("meta"):
        model = nn.ModuleDict({"fc": nn.Linear(2, 2, bias=False)})
    tensors = read_gguf(WAN_TI2V_5B, tmp_path / "a.gguf")
    with pytest.raises(ModelUnavailable, match=r"fc\.weight"):
        assign_gguf(model, tmp_path / "a.gguf", tensors, CPU, torch.float32, frozenset())


@pytest.mark.parametrize("content", [b"", b"no GGUF at all, but long enough for a header", b"GGUF"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"a\.gguf"):
        read_gguf(WAN_TI2V_5B, tmp_path / "a.gguf")


def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelUnavailable) as caught:
        read_gguf(WAN_TI2V_5B, tmp_path / "a.gguf")
    assert caught.value.code == "weights.no_gguf"
