"""Our UNet against diffusers', by its tensors and as a whole; what is done once, and for one row only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import I2VGenXLUNet
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.state import State
from i2v.engines.i2vgen_xl.attention import CrossAttention
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.sampling import denoise
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.i2vgen_xl.unet import UNet
from i2v.weights import EMBEDDED_FOLDER
from scripts.full_size.layout import CONFIGS
from tests.shaken import shaken

PLAN = MemoryPlan("cpu", "float32")
TIMESTEP = 481


def stock_unet(folder: Path) -> I2VGenXLUNet:
    return I2VGenXLUNet.from_pretrained(folder / "unet", variant="fp16", dtype=torch.float32)


def like(stock: I2VGenXLUNet) -> UNet:
    """Return ours with the weights of `stock`, as the file has them: no name or shape may differ."""
    ours = UNet.from_config(stock.config)
    ours.load_state_dict({name: tensor.clone() for name, tensor in stock.state_dict().items()})
    return ours.eval().requires_grad_(False)


def shaken_unet(folder: Path, joint_projections: bool = False) -> UNet:
    """Return ours as the engine lays it out, with random weights where fresh ones have zeros and ones."""
    ours = like(shaken(stock_unet(folder)))
    ours.lay_out(joint_projections)
    return ours


@pytest.fixture(scope="module")
def pair(tiny_folder: Path) -> tuple[I2VGenXLUNet, UNet]:
    """Stock's UNet and ours, the same random weights in both."""
    return shaken(stock_unet(tiny_folder)), shaken_unet(tiny_folder)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conditions(unet: UNet | I2VGenXLUNet, rows: int, frames: int, height: int, width: int) -> Conditioning:
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
    unet: UNet, latents: torch.Tensor, given: Conditioning, chunk_tokens: int = 0
) -> torch.Tensor:
    return unet(latents, torch.tensor(TIMESTEP), unet.encode_context(given), chunk_tokens)


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, in parts of the largest number."""
    assert one.shape == other.shape
    return float((one.float() - other.float()).abs().max() / other.float().abs().max())


@pytest.mark.parametrize("config", ["published", "embedded"])
def test_tensors_are_called_and_shaped_as_published(config: str) -> None:
    embedded = json.loads((EMBEDDED_FOLDER / "unet/config.json").read_text())
    settings = CONFIGS["unet/config.json"] if config == "published" else embedded
    with torch.device("meta"):
        stock, ours = (
            {name: tensor.shape for name, tensor in unet.from_config(settings).state_dict().items()}
            for unet in (I2VGenXLUNet, UNet)
        )
    assert ours == stock


def test_layouts_for_kernels_change_no_number(tiny_folder: Path) -> None:
    plain = like(shaken(stock_unet(tiny_folder)))
    laid, joint = (shaken_unet(tiny_folder, joint) for joint in (False, True))
    latents, given = noise(1, 4, 4, 8, 8), conditions(plain, 2, 4, 8, 8)
    expected = our_prediction(plain, latents, given)
    for unet in (laid, joint):
        assert relative(our_prediction(unet, latents, given), expected) < 1e-4
    sizes = {sum(tensor.numel() for tensor in unet.parameters()) for unet in (laid, joint)}
    assert len(sizes) == 1, "nothing is held twice"


@pytest.mark.parametrize(
    ("rows", "frames", "height", "width"),
    [(1, 4, 8, 8), (2, 4, 8, 12), (2, 3, 12, 6), (2, 5, 9, 13), (1, 1, 7, 8)],
    ids=["unguided", "guided", "tall", "odd sides", "one frame"],
)
def test_the_whole_is_diffusers(
    pair: tuple[I2VGenXLUNet, UNet], rows: int, frames: int, height: int, width: int
) -> None:
    stock, ours = pair
    latents, given = noise(1, 4, frames, height, width), conditions(stock, rows, frames, height, width)
    expected = diffusers_prediction(stock, latents, given)
    for chunk_tokens in (0, 30):
        assert relative(our_prediction(ours, latents, given, chunk_tokens), expected) < 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.1)], ids=str)
def test_in_half_precision_it_is_as_near_to_float32_as_diffusers(
    pair: tuple[I2VGenXLUNet, UNet], tiny_folder: Path, dtype: torch.dtype, tolerance: float
) -> None:
    exact, _ = pair
    stock = shaken(stock_unet(tiny_folder)).to(dtype)
    ours = like(stock).to(dtype)
    ours.lay_out(joint_projections=False)
    latents, given = noise(1, 4, 4, 8, 8), conditions(exact, 2, 4, 8, 8)
    expected = diffusers_prediction(exact, latents, given)
    for unet in (stock, ours):
        assert {parameter.dtype for parameter in unet.parameters()} == {dtype}
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
    cross = [module for module in unet.modules() if isinstance(module, CrossAttention)]
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
