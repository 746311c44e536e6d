"""Load a full-size folder and run one guided step of 256x256, 8 frames; print time and memory as JSON.

    python -m scripts.full_size.one_step /tmp/i2vgen-xl

A process of its own, because a peak of memory belongs to a whole process. Linux only (`/proc`). Float32
unless asked otherwise: it is what the engine takes on a CPU.

`_peak`s are resident bytes, mapped pages of the weights' files included, though the system may take those
back. `held` are the bytes of the loaded parameters; `load_over_held` is what loading took at its peak, less
what the process had `before`, over that.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Decoded, Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL

SIDE, FRAMES = 256, 8

Result = TypeVar("Result")


def one_step(folder: Path, dtype: str) -> dict[str, Any]:
    """Return the figures, and what the step made: `shape` and `spread` (standard deviation) of the frames."""
    figures: dict[str, Any] = {"dtype": dtype, "before": memory("VmRSS")}
    plan = MemoryPlan("cpu", dtype)
    engine = measured(figures, "load", lambda: I2VGenXLEngine.load(I2VGEN_XL, folder, plan))
    parts = engine.components
    models = (parts.unet, parts.image_encoder, parts.text_encoder, parts.vae)
    held = sum(tensor.nbytes for model in models for tensor in (*model.parameters(), *model.buffers()))
    events = engine.generate(generation(), Inputs(picture()))
    happened = [
        measured(figures, "condition", lambda: next(events)),
        measured(figures, "step", lambda: next(events)),
        *measured(figures, "decode", lambda: list(events)),
    ]
    frames = np.concatenate([event.frames for event in happened if isinstance(event, Decoded)])
    return {
        **figures,
        "held": held,
        "load_over_held": round((figures["load_peak"] - figures["before"]) / held, 3),
        "events": [type(event).__name__ for event in happened],
        "notices": [notice.code for event in happened for notice in getattr(event, "notices", ())],
        "shape": frames.shape,
        "spread": float(frames.std()),
    }


def measured(figures: dict[str, Any], name: str, action: Callable[[], Result]) -> Result:
    """Return what `action` returns; its seconds and its own peak of memory go to `figures`."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (man 5 proc)
    start = time.monotonic()
    result = action()
    figures[f"{name}_seconds"] = round(time.monotonic() - start, 1)
    # not getrusage: its maximum begins with that of the process that started this one
    figures[f"{name}_peak"] = memory("VmHWM")
    return result


def memory(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def generation() -> Generation:
    return Generation(
        prompt="the camera pans left",
        negative_prompt=I2VGEN_XL.default_negative_prompt,
        width=SIDE,
        height=SIDE,
        generated_width=SIDE,
        generated_height=SIDE,
        fit="keep",
        num_frames=FRAMES,
        fps=8,
        target_fps=8,
        num_inference_steps=1,
        guidance_scale=9.0,
        seed=0,
        engine=I2VGEN_XL.name,
    )


def picture() -> Image.Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    options = parser.parse_args()
    print(json.dumps(one_step(options.folder, options.dtype)))


if __name__ == "__main__":
    main()
