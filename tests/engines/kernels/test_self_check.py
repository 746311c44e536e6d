"""Kernels that give other numbers than torch are found before a clip is made with them."""

from __future__ import annotations

import pytest
import torch

from i2v.engines.kernels import self_check
from i2v.engines.kernels.plain import PLAIN, Operations, Plain
from i2v.engines.kernels.self_check import checked_operations, differing

CPU = torch.device("cpu")
OPERATIONS = ("group_norm", "add", "add_layer_norm", "gated", "attend_over_time")


def spoiled(name: str, by: float) -> Operations:
    """Return plain operations, one of which is wrong by that part of its result."""

    def wrong(*arguments: object, **options: object) -> object:
        result = getattr(PLAIN, name)(*arguments, **options)
        return tuple(each * (1 + by) for each in result) if isinstance(result, tuple) else result * (1 + by)

    operations = Plain()
    setattr(operations, name, wrong)
    return operations


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_computes_as_torch_does_is_right(dtype: torch.dtype) -> None:
    assert differing(Plain(), CPU, dtype) is None


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("by", [0.1, float("nan")])
def test_each_operation_is_looked_at(name: str, by: float) -> None:
    assert differing(spoiled(name, by), CPU, torch.float32) == name
    assert differing(spoiled(name, 1e-5), CPU, torch.float32) is None


def test_wrong_kernels_are_not_used_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Plain):
        name = "triton"

    wrong = Wrong()
    wrong.gated = spoiled("gated", 1.0).gated  # type: ignore[method-assign]
    monkeypatch.setattr(self_check, "Fused", Wrong)
    monkeypatch.setattr(self_check, "operations_for", lambda device, dtype: wrong)
    chosen = checked_operations(CPU, torch.float32)
    assert (type(chosen), chosen.name) == (Plain, "torch")
    assert chosen.failure is not None
    assert "gated" in str(chosen.failure.params["reason"])


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_on_a_card_the_kernels_are_right(dtype: torch.dtype) -> None:
    chosen = checked_operations(torch.device("cuda"), dtype)
    assert (chosen.failure, chosen.name) == (None, "triton")
