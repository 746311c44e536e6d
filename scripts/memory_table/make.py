"""Write `i2v/engines/i2vgen_xl/memory.json`: what a clip takes of memory and computing, by engine.

    python -m scripts.memory_table.make

To be run again when the engine's computing changes, as tests/memory/test_estimate.py says. It takes about 5
minutes on one core.

The form of the model, found by simulating (`simulate`):

- A denoising step's peak depends on its volume, which is latents x frames, and hardly on what the volume is
  made of. It is piecewise linear: it bends where a transformer's tokens begin to be taken in chunks. So the
  peaks at `VOLUMES` are kept, in numbers (not bytes), and what lies between is interpolated.
- Guidance in two passes takes what a clip without guidance does, and a line more: the other row's context and
  the prediction that waits for it.
- With other chunks the bends are elsewhere: twice the volume in chunks twice as large takes twice as much,
  but for what no volume changes, which the line from the first two volumes says at no volume at all. So one
  table does for every size of chunk.
- Encoding and decoding grow as pixels do; decoding in tiles as the decoded frame does, above its tile.
- Operations: convolutions and projections as the volume, attention within frames as volume x latents of a
  frame, attention along time as volume x frames; in the VAE as pixels and, in its attention, pixels squared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from i2v.engines.diffusion.estimates import CHUNK_PIXELS
from i2v.engines.i2vgen_xl.sampling import CHUNK_TOKENS
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from scripts.memory_table import simulate
from scripts.memory_table.simulate import Model, build

TABLE = Path(__file__).parents[2] / "i2v/engines/i2vgen_xl/memory.json"
FRAMES = 8
HALVED = 8
VOLUMES = (
    512, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 20480, 24576, 26624, 28672, 30720, 32768, 36864, 40960,
    49152, 65536, 81920, 98304, 114688, 131072, 262144,
)  # fmt: skip
COUNTED = ((16, 16, 8), (32, 32, 8), (32, 32, 32), (64, 64, 8), (64, 64, 16), (40, 88, 24), (16, 24, 64))
SIDES = (128, 256, 512, 1024)


def table_of(model: Model) -> dict[str, object]:
    small, large = (model.decode(side, side, 1).elements for side in SIDES[:2])
    growth = (large - small) / (SIDES[1] ** 2 - SIDES[0] ** 2)
    tile = model.vae.config.sample_size
    tiled = model.decode(2 * tile, tile, 1, tiling=True).elements / (tile * tile)
    encodings = [(side, model.encode(side, side)) for side in SIDES]
    decodings = [(side, model.decode(side, side, 1)) for side in SIDES]
    unguided = [model.step(*shape_of(volume), 1, 1).elements for volume in VOLUMES]
    return {
        "weights": model.weights(),
        "scale": model.scale,
        "tile": tile,
        "chunk_pixels": CHUNK_PIXELS,
        "chunk_tokens": CHUNK_TOKENS,
        "volumes": VOLUMES,
        "step": {
            "unguided": unguided,
            "one_pass": [model.step(*shape_of(volume), 2, 1).elements for volume in VOLUMES],
            "two_passes": [peak + more for peak, more in zip(unguided, second_pass(model), strict=True)],
        },
        "encode": max(cost.elements / side**2 for side, cost in encodings),
        "decode": growth,
        "decode_tiled": tiled,
        "flops": {
            "unguided": step_flops(model, 1),
            "one_pass": step_flops(model, 2),
            "encode": fitted([[side**2, side**4] for side in SIDES], [cost.flops for _, cost in encodings]),
            "decode": fitted([[side**2, side**4] for side in SIDES], [cost.flops for _, cost in decodings]),
        },
    }


def second_pass(model: Model) -> list[int]:
    """Return what two passes take more than one row does, at each of `VOLUMES`."""
    low, high = (
        model.step(*shape_of(volume), 2, 2).elements - model.step(*shape_of(volume), 1, 1).elements
        for volume in VOLUMES[:2]
    )
    slope = (high - low) / (VOLUMES[1] - VOLUMES[0])
    return [round(low + slope * (volume - VOLUMES[0])) for volume in VOLUMES]


def shape_of(volume: int) -> tuple[int, int, int]:
    """Return (height, width, frames): the most nearly square shape of latents that a clip can have.

    Sides are multiples of what the UNet halves three times: others take another path upward, and more.
    """
    latents = volume // FRAMES
    highest = int(latents**0.5) // HALVED * HALVED
    height = next(side for side in range(highest, 0, -HALVED) if latents % (side * HALVED) == 0)
    return height, latents // height, FRAMES


def step_flops(model: Model, rows: int) -> list[float]:
    counted = [model.step(height, width, frames, rows, 1).flops for height, width, frames in COUNTED]
    sizes = [(height * width, frames) for height, width, frames in COUNTED]
    return fitted([[area * frames, area**2 * frames, area * frames**2, 1] for area, frames in sizes], counted)


def fitted(features: Sequence[Sequence[float]], values: Sequence[int]) -> list[float]:
    """Return the coefficients with the least relative error, to seven digits."""
    matrix = np.array(features, dtype=float) / np.array(values, dtype=float)[:, None]
    scale = np.abs(matrix).max(axis=0)
    found = np.linalg.lstsq(matrix / scale, np.ones(len(values)), rcond=None)[0] / scale
    return [float(f"{coefficient:.7g}") for coefficient in found]


def printed(tables: dict[str, dict[str, object]]) -> str:
    """Return JSON with each list of numbers on one line."""
    text = re.sub(r"\[[^\[\]]+\]", lambda found: " ".join(found[0].split()), json.dumps(tables, indent=1))
    return text.replace("[ ", "[").replace(" ]", "]") + "\n"


def main() -> None:
    tables = {}
    for spec, configs, dtype in (
        (I2VGEN_XL, simulate.published(), torch.float16),
        (EMBEDDED, simulate.embedded(), torch.float32),
    ):
        with build(configs, dtype) as model:
            tables[spec.name] = table_of(model)
    TABLE.write_text(printed(tables), encoding="utf-8")
    print(TABLE)


if __name__ == "__main__":
    main()
