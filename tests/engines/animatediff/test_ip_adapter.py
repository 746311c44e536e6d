"""Style pictures against diffusers' own IP-Adapter on the same weights; and a UNet as it was without one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffSparseControlNetPipeline
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil

from i2v.core.errors import ModelUnavailable
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan, Offload
from i2v.engines.animatediff.conditioning import condition
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.ip_adapter import attentions_to_prompt, clip_pixels
from i2v.engines.animatediff.sampling import denoise, initial_state
from i2v.engines.animatediff.specs import ANIMATEDIFF, IP_ADAPTER
from i2v.engines.animatediff.stock import load_stock, run_stock, use_stock_style
from i2v.engines.animatediff.weights import prepare
from i2v.engines.base import Denoised, Event, Inputs
from i2v.weights.check import check_folder
from tests.engines.subjects import frames_of
from tests.second_device import DEVICE, second_device

PLAN = MemoryPlan("cpu", "float32")
AS_STOCK = replace(ANIMATEDIFF, facts=ANIMATEDIFF.stock_facts)


@pytest.fixture(scope="module")
def stock(animatediff_folder: Path, style_folder: Path) -> AnimateDiffSparseControlNetPipeline:
    pipeline = load_stock(animatediff_folder)
    use_stock_style(pipeline, style_folder)
    return pipeline


@pytest.fixture
def styled(inputs: Inputs, photo: Image.Image, style_folder: Path) -> Inputs:
    return replace(inputs, style_image=ImageOps.invert(photo), style_model=style_folder)


def with_scale(clip: Generation, scale: float) -> Generation:
    return replace(clip, options={"ip_adapter_scale": scale})


def last_latents(engine: AnimateDiffEngine, clip: Generation, inputs: Inputs) -> torch.Tensor:
    prepare(engine.components, engine.spec, clip, inputs)
    conditioning, _ = condition(engine.components, engine.spec, clip, inputs)
    *_, last = denoise(
        engine.components, conditioning, initial_state(engine.components, clip), clip, engine.plan
    )
    return last.state.latents


@pytest.mark.parametrize(
    ("scale", "guidance_scale", "cfg_passes"),
    [
        pytest.param(0.6, 7.5, 2, id="guided, in two passes"),
        pytest.param(1.0, 7.5, 1, id="guided", marks=pytest.mark.slow),
        pytest.param(1.0, 1.0, 1, id="unguided"),
    ],
)
def test_same_weights_seed_and_style_give_stocks_frames(
    stock: AnimateDiffSparseControlNetPipeline,
    engine: AnimateDiffEngine,
    clip: Generation,
    inputs: Inputs,
    styled: Inputs,
    monkeypatch: pytest.MonkeyPatch,
    scale: float,
    guidance_scale: float,
    cfg_passes: int,
) -> None:
    asked = with_scale(replace(clip, num_inference_steps=2, guidance_scale=guidance_scale), scale)
    engine.adopt(replace(PLAN, cfg_passes=cfg_passes))
    monkeypatch.setattr(engine, "spec", AS_STOCK)
    torch.manual_seed(1)  # stock draws the pictures' latents from this one
    stock_latents, stock_frames = run_stock(stock, asked, styled)
    torch.manual_seed(1)
    latents = last_latents(engine, asked, styled)
    assert (latents - stock_latents).abs().max() <= 1e-4
    torch.manual_seed(1)
    frames = frames_of(list(engine.generate(asked, styled)))
    assert np.abs(frames - stock_frames.astype(int)).max() <= 1
    torch.manual_seed(1)
    assert (last_latents(engine, asked, inputs) - latents).abs().max() > 0.01, "the style bears on it"


def test_without_a_style_picture_the_clip_is_as_if_there_had_never_been_one(
    engine: AnimateDiffEngine, clip: Generation, inputs: Inputs, styled: Inputs
) -> None:
    short = replace(clip, num_inference_steps=1)
    plain = last_latents(engine, short, inputs)
    tensors = engine.components.unet.state_dict().keys()
    assert torch.equal(last_latents(engine, with_scale(short, 0.0), styled), plain), "0 ignores it"
    assert engine.components.unet.state_dict().keys() > tensors
    assert len(engine.components.encoders) == 3
    assert torch.equal(last_latents(engine, short, inputs), plain)
    assert engine.components.unet.state_dict().keys() == tensors
    assert len(engine.components.encoders) == 1, "its memory is free again"


@pytest.mark.slow
@pytest.mark.parametrize("offload", ["encoders", "model"])
def test_offloaded_it_comes_to_the_device_for_its_stage_and_makes_the_same_frames(
    engine: AnimateDiffEngine, animatediff_folder: Path, clip: Generation, styled: Inputs, offload: Offload
) -> None:
    asked = with_scale(clip, 0.8)
    expected = frames_of(list(engine.generate(asked, styled)))
    with second_device():
        other = AnimateDiffEngine.load(
            ANIMATEDIFF, animatediff_folder, MemoryPlan(DEVICE.type, "float32", offload=offload)
        )
        parts, events = other.components, list[Event]()
        for event in other.generate(asked, styled):
            events.append(event)
            if isinstance(event, Denoised) and parts.style is not None:
                assert parts.style.image_encoder.device.type == "cpu"
                attention = parts.unet.get_submodule(attentions_to_prompt(parts.unet)[0])
                assert attention.processor.to_k_ip[0].weight.device == DEVICE
        at_home = {tensor.device.type for tensor in parts.unet.parameters()}
    assert at_home == ({"cpu"} if offload == "model" else {DEVICE.type})
    assert np.abs(frames_of(events) - expected).max() <= 1


@pytest.mark.parametrize("size", [(301, 200), (97, 130), (64, 64)])
def test_clip_sees_the_centre_square_as_transformers_makes_it(
    photo: Image.Image, size: tuple[int, int]
) -> None:
    picture = photo.resize(size)
    theirs = CLIPImageProcessorPil(size=56, crop_size=56)(picture, return_tensors="pt").pixel_values
    assert (clip_pixels(picture, 56) - theirs).abs().max() < 1e-5


def test_a_folder_that_is_added_is_held_to_the_published_shapes(style_folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"ip-adapter_sd15\.safetensors") as caught:
        check_folder(IP_ADAPTER, style_folder)
    assert caught.value.code == "weights.missing_tensor"


def test_a_file_of_another_adapter_is_refused_by_its_tensor(
    engine: AnimateDiffEngine, clip: Generation, styled: Inputs, style_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(style_folder, other)
    file = other / "models/ip-adapter_sd15.safetensors"
    tensors = load_file(file)
    tensors["ip_adapter.1.to_k_ip.weight"] = torch.zeros(3, 3)
    save_file(tensors, file)
    with pytest.raises(ModelUnavailable) as caught:
        prepare(engine.components, engine.spec, clip, replace(styled, style_model=other))
    assert caught.value.code == "weights.misshapen_tensor"
    assert caught.value.params["tensor"] == "ip_adapter.1.to_k_ip.weight"
    assert engine.components.style is None
