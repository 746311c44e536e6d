"""i2v.memory.usage: peaks of memory that was really allocated; CUDA's count is stood in for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2v.memory.usage import PeakMeter

MIB = 2**20
BLOCK = 96 * MIB
linux = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")


def measured(code: str) -> list[int]:
    """Return what `code` prints, run by a process of its own: no other thread's memory is in its peaks."""
    begin = "import numpy as np; from i2v.memory.usage import PeakMeter\n"
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


@linux
def test_a_block_that_came_and_went_is_in_the_peak_once() -> None:
    code = f"""
meter = PeakMeter("cpu")
quiet = meter.read()
np.ones({BLOCK}, np.uint8)
print(quiet, meter.read(), meter.read())"""
    quiet, with_block, after = measured(code)
    assert with_block - quiet == pytest.approx(BLOCK, abs=BLOCK // 4)
    assert with_block - after == pytest.approx(BLOCK, abs=BLOCK // 4)


@linux
def test_a_new_meter_does_not_see_what_was_before_it() -> None:
    code = f"""
np.ones({BLOCK}, np.uint8)
before = PeakMeter("cpu").read()
held = np.ones({BLOCK}, np.uint8)
print(before, PeakMeter("cpu").read())"""
    before, with_block = measured(code)
    assert with_block - before == pytest.approx(BLOCK, abs=BLOCK // 4)


def test_where_nobody_counts_nothing_is_said(tmp_path: Path) -> None:
    assert PeakMeter("cpu", tmp_path / "no-such-folder").read() is None
    (tmp_path / "status").write_text("Name:\tpython\n")
    (tmp_path / "clear_refs").touch()
    assert PeakMeter("cpu", tmp_path).read() is None


def test_a_peak_that_cannot_start_anew_is_none_of_this_phase(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmHWM:\t  2048 kB\n")
    (tmp_path / "clear_refs").mkdir()  # cannot be written to, whoever runs the test
    assert PeakMeter("cpu", tmp_path).read() is None
    (tmp_path / "clear_refs").rmdir()
    assert PeakMeter("cpu", tmp_path).read() == 2 * MIB


def test_on_cuda_torchs_own_count_is_read_and_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = [7 * MIB]
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peaks[-1])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: peaks.append(0))
    meter = PeakMeter("cuda")
    peaks.append(5 * MIB)
    assert (meter.read(), meter.read()) == (5 * MIB, 0)
