"""Our forward against diffusers', block by block and as a whole; what is done once, and for one row only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import I2VGenXLUNet
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Generation, MemoryPlan
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.sampling import State, denoise
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.i2vgen_xl.unet import convolve, convolve_over_time, encode_context, predict
from i2v.engines.i2vgen_xl.upsampling import use_phase_convolutions
from i2v.weights import EMBEDDED_FOLDER
from tests.shaken import shaken

PLAN = MemoryPlan("cpu", "float32")
TIMESTEP = 481


def stock_unet(folder: Path) -> I2VGenXLUNet:
    return I2VGenXLUNet.from_pretrained(folder / "unet", variant="fp16", dtype=torch.float32)


@pytest.fixture(scope="module")
def pair(tiny_folder: Path) -> tuple[I2VGenXLUNet, I2VGenXLUNet]:
    """Stock's UNet and ours, the same random weights in both, where fresh ones have zeros and ones."""
    stock, ours = shaken(stock_unet(tiny_folder)), shaken(stock_unet(tiny_folder))
    use_phase_convolutions(ours)
    return stock, ours


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conditions(unet: I2VGenXLUNet, rows: int, frames: int, height: int, width: int) -> Conditioning:
    dim = unet.config.cross_attention_dim
    return Conditioning(
        prompt_embeds=noise(rows, 77, dim, seed=1),
        image_embeddings=noise(rows, 1, dim, seed=2),
        image_latents=noise(1, 4, frames, height, width, seed=3).expand(rows, -1, -1, -1, -1),
        fps=torch.full((rows,), 8),
        notices=(),
    )


@torch.inference_mode()
def diffusers_prediction(unet: I2VGenXLUNet, latents: torch.Tensor, given: Conditioning) -> torch.Tensor:
    """The call that stock's pipeline makes."""
    return unet(
        latents.expand(len(given.fps), -1, -1, -1, -1),
        torch.tensor(TIMESTEP),
        fps=given.fps,
        image_latents=given.image_latents,
        image_embeddings=given.image_embeddings,
        encoder_hidden_states=given.prompt_embeds,
        return_dict=False,
    )[0]


