"""Write `i2v/engines/wan/memory.json`: what a clip of Wan 2.2 TI2V-5B takes of memory and computing.

    python -m scripts.memory_table.make_wan

To be run again when the engine's computing changes, as tests/engines/wan/test_memory.py says. It takes a few
minutes on one core.

The form of the model, found by simulating (`wan_model`):

- A step's peak depends on its tokens, a fourth of its latents, in pieces of the line: it bends where tokens
  begin to be taken in chunks. Twice the tokens in chunks twice as large take twice as much; two rows hardly
  less than that. Attention looks at all tokens of the clip: operations grow as their square.
- Encoding and decoding grow as pixels do. Decoding holds what the convolutions along time keep of the frames
  before: from the third latent frame on, no more than that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from i2v.engines.wan.decode import TILE
from i2v.engines.wan.transformer import CHUNK_TOKENS
from scripts.memory_table.make import fitted, printed
from scripts.memory_table.wan_model import SCALE, Model, build

TABLE = Path(__file__).parents[2] / "i2v/engines/wan/memory.json"
FRAMES = 8
TOKENS = (512, 1024, 2048, 4096, 6144, 8192, 9216, 10240, 12288, 16384, 24576, 32768, 65536)
COUNTED = ((8, 8, 2), (16, 16, 4), (32, 32, 4), (32, 32, 16), (44, 80, 11), (44, 80, 31), (16, 24, 31))
SIDES = (128, 256, 512, 1024)
LATENT_FRAMES = 4


def table_of(model: Model) -> dict[str, Any]:
    """Return what does not depend on the type, and is no step's."""
    areas = [[side**2, side**4] for side in SIDES]
    encodings = [(side, model.encode(side, side)) for side in SIDES]
    first = [model.decode(side, side, 1) for side in SIDES]
    more = [model.decode(side, side, LATENT_FRAMES) for side in SIDES]
    each = [(whole.flops - one.flops) // (LATENT_FRAMES - 1) for whole, one in zip(more, first, strict=True)]
    return {
        "weights": model.weights(),
        "streamed": model.streamed(),
        "float8": model.float8(),
        "scale": SCALE,
        "tile": TILE,
        "chunk_tokens": CHUNK_TOKENS,
        "tokens": TOKENS,
        "encode": max(cost.elements / side**2 for side, cost in encodings),
        "decode": max(cost.elements / side**2 for side, cost in zip(SIDES, more, strict=True)),
        "flops": {
            "read": model.read(1).flops,
            "encode": fitted(areas, [cost.flops for _, cost in encodings]),
            "decode_first": fitted(areas, [cost.flops for cost in first]),
            "decode": fitted(areas, each),
        },
    }


def shape_of(tokens: int) -> tuple[int, int, int]:
    """Return (height, width, frames) in latents, of so many tokens."""
    area = tokens // FRAMES
    height = next(side for side in range(int(area**0.5), 0, -1) if area % side == 0)
    return 2 * height, 2 * area // height, FRAMES


def step_flops(layers: int) -> list[float]:
    """Return the coefficients of one row: of tokens, of their square, and 1."""
    counted = []
    for few in (1, 2):
        with build(layers=few) as model:
            counted.append([model.step(*shape).flops for shape in COUNTED])
    flops = [one + (layers - 1) * (two - one) for one, two in zip(*counted, strict=True)]
    tokens = [height * width * frames // 4 for height, width, frames in COUNTED]
    return fitted([[count, count**2, 1] for count in tokens], flops)


def main() -> None:
    with build() as model:
        table, layers = table_of(model), len(model.transformer.blocks)
    step, read = {}, {}
    for dtype in (torch.bfloat16, torch.float32):
        with build(dtype, layers=2) as model:
            step[dtype.itemsize] = {
                rows: [model.step(*shape_of(tokens), rows).elements for tokens in TOKENS] for rows in (1, 2)
            }
            read[dtype.itemsize] = model.read(1).elements
    table |= {"step": step, "read": read, "flops": table["flops"] | {"step": step_flops(layers)}}
    TABLE.write_text(printed(table), encoding="utf-8")
    print(TABLE)


if __name__ == "__main__":
    main()
