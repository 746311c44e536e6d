"""Our decoder's forward against diffusers', over the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from i2v.engines.diffusion.vae import decode
from i2v.engines.i2vgen_xl.upsampling import use_phase_convolutions
from i2v.weights import EMBEDDED_FOLDER
from tests.shaken import shaken


@torch.inference_mode()
def test_frames_are_diffusers(tiny_folder: Path) -> None:
    vae = shaken(AutoencoderKL.from_pretrained(tiny_folder / "vae", variant="fp16", dtype=torch.float32))
    latents = torch.randn(3, 4, 6, 5)
    expected = vae.decode(latents).sample
    assert torch.equal(decode(vae, latents), expected)
    use_phase_convolutions(vae)
    assert torch.allclose(decode(vae, latents), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@torch.inference_mode()
def test_the_embedded_models_frames_are_diffusers(dtype: torch.dtype) -> None:
    vae = AutoencoderKL.from_pretrained(EMBEDDED_FOLDER / "vae", variant="fp16", dtype=dtype)
    latents = torch.randn(2, 4, 8, 6).to(dtype)
    assert torch.equal(decode(vae, latents), vae.decode(latents).sample)
