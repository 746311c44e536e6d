"""i2v.memory.allocator, each time in a process of its own: what it sets cannot be undone."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

MIB = 2**20
BLOCK = 40 * MIB  # more than what glibc would ever keep on its heap by itself

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this system has no glibc")

TRIAL = """
import json, resource
import psutil
from i2v.memory import allocator

def use(sizes):
    for size in sizes:
        bytearray(size)  # written to, then freed

def resident():
    return psutil.Process().memory_info().rss

if {configured}:
    allocator.configure()
floor = resident()
kept = []
for _ in range(8):
    use([{block}])
    kept.append(bytearray(1000))  # small ones that live on, between and above the large
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use([{block}] * 4)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
used = resident() - floor
allocator.release()
print(json.dumps(dict(faults=faults, used=used, left=resident() - floor)))
"""


def run(code: str, environ: dict[str, str] | None = None) -> str:
    """Run `code` in a new interpreter and return what it printed."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        # without what an earlier test of this process has configured
        env={name: value for name, value in os.environ.items() if "ALLOC_CONF" not in name} | (environ or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def trial(configured: bool) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run(TRIAL.format(configured=configured, block=BLOCK)))
    return result


@needs_glibc
def test_memory_is_used_again_without_asking_the_kernel_and_goes_back_when_released() -> None:
    result = trial(configured=True)
    assert result["faults"] < 1000
    assert result["used"] > BLOCK / 2  # kept, or there would be nothing to give back
    assert result["left"] < 4 * MIB


@needs_glibc
def test_without_it_every_large_block_is_cleared_by_the_kernel_each_time() -> None:
    """The reason for all this; should glibc change, this fails, and the module can go."""
    assert trial(configured=False)["faults"] > 4 * BLOCK / 4096 / 2


SETTINGS = """
import json, os
from i2v.memory import allocator
allocator.configure()
print(json.dumps({name: value for name, value in os.environ.items() if "ALLOC_CONF" in name}))
"""


def test_cuda_gets_segments_that_grow_unless_the_environment_says_otherwise() -> None:
    assert json.loads(run(SETTINGS)) == {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        chosen = {name: "max_split_size_mb:512"}
        assert json.loads(run(SETTINGS, chosen)) == chosen


def test_releasing_imports_no_torch() -> None:
    code = "import sys\nfrom i2v.memory import allocator\nallocator.release()\nprint('torch' in sys.modules)"
    assert run(code).strip() == "False"
