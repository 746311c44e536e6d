"""Print what Wan 2.2's models take beside their weights, as diffusers runs them and as i2v does.

    python -m scripts.memory_table.compare_wan

GiB of tensors that are alive at once, for the largest published clips, by simulation (`wan_model`). It takes
some minutes on one core.
"""

from __future__ import annotations

from scripts.memory_table.wan_model import build

GIB = 2**30
# By the number of experts: title, height, width, latent frames.
CLIPS = {1: ("TI2V-5B", 704, 1280, 31), 2: ("I2V-A14B", 720, 1280, 21)}
TILE = (256, 256)


def main() -> None:
    for experts, (title, height, width, frames) in CLIPS.items():
        with build(layers=2, as_the_engine=False, experts=experts) as model:
            latents = (height // model.scale, width // model.scale, frames)
            step = model.step_as_stock(*latents).elements / GIB
            encode = model.encode_as_stock(height, width, frames).elements / GIB
            decode = model.decode_as_stock(height, width, frames).elements / GIB
        print(f"{title}, diffusers: one row {step:.2f}, encoding {encode:.2f}, decoding {decode:.2f}")
        with build(layers=2, experts=experts) as model:
            both, one = (model.step(*latents, rows=2, passes=passes).elements / GIB for passes in (1, 2))
            encode, encode_tile = (
                model.encode(*sides, 4).elements / GIB for sides in ((height, width), TILE)
            )
            decode, decode_tile = (
                model.decode(*sides, 4).elements / GIB for sides in ((height, width), TILE)
            )
        print(f"{title}, i2v: both rows {both:.2f}, in two passes {one:.2f}")
        print(f"  encoding {encode:.2f}, a tile {encode_tile:.2f}; decoding {decode:.2f}, {decode_tile:.2f}")


if __name__ == "__main__":
    main()
