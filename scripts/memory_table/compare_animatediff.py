"""Print what AnimateDiff takes at 512 x 512 x 16 in float16, diffusers' pipeline beside ours.

    python -m scripts.memory_table.compare_animatediff

Simulated on fake tensors (`animatediff_model`): GiB of tensors beside the weights, at the most.
"""

from __future__ import annotations

from scripts.memory_table.animatediff_model import SCALE, Model, build

SIDE, FRAMES = 512, 16
GIB = 2**30


def rows_of(model: Model, as_stock: bool) -> dict[str, float]:
    latents = (SIDE // SCALE, SIDE // SCALE, FRAMES)
    numbers = {"a guided step": model.step(*latents, 2, 1, as_stock=as_stock).elements}
    if not as_stock:
        numbers["in two passes"] = model.step(*latents, 2, 2).elements
    numbers["decoding 16 together"] = model.decode(SIDE, SIDE, FRAMES, as_stock=as_stock).elements
    if not as_stock:
        numbers["one by one"] = model.decode(SIDE, SIDE, 1).elements
    return {name: 2 * count / GIB for name, count in numbers.items()}


def main() -> None:
    for as_stock in (True, False):
        with build(as_the_engine=not as_stock) as model:
            said = "  ".join(f"{name} {size:.2f}" for name, size in rows_of(model, as_stock).items())
            print(f"{'diffusers' if as_stock else 'ours':9}  {said}", flush=True)


if __name__ == "__main__":
    main()
