"""Make one guided step of 256x256, 8 frames, and decode it, under each option that takes less memory.

    python -m scripts.full_size.each_option /tmp/i2vgen-xl

Prints, as JSON, how far each is from the plain way: of the latents the largest difference, in parts of their
largest number; of the frames the levels of 255. In float32, 10.5 GB are taken for a moment: the encoders are
let go of once they have encoded, and 7 GB do from then on. On a CPU, offloading moves nothing; it is run for
what it does besides.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.decode import decode_frames
from i2v.engines.i2vgen_xl.conditioning import Conditioning, condition
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.sampling import denoise, initial_state
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from scripts.full_size.one_step import generation, picture

PLAIN = MemoryPlan("cpu", "float32")
STEPS: dict[str, dict[str, Any]] = {
    "two passes": {"cfg_passes": 2},
    "512 tokens at a time": {"chunk_tokens": 512},
    "model offloaded": {"offload": "model"},
    "all three": {"cfg_passes": 2, "chunk_tokens": 512, "offload": "model"},
}


def each_option(folder: Path) -> dict[str, float]:
    engine = I2VGenXLEngine.load(I2VGEN_XL, folder, PLAIN)
    parts = engine.components
    given = condition(parts, I2VGEN_XL, generation(), picture())
    parts.text_encoder, parts.image_encoder = nn.Module(), nn.Module()
    plain = one_step(engine, given, PLAIN)
    far = {}
    for name, changes in STEPS.items():
        latents = one_step(engine, given, replace(PLAIN, **changes))
        far[name] = float((latents - plain).abs().max() / plain.abs().max())
        print(name, far[name], flush=True)
    difference = decoded(engine, plain, 4) - decoded(engine, plain, 1)
    return {**far, "frame by frame": int(np.abs(difference).max())}


def one_step(engine: I2VGenXLEngine, given: Conditioning, plan: MemoryPlan) -> torch.Tensor:
    """Return the latents (1, C, F, h, w) after the step."""
    engine.adopt(plan)
    start = initial_state(engine.components, generation())
    (step,) = denoise(engine.components, given, start, generation(), plan)
    return step.state.latents


def decoded(engine: I2VGenXLEngine, latents: torch.Tensor, chunk: int) -> NDArray[np.int_]:
    """Return the frames (F, H, W, 3)."""
    parts = decode_frames(engine.components.vae, latents, chunk)
    return np.concatenate([part.frames for part in parts]).astype(int)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    print(json.dumps(each_option(parser.parse_args().folder)))


if __name__ == "__main__":
    main()
