"""Write `i2v/engines/animatediff/memory.json`: what a clip of AnimateDiff takes of memory and computing.

    python -m scripts.memory_table.make_animatediff

To be run again when the engine's computing changes, as tests/engines/animatediff/test_memory.py says. It
takes a few minutes on one core.

The form of the model is I2VGen-XL's (`make`), found by simulating (`animatediff_model`), but for one thing:
to these networks the rows of guidance are more frames, so two rows of a volume are one of twice as much. In
two passes a step takes what a clip without guidance does, and the other row's prediction.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from i2v.engines.diffusion.feed_forward import CHUNK_TOKENS
from scripts.full_size import animatediff
from scripts.memory_table.animatediff_model import SCALE, Model, build
from scripts.memory_table.make import fitted, printed, shape_of
from scripts.memory_table.simulate import Cost

TABLE = Path(__file__).parents[2] / "i2v/engines/animatediff/memory.json"
VOLUMES = (1024, 8192, 16384, 24576, 32768, 65536, 131072, 262144)
COUNTED = ((16, 24, 32), (32, 32, 32), (64, 64, 16), (48, 80, 16))  # and the shapes of the volumes
SIDES = (128, 256, 512, 1024)


def table_of(model: Model) -> dict[str, object]:
    encodings = [(side, model.encode(side, side)) for side in SIDES]
    decodings = [(side, model.decode(side, side, 1)) for side in SIDES]
    areas = [[side**2, side**4] for side in SIDES]
    tile = model.vae.config.sample_size
    steps = {shape_of(volume): model.step(*shape_of(volume), 1, 1) for volume in VOLUMES}
    peaks = [cost.elements for cost in steps.values()]
    steps |= {shape: model.step(*shape, 1, 1) for shape in COUNTED}
    tiled = model.decode(2 * tile, tile, 1, tiling=True).elements
    return {
        "weights": model.weights(),
        "distilled_adapter": sum(tensor.numel() for tensor in _distilled().state_dict().values()),
        "scale": SCALE,
        "tile": tile,
        "chunk_tokens": CHUNK_TOKENS,
        "volumes": VOLUMES,
        "step": peaks,
        "encode": max(cost.elements / side**2 for side, cost in encodings),
        "decode": max(cost.elements / side**2 for side, cost in decodings),
        "decode_tiled": tiled / tile**2,
        "flops": {
            "step": step_flops(steps),
            "encode": fitted(areas, [cost.flops for _, cost in encodings]),
            "decode": fitted(areas, [cost.flops for _, cost in decodings]),
        },
        "style": {**model.style_weights(), "flops": model.encode_style().flops},
    }


def _distilled() -> nn.Module:
    with torch.device("meta"):
        return animatediff.build(distilled=True)["motion_adapter"]


def step_flops(steps: dict[tuple[int, int, int], Cost]) -> list[float]:
    """Return the coefficients of one row: two take twice as much."""
    features = [
        [height * width * frames, (height * width) ** 2 * frames, height * width * frames**2, 1]
        for height, width, frames in steps
    ]
    return fitted(features, [cost.flops for cost in steps.values()])


def main() -> None:
    with build() as model:
        TABLE.write_text(printed(table_of(model)), encoding="utf-8")
    print(TABLE)


if __name__ == "__main__":
    main()
