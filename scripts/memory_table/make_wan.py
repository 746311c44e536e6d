"""Write `memory.json` (TI2V-5B) and `memory_a14b.json` of i2v/engines/wan: what a clip takes to make.

    python -m scripts.memory_table.make_wan

To be run again when the engine's computing changes, as tests/engines/wan/test_memory.py says. It takes a few
minutes on one core.

The form of the model, found by simulating (`wan_model`):

- A step's peak depends on its tokens, a fourth of its latents, in pieces of the line: it bends where tokens
  begin to be taken in chunks. Twice the tokens in chunks twice as large take twice as much; two rows hardly
  less than that. Attention looks at all tokens of the clip: operations grow as their square.
- Encoding and decoding grow as pixels do, of a clip as of its frames four at a time. They hold what the
  convolutions along time keep of the frames before: from the third latent frame on, no more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from i2v.engines.wan.decode import TILE
from i2v.engines.wan.transformer import CHUNK_TOKENS
from scripts.memory_table.make import fitted, printed
from scripts.memory_table.simulate import Cost
from scripts.memory_table.wan_model import Model, build

FOLDER = Path(__file__).parents[2] / "i2v/engines/wan"
FILES = {1: "memory.json", 2: "memory_a14b.json"}  # by the number of experts
FRAMES = 8
TOKENS = (512, 1024, 2048, 4096, 6144, 8192, 9216, 10240, 12288, 16384, 24576, 32768, 65536)
COUNTED = ((8, 8, 2), (16, 16, 4), (32, 32, 4), (32, 32, 16), (44, 80, 11), (44, 80, 31), (16, 24, 31))
SIDES = (128, 256, 512, 1024)
LATENT_FRAMES = 4
RANK = 64  # of a LoRA, where none is known


def table_of(model: Model) -> dict[str, Any]:
    """Return what does not depend on the type, and is no step's."""
    areas = [[side**2, side**4] for side in SIDES]
    encodings = [model.encode(side, side) for side in SIDES]
    whole_clips = [model.encode_clip(side, side, LATENT_FRAMES) for side in SIDES]
    first = [model.decode(side, side, 1) for side in SIDES]
    more = [model.decode(side, side, LATENT_FRAMES) for side in SIDES]
    encoding, decoding = (
        [(whole.flops - one.flops) // (LATENT_FRAMES - 1) for whole, one in zip(all_of, one_of, strict=True)]
        for all_of, one_of in ((whole_clips, encodings), (more, first))
    )
    return {
        "weights": model.weights(),
        "streamed": model.streamed(),
        "lora": model.lora(RANK),
        "blocks": len(model.transformer.blocks),
        "float8": model.float8(),
        "scale": model.scale,
        "tile": TILE,
        "chunk_tokens": CHUNK_TOKENS,
        "tokens": TOKENS,
        "encode": most(whole_clips if model.experts > 1 else encodings),
        "encode_clip": most(whole_clips),
        "decode": most(more),
        "flops": {
            "read": model.read(1).flops,
            "encode": fitted(areas, [cost.flops for cost in encodings]),
            "encode_more": fitted(areas, encoding),
            "decode_first": fitted(areas, [cost.flops for cost in first]),
            "decode": fitted(areas, decoding),
        },
    }


def most(costs: Sequence[Cost]) -> float:
    """Return the bytes of a pixel, of a square of each of `SIDES`."""
    return max(cost.elements / side**2 for side, cost in zip(SIDES, costs, strict=True))


def shape_of(tokens: int) -> tuple[int, int, int]:
    """Return (height, width, frames) in latents, of so many tokens."""
    area = tokens // FRAMES
    height = next(side for side in range(int(area**0.5), 0, -1) if area % side == 0)
    return 2 * height, 2 * area // height, FRAMES


def step_flops(layers: int, experts: int) -> list[float]:
    """Return the coefficients of one row: of tokens, of their square, and 1."""
    counted = []
    for few in (1, 2):
        with build(layers=few, experts=experts) as model:
            counted.append([model.step(*shape).flops for shape in COUNTED])
    flops = [one + (layers - 1) * (two - one) for one, two in zip(*counted, strict=True)]
    tokens = [height * width * frames // 4 for height, width, frames in COUNTED]
    return fitted([[count, count**2, 1] for count in tokens], flops)


def make(experts: int) -> dict[str, Any]:
    with build(experts=experts) as model:
        table, layers = table_of(model), len(model.transformer.blocks)
    step, read = {}, {}
    for dtype in (torch.bfloat16, torch.float32):
        with build(dtype, layers=2, experts=experts) as model:
            step[dtype.itemsize] = {
                rows: [model.step(*shape_of(tokens), rows).elements for tokens in TOKENS] for rows in (1, 2)
            }
            read[dtype.itemsize] = model.read(1).elements
    flops = table["flops"] | {"step": step_flops(layers, experts)}
    return table | {"step": step, "read": read, "flops": flops}


def main() -> None:
    for experts, file in FILES.items():
        (FOLDER / file).write_text(printed(make(experts)), encoding="utf-8")
        print(FOLDER / file)


if __name__ == "__main__":
    main()
