"""The kernels against plain operations, by Triton's interpreter and on a card: `parity` has the cases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product

import pytest
import torch

from i2v.core.settings_sources import ROOT

pytest.importorskip("triton", reason="Triton is not installed: bash scripts/setup.sh test kernels")

from tests.engines.kernels.parity import DTYPES, MULTIPROCESSORS, cases, measure, tolerance

CASES = cases()


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float]]:
    """What Triton's interpreter makes of every case, on the CPU."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.engines.kernels.parity"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    found: dict[str, dict[str, float]] = json.loads(answer.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name, dtype in product(CASES, DTYPES) if dtype in CASES[name].by_interpreter],
    ids=str,
)
def test_a_kernel_computes_what_the_plain_operation_does(
    interpreted: dict[str, dict[str, float]], name: str, dtype: torch.dtype
) -> None:
    assert interpreted[f"{name}, {dtype}"]["kernel"] <= tolerance(CASES[name], dtype)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_on_the_card_too(name: str, dtype: torch.dtype) -> None:
    errors = measure(CASES[name], dtype, torch.device("cuda"))
    assert errors.kernel <= tolerance(CASES[name], dtype)


@pytest.mark.parametrize("length", [1, 31, 32, 63, 64, 65, 1000, 4096, 65536, 65537])
@pytest.mark.parametrize("programs", [1, 5, 160, 10_000])
def test_every_row_is_in_one_part_and_none_is_empty(length: int, programs: int) -> None:
    from i2v.engines.kernels.group_norm import split

    parts, rows = split(length, programs, MULTIPROCESSORS)
    assert (parts - 1) * rows < length <= parts * rows
    assert parts <= 64


def test_a_large_card_gets_work_for_all_its_multiprocessors() -> None:
    """At 512 pixels, 16 frames, guided: frames, and the two rows of a convolution along time."""
    from i2v.engines.kernels.group_norm import split

    for samples, length in ((32, 4096), (2, 16 * 4096)):
        programs = samples * 320 // 64
        assert programs * split(length, programs, 132)[0] >= 4 * 132
