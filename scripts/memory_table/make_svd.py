"""Write `i2v/engines/svd/memory.json`: what a clip of Stable Video Diffusion takes of memory and computing.

    python -m scripts.memory_table.make_svd

To be run again when the engine's computing changes, as tests/engines/svd/test_memory.py says. It takes about
5 minutes on one core.

The form of the model is I2VGen-XL's (`make`), found by simulating (`svd_model`), with these differences:

- Guidance in two passes takes what a clip without guidance does, and the other row's prediction.
- Decoding grows as pixels do. What a pixel takes is kept for some numbers of frames that are decoded
  together: among few of them it is no line.
"""

from __future__ import annotations

from pathlib import Path

from i2v.engines.diffusion.feed_forward import CHUNK_TOKENS
from scripts.memory_table.make import fitted, printed, shape_of
from scripts.memory_table.svd_model import SCALE, Model, build

TABLE = Path(__file__).parents[2] / "i2v/engines/svd/memory.json"
VOLUMES = (
    512, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 20480, 24576, 32768, 40960, 49152, 65536, 98304, 131072,
    262144,
)  # fmt: skip
COUNTED = ((16, 16, 8), (32, 32, 8), (32, 32, 32), (64, 64, 8), (64, 64, 16), (72, 128, 14), (16, 24, 40))
SIDES = (128, 256, 512, 1024)
FRAMES = (1, 2, 3, 4, 6, 8, 16)  # decoded together


def table_of(model: Model) -> dict[str, object]:
    encodings = [(side, model.encode(side, side)) for side in SIDES]
    decodings = [(side, model.decode(side, side, 1)) for side in SIDES]
    areas = [[side**2, side**4] for side in SIDES]
    return {
        "weights": model.weights(),
        "scale": SCALE,
        "chunk_tokens": CHUNK_TOKENS,
        "volumes": VOLUMES,
        "step": {
            "unguided": [model.step(*shape_of(volume), 1, 1).elements for volume in VOLUMES],
            "one_pass": [model.step(*shape_of(volume), 2, 1).elements for volume in VOLUMES],
        },
        "encode": max(cost.elements / side**2 for side, cost in encodings),
        "frames": FRAMES,
        "decode": [model.decode(512, 512, frames).elements // 512**2 for frames in FRAMES],
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
