"""Print what Stable Video Diffusion takes at 576 x 1024 in float16, diffusers' pipeline beside ours.

    python -m scripts.memory_table.compare_svd

Simulated on fake tensors (`svd_model`): GiB of tensors beside the weights, at the most. It takes minutes.
"""

from __future__ import annotations

from scripts.memory_table.svd_model import SCALE, Model, build

HEIGHT, WIDTH = 576, 1024
GIB = 2**30


def rows_of(model: Model, frames: int, as_stock: bool) -> dict[str, float]:
    latents = (HEIGHT // SCALE, WIDTH // SCALE, frames)
    numbers = {"a guided step": model.step(*latents, 2, 1).elements}
    if not as_stock:
        numbers["in two passes"] = model.step(*latents, 2, 2).elements
    numbers["decoding"] = model.decode(HEIGHT, WIDTH, frames, as_stock).elements
    return {name: 2 * count / GIB for name, count in numbers.items()}


def main() -> None:
    for as_stock in (True, False):
        with build(as_the_engine=not as_stock) as model:
            for frames in (14, 25):
                said = "  ".join(
                    f"{name} {size:.2f}" for name, size in rows_of(model, frames, as_stock).items()
                )
                print(f"{'diffusers' if as_stock else 'ours':9}  {frames} frames: {said}", flush=True)


if __name__ == "__main__":
    main()
