"""Decoding: chunks change nothing, NaN is decoded again, previews have the clip's colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError
from i2v.core.memory_plan import MemoryPlan
from i2v.core.settings_sources import ROOT
from i2v.engines.diffusion.decode import decode_frames
from i2v.engines.diffusion.engine import preview
from i2v.engines.diffusion.pixels import to_uint8
from i2v.engines.i2vgen_xl.components import load_components
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_picture
from i2v.weights import EMBEDDED_FOLDER
from tests.peak_memory import PeakMemory


@pytest.fixture
def vae(tiny_spec: EngineSpec, tiny_folder: Path) -> AutoencoderKL:
    return load_components(tiny_spec, tiny_folder, MemoryPlan("cpu", "float32")).vae


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(1, 4, 5, 8, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 99])
def test_any_chunk_gives_the_same_frames(vae: AutoencoderKL, latents: torch.Tensor, chunk: int) -> None:
    with torch.no_grad():
        plain = torch.cat(
            [vae.decode(latents[:, :, k] / vae.config.scaling_factor).sample for k in range(latents.shape[2])]
        )
    parts = list(decode_frames(vae, latents, chunk))
    assert [len(part.frames) for part in parts] == [min(chunk, 5 - start) for start in range(0, 5, chunk)]
    together = np.concatenate([part.frames for part in parts])
    assert np.abs(together.astype(int) - to_uint8(plain).astype(int)).max() <= 1


@pytest.mark.parametrize(("pixels", "lengths"), [(2**16, [5]), (1000, [2, 2, 1]), (10, [1] * 5)])
def test_chunk_0_is_what_fits_into_the_pixels(
    vae: AutoencoderKL,
    latents: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    pixels: int,
    lengths: list[int],
) -> None:
    monkeypatch.setattr("i2v.engines.diffusion.decode.CHUNK_PIXELS", pixels)  # a frame has 16 x 24 = 384
    assert [len(part.frames) for part in decode_frames(vae, latents, 0)] == lengths


def test_tiles_are_near_the_whole_in_less_memory_and_a_notice_says_so(
    vae: AutoencoderKL, latents: torch.Tensor
) -> None:
    vae.tile_sample_min_size, vae.tile_latent_min_size = 16, 8  # latents have 8 x 12
    peaks, decoded = [], []
    for tiling in (False, True):
        with PeakMemory() as memory:
            decoded.append(list(decode_frames(vae, latents, 3, tiling)))
        peaks.append(memory.most)
    whole, tiles = (np.concatenate([part.frames for part in parts]).astype(int) for parts in decoded)
    assert tiles.shape == whole.shape
    assert 0 < np.abs(tiles - whole).mean() < 8
    assert peaks[1] < 0.9 * peaks[0]
    notices = [[notice.code for notice in part.notices] for part in decoded[1]]
    assert notices == [["decode.tiled"], []], "said once"
    assert decoded[1][0].notices[0].params == {"side": 16}


def test_frames_of_one_tile_are_decoded_whole(vae: AutoencoderKL, latents: torch.Tensor) -> None:
    vae.tile_sample_min_size, vae.tile_latent_min_size = 24, 12
    (part,) = decode_frames(vae, latents, 5, tiling=True)
    (whole,) = decode_frames(vae, latents, 5)
    assert part.notices == ()
    assert np.array_equal(part.frames, whole.frames)


def test_nan_in_half_precision_is_decoded_again_in_float32(
    vae: AutoencoderKL, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = np.concatenate([part.frames for part in decode_frames(vae, latents, 5)])
    vae.to(torch.bfloat16)
    decode = vae.decoder.conv_out.forward

    def overflowing(sample: torch.Tensor) -> torch.Tensor:
        result = decode(sample)
        return result if sample.dtype == torch.float32 else torch.full_like(result, torch.nan)

    monkeypatch.setattr(vae.decoder.conv_out, "forward", overflowing)
    first, second = decode_frames(vae, latents, 3)
    assert [notice.code for notice in (*first.notices, *second.notices)] == ["decode.nan", "decode.nan"]
    assert first.notices[0].params == {"count": 3, "dtype": "bfloat16"}
    assert vae.dtype == torch.bfloat16, "the next chunk starts in half precision again"
    frames = np.concatenate([first.frames, second.frames]).astype(int)
    assert np.abs(frames - reference).mean() < 2, (
        "the weights were rounded to bfloat16, the picture is the same"
    )


def test_a_vae_that_runs_out_of_memory_on_the_way_to_float32_is_whole_again(
    vae: AutoencoderKL, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae.to(torch.bfloat16)
    move = vae.decoder._apply

    def full(function: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        if function(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32:
            raise MemoryError
        return move(function, recurse)

    monkeypatch.setattr(vae.decoder, "_apply", full)
    with pytest.raises(MemoryError):
        list(decode_frames(vae, latents * torch.nan, 5))
    assert {parameter.dtype for parameter in vae.parameters()} == {torch.bfloat16}


def test_latents_that_are_nan_are_an_error_not_a_black_clip(
    vae: AutoencoderKL, latents: torch.Tensor
) -> None:
    with pytest.raises(I2VError) as caught:
        list(decode_frames(vae, latents * torch.nan, 4))
    assert caught.value.code == "decode.nan_float32"


def test_the_preview_has_the_colours_of_the_decoded_clip() -> None:
    components = load_components(EMBEDDED, EMBEDDED_FOLDER, MemoryPlan("cpu", "float32"))
    with Image.open(ROOT / "examples" / "coffee.jpg") as file:
        pixels = np.array(fit_picture(file.convert("RGB"), 96, 64, "crop").image)
    picture = torch.tensor(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        latents = components.vae.encode(picture).latent_dist.mode()[:, :, None]
    seen = preview(latents, EMBEDDED.preview_factors)[0].astype(float)
    patches = ((picture[0] / 2 + 0.5) * 255).unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4))
    # three colours from what is nearly three numbers a patch: within 12 of 255 on average
    assert np.abs(seen - patches.permute(1, 2, 0).numpy()).mean() < 12
