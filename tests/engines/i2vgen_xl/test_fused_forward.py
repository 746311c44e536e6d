"""See `fused_forward`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2v.core.settings import ROOT

pytest.importorskip("triton", reason="Triton is not installed: bash scripts/setup.sh test kernels")

from tests.engines.i2vgen_xl.fused_forward import differences


@pytest.mark.slow
def test_by_the_interpreter_it_is_the_plain_one(tiny_folder: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.engines.i2vgen_xl.fused_forward", str(tiny_folder)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found.keys() == {"prediction", "frames"}
    assert max(found.values()) < 1e-4


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-3), (torch.float16, 0.02), (torch.bfloat16, 0.1)], ids=str
)
def test_on_a_card_it_is_the_plain_one(tiny_folder: Path, dtype: torch.dtype, tolerance: float) -> None:
    """In float32 too cuDNN may multiply with TF32."""
    for name, apart in differences(tiny_folder, dtype, "cuda"):
        assert apart < tolerance, name
