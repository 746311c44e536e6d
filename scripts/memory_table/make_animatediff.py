"""Write `i2v/engines/animatediff/memory.json`: what a clip of AnimateDiff takes of memory and computing.

    python -m scripts.memory_table.make_animatediff

To be run again when the engine's computing changes, as tests/engines/animatediff/test_memory.py says. It
takes about 5 minutes on one core.

The form of the model is I2VGen-XL's (`make`), found by simulating (`animatediff_model`), but for one thing:
guidance in two passes takes what a clip without guidance does, and the other row's prediction.
"""

from __future__ import annotations

from pathlib import Path

from i2v.engines.diffusion.feed_forward import CHUNK_TOKENS
from scripts.memory_table.animatediff_model import SCALE, Model, build
from scripts.memory_table.make import fitted, printed, shape_of

TABLE = Path(__file__).parents[2] / "i2v/engines/animatediff/memory.json"
VOLUMES = (
    512, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 20480, 24576, 32768, 40960, 49152, 65536, 98304, 131072,
    262144,
)  # fmt: skip
COUNTED = ((16, 16, 8), (32, 32, 8), (32, 32, 32), (64, 64, 8), (64, 64, 16), (48, 80, 16), (16, 24, 32))
SIDES = (128, 256, 512, 1024)


def table_of(model: Model) -> dict[str, object]:
    encodings = [(side, model.encode(side, side)) for side in SIDES]
    decodings = [(side, model.decode(side, side, 1)) for side in SIDES]
    areas = [[side**2, side**4] for side in SIDES]
    tile = model.vae.config.sample_size
    tiled = model.decode(2 * tile, tile, 1, tiling=True).elements
    return {
        "weights": model.weights(),
        "scale": SCALE,
        "tile": tile,
        "chunk_tokens": CHUNK_TOKENS,
        "volumes": VOLUMES,
        "step": {
            "unguided": [model.step(*shape_of(volume), 1, 1).elements for volume in VOLUMES],
            "one_pass": [model.step(*shape_of(volume), 2, 1).elements for volume in VOLUMES],
        },
        "encode": max(cost.elements / side**2 for side, cost in encodings),
        "decode": max(cost.elements / side**2 for side, cost in decodings),
        "decode_tiled": tiled / tile**2,
        "flops": {
            "step": step_flops(model),
            "encode": fitted(areas, [cost.flops for _, cost in encodings]),
            "decode": fitted(areas, [cost.flops for _, cost in decodings]),
        },
    }


def step_flops(model: Model) -> list[float]:
    """Return the coefficients of one row: two take twice as much."""
    counted = [model.step(height, width, frames, 1, 1).flops for height, width, frames in COUNTED]
    sizes = [(height * width, frames) for height, width, frames in COUNTED]
    return fitted([[area * frames, area**2 * frames, area * frames**2, 1] for area, frames in sizes], counted)


def main() -> None:
    with build() as model:
        TABLE.write_text(printed(table_of(model)), encoding="utf-8")
    print(TABLE)


if __name__ == "__main__":
    main()
