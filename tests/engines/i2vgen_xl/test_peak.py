"""What the estimate says of a CPU's memory, against the peak of a real process that makes a clip.

The embedded model on a CPU, in a process of its own, to which a peak belongs. Linux only (`/proc`).
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.memory import MEMORY
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.full_size.one_step import generation, memory, picture

ROOT = Path(__file__).parents[3]
PLAN = MemoryPlan("cpu", "float32", threads=1)
UNDER, OVER = 0.15, 0.35  # of the real peak, that the estimate may be off

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def asked(side: int, num_frames: int, guidance_scale: float) -> Generation:
    return replace(
        generation(), width=side, height=side, generated_width=side, generated_height=side,
        num_frames=num_frames, guidance_scale=guidance_scale, engine=EMBEDDED.name,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "num_frames", "guidance_scale"), [(128, 8, 1.0), (256, 16, 9.0), (512, 8, 9.0)]
)
def test_a_real_process_takes_what_was_estimated(side: int, num_frames: int, guidance_scale: float) -> None:
    figures = MEMORY.estimate(EMBEDDED, asked(side, num_frames, guidance_scale), PLAN)
    assert figures is not None
    module = f"tests.engines.i2vgen_xl.{Path(__file__).stem}"
    command = [sys.executable, "-m", module, str(side), str(num_frames), str(guidance_scale)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    peak = int(run.stdout)
    off = figures.ram_bytes / peak - 1
    print(f"{side} x {side}, {num_frames} frames: {off:+.0%} off {peak / 2**20:.0f} MiB")
    assert -UNDER <= off <= OVER


def make(side: int, num_frames: int, guidance_scale: float) -> int:
    """Make a clip in this process and return its peak of memory in bytes."""
    engine = I2VGenXLEngine.load(EMBEDDED, FOLDER, PLAN)
    for _ in engine.generate(asked(side, num_frames, guidance_scale), Inputs(picture().resize((side, side)))):
        pass
    return memory("VmHWM")


if __name__ == "__main__":
    print(make(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
