"""Print what Wan 2.2 TI2V-5B takes beside its weights, as diffusers runs it and as i2v does.

    python -m scripts.memory_table.compare_wan

GiB of tensors that are alive at once, for 704 x 1280, by simulation (`wan_model`). It takes some minutes on
one core.
"""

from __future__ import annotations

from scripts.memory_table.wan_model import build

GIB = 2**30
HEIGHT, WIDTH, LATENT_FRAMES = 704, 1280, 31


def main() -> None:
    latents = (HEIGHT // 16, WIDTH // 16, LATENT_FRAMES)
    with build(layers=2, as_the_engine=False) as model:
        step, decode = model.step_as_stock(*latents), model.decode_as_stock(HEIGHT, WIDTH, LATENT_FRAMES)
        print(f"diffusers: one row {step.elements / GIB:.2f}, decoding {decode.elements / GIB:.2f}")
    with build(layers=2) as model:
        both, one = (model.step(*latents, rows=2, passes=passes).elements / GIB for passes in (1, 2))
        whole, tile = (model.decode(*sides, 4).elements / GIB for sides in ((HEIGHT, WIDTH), (256, 256)))
        print(
            f"i2v: both rows {both:.2f}, in two passes {one:.2f}, decoding {whole:.2f}, in tiles {tile:.2f}"
        )


if __name__ == "__main__":
    main()
