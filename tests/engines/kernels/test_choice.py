"""Which operations a device gets."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from i2v.engines.kernels.choice import operations_for, too_old
from i2v.engines.kernels.fused import Fused
from i2v.engines.kernels.plain import PLAIN, Plain

CUDA = torch.device("cuda")


def test_a_cpu_gets_plain_ones_and_triton_is_not_imported() -> None:
    before = "triton" in sys.modules
    assert operations_for(torch.device("cpu"), torch.float32) is PLAIN
    assert ("triton" in sys.modules) is before


def card(monkeypatch: pytest.MonkeyPatch, major: int, minor: int) -> None:
    properties = SimpleNamespace(name="A card", major=major, minor=minor, multi_processor_count=82)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)


@pytest.mark.parametrize(
    ("capability", "dtype", "fits"),
    [
        ((6, 1), torch.float16, False),
        ((7, 0), torch.float16, True),
        ((7, 5), torch.bfloat16, False),
        ((7, 5), torch.float32, True),
        ((8, 0), torch.bfloat16, True),
        ((12, 0), torch.bfloat16, True),
    ],
)
def test_what_a_card_must_have(capability: tuple[int, int], dtype: torch.dtype, fits: bool) -> None:
    assert (too_old("A card", capability, dtype) is None) is fits


def test_an_old_card_is_named_in_the_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, 7, 5)
    chosen = operations_for(CUDA, torch.bfloat16)
    assert isinstance(chosen, Plain)
    assert chosen.failure is not None
    assert chosen.failure.params == {"reason": "A card: compute capability 7.5, 8.0 needed for bfloat16"}


def test_without_triton_it_is_plain_with_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, 9, 0)
    monkeypatch.setitem(sys.modules, "triton.errors", None)
    monkeypatch.setitem(sys.modules, "triton", None)
    chosen = operations_for(CUDA, torch.float16)
    assert isinstance(chosen, Plain)
    assert chosen.failure is not None
    assert "triton" in chosen.failure.params["reason"]


def test_a_card_with_all_of_it_gets_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton is not installed: bash scripts/setup.sh test kernels")
    card(monkeypatch, 9, 0)
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")
    chosen = operations_for(CUDA, torch.float16)
    assert isinstance(chosen, Fused)
    assert chosen.failure is None
