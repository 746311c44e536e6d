"""Weights in GGUF, llama.cpp's format: linear layers that keep them in blocks and unpack them to compute.

Files are read by the `gguf` package, an extra; numbers are unpacked by diffusers' functions, where they are.
Tensors have the names that the model had before it came to diffusers: translating them is the families'
business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from i2v.core.errors import ModelUnavailable
from i2v.core.model_spec import ModelSpec
from i2v.weights.model_files import Shape, match_tensors, unreadable


@dataclass(frozen=True)
class Quantized:
    """A tensor as the file has it: `values` of a plain type, or the bytes of blocks of `kind`.

    Attributes:
        values: (out, bytes of a row) uint8, where it is in blocks.
        kind: ggml's number of the type; -1: plain values.
        shape: of the tensor, in torch's order.
    """

    values: torch.Tensor
    kind: int
    shape: Shape

    def plain(self) -> torch.Tensor:
        if self.kind < 0:
            return self.values.reshape(self.shape)
        return unpacked(self.values, self.kind).reshape(self.shape)


class GGUFLinear(nn.Linear):
    """`weight`: (out, bytes of a row) uint8 in blocks of `kind`."""

    kind: int

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)"""
        bias = None if self.bias is None else self.bias.to(states.dtype)
        return F.linear(states, unpacked(self.weight, self.kind).to(states.dtype), bias)


def unpacked(rows: torch.Tensor, kind: int) -> torch.Tensor:
    """(out, bytes of a row) uint8 -> (out, in), float16 or float32 as the type has it."""
    from diffusers.quantizers.gguf.utils import dequantize_functions
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    quantization = GGMLQuantizationType(kind)
    block_size, type_size = GGML_QUANT_SIZES[quantization]
    blocks = rows.reshape(-1, type_size)
    values = dequantize_functions[quantization](blocks, block_size, type_size)
    return cast("torch.Tensor", values.reshape(len(rows), -1))


def read_gguf(spec: ModelSpec, path: Path) -> dict[str, Quantized]:
    """Return the tensors of a file; those in blocks are mapped, not read.

    Raises `ModelUnavailable`: the package is missing (`weights.no_gguf`), or the file cannot be used.
    """
    try:
        from diffusers.quantizers.gguf.utils import dequantize_functions
        from gguf import GGMLQuantizationType, GGUFReader
    except ImportError as error:
        raise ModelUnavailable("weights.no_gguf", path=str(path)) from error
    plain = (GGMLQuantizationType.F32, GGMLQuantizationType.F16)
    found = {}
    try:
        for tensor in GGUFReader(path, "c").tensors:  # private pages: nothing is ever written
            kind = tensor.tensor_type
            if kind not in plain and kind not in dequantize_functions:
                raise ValueError(f"{tensor.name} is of the type {kind.name}, which is not known")
            shape = tuple(int(side) for side in reversed(tensor.shape))
            values = torch.from_numpy(tensor.data)
            found[tensor.name] = Quantized(values, -1 if kind in plain else int(kind), shape)
    except (OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise unreadable(spec, path, f"{type(error).__name__}: {error}") from error
    return found


def assign_gguf(
    model: nn.Module,
    path: Path,
    tensors: Mapping[str, Quantized],
    device: torch.device,
    dtype: torch.dtype,
    in_float32: frozenset[str],
) -> None:
    """Put `tensors` under the model's own names into `model`, which was built on the meta device.

    What has one of the names `in_float32` on its way, a linear layer or not, is put into float32. Weights of
    other linear layers stay in their blocks, and all else is put into `dtype`. Raises `ModelUnavailable` as
    `match_tensors` does.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: _shape_as(tensor, expected.get(name)) for name, tensor in tensors.items()}
    match_tensors(path, found, expected)
    values, kept = dict[str, torch.Tensor](), dict[str, Quantized]()
    for name, tensor in tensors.items():
        owner = model.get_submodule(name.rpartition(".")[0])
        is_wide = not in_float32.isdisjoint(name.split("."))
        is_linear = name.endswith(".weight") and type(owner) is nn.Linear
        if tensor.kind >= 0 and is_linear and not is_wide:
            kept[name] = Quantized(tensor.values.to(device), tensor.kind, tensor.shape)
            continue
        values[name] = tensor.plain().reshape(expected[name]).to(device, torch.float32 if is_wide else dtype)
    model.load_state_dict(values, strict=not kept, assign=True)
    for name, tensor in kept.items():
        layer = model.get_submodule(name.rpartition(".")[0])
        layer.__class__ = GGUFLinear
        layer.weight = nn.Parameter(tensor.values, requires_grad=False)
        cast("GGUFLinear", layer).kind = tensor.kind


def _shape_as(tensor: Quantized, expected: Shape | None) -> Shape:
    """Return the tensor's shape; as expected where only sides of 1 differ, or dimensions were joined."""
    if expected is None or tensor.shape == expected:
        return tensor.shape
    is_joined = torch.Size(tensor.shape).numel() == torch.Size(expected).numel() and len(expected) > 2
    is_modulation = tuple(side for side in tensor.shape if side > 1) == tuple(
        side for side in expected if side > 1
    )
    return expected if is_joined or is_modulation else tensor.shape
