"""The whole forward and decoding by kernels against the plain ones: on a card, or on Triton's interpreter.

    TRITON_INTERPRET=1 python -m tests.engines.i2vgen_xl.fused_forward FOLDER     # prints the differences

FOLDER is a tiny model's. What a layout, a broadcast row or a sum in place gets wrong, no single kernel shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from i2v.engines.diffusion.vae import decode
from i2v.engines.kernels.fused import Fused, Kernels, load
from i2v.engines.kernels.plain import PLAIN
from tests.engines.i2vgen_xl.test_unet import conditions, noise, shaken_unet
from tests.shaken import shaken

FRAMES, SIDE = 2, 4  # latents: as few as the interpreter, which takes a second for some programs, can do with


@torch.inference_mode()
def differences(
    kernels: Kernels, folder: Path, dtype: torch.dtype, device: str
) -> Iterator[tuple[str, float]]:
    """Yield what was computed, and how far the two are apart, relative to the plain one."""
    fused = Fused(kernels, multiprocessors=4)
    unet = shaken_unet(folder, joint_projections=True).to(device, dtype)
    latents, given = (
        noise(1, 4, FRAMES, SIDE, SIDE).to(device, dtype),
        conditions(unet, 2, FRAMES, SIDE, SIDE),
    )
    fields = ("prompt_embeds", "image_embeddings", "image_latents")
    given = replace(
        given,
        fps=given.fps.to(device),
        **{name: getattr(given, name).to(device, dtype) for name in fields},
    )
    clip, time = unet.encode_context(given), torch.tensor(481, device=device)
    plain, made = (unet(latents, time, clip, 0, each) for each in (PLAIN, fused))
    yield "prediction", relative(made, plain)
    vae = AutoencoderKL.from_pretrained(folder / "vae", variant="fp16", dtype=torch.float32)
    vae = shaken(vae).to(device, dtype)
    frames = noise(1, 4, 3, 2).to(device, dtype).contiguous(memory_format=torch.channels_last)
    yield "frames", relative(decode(vae, frames, fused), decode(vae, frames))
    assert fused.failure is None, fused.failure.message


def relative(made: torch.Tensor, plain: torch.Tensor) -> float:
    assert made.shape == plain.shape
    return float((made.double() - plain.double()).norm() / plain.double().norm())


if __name__ == "__main__":
    print(json.dumps(dict(differences(load(), Path(sys.argv[1]), torch.float32, "cpu"))))
