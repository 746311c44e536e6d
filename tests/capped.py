"""`python -m tests.capped`: one clip of the embedded model under a real limit on the process's memory.

Prints JSON: what the plain and the lowest plan took at the most, what happened without and with a ladder
under a limit half way between the two, and how far the frames are from those of the plain plan.

The limit (RLIMIT_DATA) counts what is mapped: with MALLOC_MMAP_THRESHOLD_ set, glibc unmaps what is freed.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.errors import InsufficientMemory
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.settings_sources import load_settings
from i2v.engines.base import NO_LADDER, Decoded, Inputs, Ladder, SteppedDown
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.memory.usage import PeakMeter
from i2v.pipeline.ladder import MemoryLadder
from i2v.weights import EMBEDDED_FOLDER as FOLDER

PLAIN = MemoryPlan("cpu", "float32", threads=1)
LOWEST = replace(PLAIN, cfg_passes=2, chunk_tokens=4096, decode_chunk=1)
SIDE = 192
ASKED = Generation(
    prompt="the camera pans left",
    negative_prompt="",
    width=SIDE,
    height=SIDE,
    generated_width=SIDE,
    generated_height=SIDE,
    fit="keep",
    num_frames=8,
    fps=8,
    target_fps=8,
    num_inference_steps=1,
    guidance_scale=2.0,
    seed=7,
    engine="embedded",
)


class Capped:
    def __init__(self) -> None:
        self.engine = I2VGenXLEngine.load(EMBEDDED, FOLDER, PLAIN)
        y, x = np.mgrid[0:SIDE, 0:SIDE]
        waves = 127 + 80 * np.sin(x / 7) * np.cos(y / 5)
        self.image = Image.fromarray(np.stack([waves, x % 255, y % 255], axis=-1).astype(np.uint8))
        self.rungs: list[str] = []

    def run(self, plan: MemoryPlan, ladder: Ladder = NO_LADDER) -> NDArray[np.int_]:
        self.engine.plan = plan
        frames = []
        for event in self.engine.generate(ASKED, Inputs(self.image), ladder):
            if isinstance(event, Decoded):
                frames.append(event.frames.astype(int))
            if isinstance(event, SteppedDown):
                self.rungs += [f"{event.stage}: {notice.code}" for notice in event.notices[1:]]
        return np.concatenate(frames)

    def peak(self, plan: MemoryPlan) -> int:
        meter = PeakMeter("cpu")
        self.run(plan)
        taken = meter.read()
        assert taken is not None
        return taken


def held(what: str) -> int:
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    capped = Capped()
    frames = capped.run(PLAIN)  # what is made once for all clips is made
    plain, lowest = capped.peak(PLAIN), capped.peak(LOWEST)
    limit = held("VmData") + (plain + lowest) // 2 - held("VmRSS")
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    reason = ""
    try:
        capped.run(PLAIN)
    except InsufficientMemory as error:
        reason = str(error.params["reason"])
    ladder = MemoryLadder(EMBEDDED, ASKED, DeviceInfo("cpu", "CPU", 2**34), load_settings().engine)
    rescued = capped.run(PLAIN, ladder)
    answer = {
        "plain": plain,
        "lowest": lowest,
        "reason": reason,
        "rungs": capped.rungs,
        "difference": int(np.abs(rescued - frames).max()),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