@torch.inference_mode()
def our_prediction(
    unet: I2VGenXLUNet, latents: torch.Tensor, given: Conditioning, chunk_tokens: int = 0
) -> torch.Tensor:
    return predict(unet, latents, torch.tensor(TIMESTEP), encode_context(unet, given), chunk_tokens)


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, in parts of the largest number."""
    assert one.shape == other.shape
    return float((one.float() - other.float()).abs().max() / other.float().abs().max())


@pytest.mark.parametrize("channels", [(8, 8), (8, 12)], ids=["same channels", "more channels"])
def test_resnets_are_diffusers(channels: tuple[int, int]) -> None:
    resnet = shaken(
        ResnetBlock2D(in_channels=channels[0], out_channels=channels[1], temb_channels=6, groups=4)
    )
    hidden, time = noise(5, 8, 6, 4), noise(1, 6)
    activated = torch.nn.functional.silu(time)
    assert torch.allclose(convolve(resnet, hidden, activated), resnet(hidden, time.expand(5, -1)), atol=1e-5)


@pytest.mark.parametrize(("rows", "frames"), [(1, 1), (1, 4), (2, 3)])
def test_convolutions_over_time_are_diffusers(rows: int, frames: int) -> None:
    module = shaken(TemporalConvLayer(8, norm_num_groups=4))
    hidden = noise(rows * frames, 8, 3, 5)
    expected = module(hidden, num_frames=frames)
    assert torch.allclose(convolve_over_time(module, hidden, frames), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "frames", "height", "width"),
    [(1, 4, 8, 8), (2, 4, 8, 12), (2, 3, 12, 6), (2, 5, 9, 13), (1, 1, 7, 8)],
    ids=["unguided", "guided", "tall", "odd sides", "one frame"],
)
def test_the_whole_is_diffusers(
    pair: tuple[I2VGenXLUNet, I2VGenXLUNet], rows: int, frames: int, height: int, width: int
) -> None:
    stock, ours = pair
    latents, given = noise(1, 4, frames, height, width), conditions(stock, rows, frames, height, width)
    expected = diffusers_prediction(stock, latents, given)
    for chunk_tokens in (0, 30):
        assert relative(our_prediction(ours, latents, given, chunk_tokens), expected) < 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.1)], ids=str)
def test_in_half_precision_it_is_as_near_to_float32_as_diffusers(
    pair: tuple[I2VGenXLUNet, I2VGenXLUNet], tiny_folder: Path, dtype: torch.dtype, tolerance: float
) -> None:
    exact, _ = pair
    stock, ours = (shaken(stock_unet(tiny_folder)) for _ in range(2))
    latents, given = noise(1, 4, 4, 8, 8), conditions(exact, 2, 4, 8, 8)
    expected = diffusers_prediction(exact, latents, given)
    for unet in (stock.to(dtype), ours.to(dtype)):
        assert {parameter.dtype for parameter in unet.parameters()} == {dtype}
    use_phase_convolutions(ours)
    fields = ("prompt_embeds", "image_embeddings", "image_latents")
    halved = replace(given, **{name: getattr(given, name).to(dtype) for name in fields})
    theirs = relative(diffusers_prediction(stock, latents.to(dtype), halved), expected)
    mine = relative(our_prediction(ours, latents.to(dtype), halved), expected)
    assert mine <= max(1.5 * theirs, tolerance / 10)
    assert mine < tolerance


@pytest.mark.parametrize("rows", [1, 2])
def test_the_embedded_models_prediction_is_diffusers(rows: int) -> None:
    stock = stock_unet(EMBEDDED_FOLDER)
    ours = load_components(EMBEDDED, EMBEDDED_FOLDER, PLAN).unet
    # what the picture is encoded to is small; with numbers as large as noise, rounding alone is seen
    given = conditions(stock, rows, 4, 16, 24)
    given = replace(given, image_embeddings=given.image_embeddings / 10)
    latents = noise(1, 4, 4, 16, 24)
    assert relative(our_prediction(ours, latents, given), diffusers_prediction(stock, latents, given)) < 1e-3


# --- what is done once


@pytest.fixture
def components(tiny_spec: EngineSpec, tiny_folder: Path) -> Components:
    return load_components(tiny_spec, tiny_folder, PLAN)


def calls(modules: dict[str, nn.Module], work: Callable[[], object]) -> Counter[str]:
    """Return how many pictures or sequences each of `modules` is given while `work` runs."""
    seen: Counter[str] = Counter()
    handles = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: len(inputs[0])}))
        for name, module in modules.items()
    ]
    work()
    for handle in handles:
        handle.remove()
    return seen


def test_what_no_step_changes_is_computed_once_a_clip(components: Components, generation: Generation) -> None:
    unet = components.unet
    cross = [
        module for module in unet.modules() if isinstance(module, Attention) and module.is_cross_attention
    ]
    assert len(cross) == 4
    once = {
        **{f"keys {number}": attention.to_k for number, attention in enumerate(cross)},
        **{f"values {number}": attention.to_v for number, attention in enumerate(cross)},
        "first frame": unet.image_latents_proj_in,
        "along time": unet.image_latents_temporal_encoder,
        "first frame's context": unet.image_latents_context_embedding,
        "picture": unet.context_embedding,
        "frame rate": unet.fps_embedding,
    }
    given = conditions(unet, 2, 4, 8, 8)
    start = State(0, noise(1, 4, 4, 8, 8))
    seen = calls(once, lambda: list(denoise(components, given, start, generation, PLAN)))
    rows = {name: 2 for name in once if name.startswith(("keys", "values", "picture"))}
    shared = {"first frame": 4, "along time": 64, "first frame's context": 1, "frame rate": 1}
    assert seen == {**rows, **shared}


def test_the_rows_of_guidance_are_one_until_the_first_cross_attention(components: Components) -> None:
    unet = components.unet
    first, second = unet.down_blocks
    watched = {
        "conv_in": unet.conv_in,
        "transformer_in": unet.transformer_in.proj_in,
        "first resnet": first.resnets[0].norm2,
        "first self-attention": first.attentions[0].transformer_blocks[0].attn1.to_q,
        "after cross-attention": first.temp_attentions[0].proj_in,
        "second block": second.resnets[0].norm2,
        "conv_out": unet.conv_out,
    }
    given, latents = conditions(unet, 2, 4, 8, 8), noise(1, 4, 4, 8, 8)
    seen = calls(watched, lambda: our_prediction(unet, latents, given))
    assert seen == {
        **{"conv_in": 4, "transformer_in": 1, "first resnet": 4, "first self-attention": 1},
        **{"after cross-attention": 2, "second block": 2 * 4, "conv_out": 2 * 4},
    }
