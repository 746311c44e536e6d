"""Our UNet forward and VAE decoding against diffusers' own, paired, on the embedded model's weights.

    python -m benchmarks.forward --side 256 --num-frames 16 --guided

Both sides run in turn in one process, the side that goes first alternating; seconds are CPU time, which other
processes disturb less. What is computed once a clip is timed apart from what every step takes.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL, I2VGenXLUNet
from numpy.typing import NDArray

from benchmarks.stock import compare, spread
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.decode import decode_frames
from i2v.engines.diffusion.estimates import CHUNK_PIXELS
from i2v.engines.diffusion.pixels import to_uint8
from i2v.engines.i2vgen_xl.components import load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.sampling import CHUNK_TOKENS
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.i2vgen_xl.unet import UNet
from i2v.weights import EMBEDDED_FOLDER as FOLDER

TIMESTEP = torch.tensor(481)


def conditions(unet: UNet | I2VGenXLUNet, rows: int, shape: Sequence[int]) -> Conditioning:
    """Return random conditions; what they are does not change the work."""
    dim = unet.config.cross_attention_dim
    return Conditioning(
        prompt_embeds=torch.randn(rows, 77, dim),
        image_embeddings=torch.randn(rows, 1, dim),
        image_latents=torch.randn(1, *shape).expand(rows, *shape),
        fps=torch.full((rows,), 8),
        notices=(),
    )


def stock_prediction(
    unet: I2VGenXLUNet, latents: torch.Tensor, given: Conditioning, timestep: torch.Tensor = TIMESTEP
) -> torch.Tensor:
    """Make the call of diffusers' pipeline."""
    prediction: torch.Tensor = unet(
        torch.cat([latents] * len(given.fps)),
        timestep,
        fps=given.fps,
        image_latents=given.image_latents,
        image_embeddings=given.image_embeddings,
        encoder_hidden_states=given.prompt_embeds,
        return_dict=False,
    )[0]
    return prediction


@torch.inference_mode()
def stock_frames(vae: AutoencoderKL, frames: torch.Tensor, chunk: int) -> list[NDArray[np.uint8]]:
    """Decode (F, C, h, w) as diffusers lays it out, as many frames at a time as ours."""
    scale = 1 / vae.config.scaling_factor
    return [to_uint8(vae.decode(part * scale).sample) for part in frames.split(chunk)]


def paired(ours: Callable[[], object], stock: Callable[[], object], repeats: int) -> str:
    """Return both sides' seconds, and stock's over ours."""
    seconds: dict[Callable[[], object], list[float]] = {ours: [], stock: []}
    ours(), stock()  # these warm up
    for number in range(repeats):
        for side in (ours, stock) if number % 2 == 0 else (stock, ours):
            gc.collect()
            start = time.process_time()
            side()
            seconds[side].append(time.process_time() - start)
    result = compare(seconds[ours], seconds[stock])
    return (
        f"ours {spread(seconds[ours], 3)}, diffusers {spread(seconds[stock], 3)},"
        f" diffusers/ours {result.median:.2f},"
        f" {result.coverage:.0%} interval {result.low:.2f}..{result.high:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--num-frames", type=int, default=8)
    parser.add_argument("--guided", action="store_true", help="both rows of classifier-free guidance")
    parser.add_argument("--repeats", type=int, default=8, help="pairs; under 6 nothing can be told")
    options = parser.parse_args()
    torch.manual_seed(0)
    components = load_components(EMBEDDED, FOLDER, MemoryPlan("cpu", "float32"))
    loading = {"variant": "fp16", "dtype": torch.float32}
    unet = I2VGenXLUNet.from_pretrained(FOLDER / "unet", **loading)
    vae = AutoencoderKL.from_pretrained(FOLDER / "vae", **loading)
    side = options.side // components.vae_scale_factor
    shape = (4, options.num_frames, side, side)
    latents, given = torch.randn(1, *shape), conditions(unet, 2 if options.guided else 1, shape)
    with torch.inference_mode():
        clip = components.unet.encode_context(given)
        forward = paired(
            lambda: components.unet(latents, TIMESTEP, clip, CHUNK_TOKENS),
            lambda: stock_prediction(unet, latents, given),
            options.repeats,
        )
        start = time.process_time()
        components.unet.encode_context(given)
        once = time.process_time() - start
    decode = paired(
        lambda: list(decode_frames(components.vae, latents, 0)),
        lambda: stock_frames(vae, latents[0].transpose(0, 1), max(1, CHUNK_PIXELS // options.side**2)),
        options.repeats,
    )
    print(f"{options.side} pixels, {options.num_frames} frames, {len(given.fps)} row(s), CPU seconds")
    print(f"UNet    {forward}\n        and {once:.3f} once a clip\nVAE     {decode}")


if __name__ == "__main__":
    main()
