"""The forward by fused operations: torch in the kernels' place, Triton's interpreter, and a card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from i2v.core.settings_sources import ROOT
from i2v.engines.kernels.fused import Kernels, load
from i2v.engines.kernels.plain import PLAIN
from tests.engines.i2vgen_xl.fused_forward import differences

WITHOUT = "Triton is not installed: bash scripts/setup.sh test kernels"


# --- what each kernel promises, by torch: as strict on memory, and in place where it is


def group_norm(
    picture: torch.Tensor,
    groups: int,
    weight: torch.Tensor,
    offset: torch.Tensor,
    eps: float,
    bias: torch.Tensor | None,
    silu: bool,
    multiprocessors: int,
) -> torch.Tensor:
    assert picture.permute(0, 2, 3, 1).is_contiguous()
    states = picture if bias is None else picture + bias[:, None, None]
    normed = F.group_norm(states, groups, weight, offset, eps)
    return (F.silu(normed) if silu else normed).contiguous(memory_format=torch.channels_last)


def add(update: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    assert all(each.permute(0, 2, 3, 1).is_contiguous() for each in (update, residual))
    return update.add_(residual).add_(bias[:, None, None])


def add_layer_norm(
    update: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, offset: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    rows, others = (each.view(-1, each.shape[-1]) for each in (update, residual))
    rows.add_(others.repeat(len(rows) // len(others), 1))
    return update, F.layer_norm(update, weight.shape, weight, offset, eps)


def gate(wide: torch.Tensor) -> torch.Tensor:
    assert wide.is_contiguous()
    values, gates = wide.chunk(2, dim=1)
    return values.mul_(F.gelu(gates))


def test_the_forward_gives_kernels_what_they_take(tiny_folder: Path) -> None:
    by_torch = Kernels(group_norm, add, add_layer_norm, gate, PLAIN.attend_over_time, errors=())
    found = dict(differences(by_torch, tiny_folder, torch.float32, "cpu"))
    assert found.keys() == {"prediction", "frames"}
    assert max(found.values()) < 1e-4


@pytest.mark.slow
def test_by_the_interpreter_it_is_the_plain_one(tiny_folder: Path) -> None:
    pytest.importorskip("triton", reason=WITHOUT)
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.engines.i2vgen_xl.fused_forward", str(tiny_folder)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert max(json.loads(answer.stdout.splitlines()[-1]).values()) < 1e-4


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-3), (torch.float16, 0.02), (torch.bfloat16, 0.1)], ids=str
)
def test_on_a_card_it_is_the_plain_one(tiny_folder: Path, dtype: torch.dtype, tolerance: float) -> None:
    """In float32 too cuDNN may multiply with TF32."""
    for name, apart in differences(load(), tiny_folder, dtype, "cuda"):
        assert apart < tolerance, name
