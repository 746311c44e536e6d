"""The engine against diffusers' own pipeline on the same weights, by every way to take less memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Conditioned, Denoised, Event, Inputs, SteppedDown
from i2v.engines.svd.conditioning import condition
from i2v.engines.svd.engine import SVDEngine
from i2v.engines.svd.sampling import denoise, initial_state
from i2v.engines.svd.specs import SVD
from i2v.engines.svd.stock import load_stock, run_stock
from tests.engines.subjects import Rungs, frames_of
from tests.second_device import DEVICE, second_device

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture(scope="module")
def stock(svd_folder: Path) -> StableVideoDiffusionPipeline:
    return load_stock(svd_folder)


def last_latents(engine: SVDEngine, clip: Generation, image: Image.Image) -> torch.Tensor:
    conditioning = condition(engine.components, clip, image)
    start = initial_state(engine.components, clip)
    *_, last = denoise(engine.components, conditioning, start, clip, engine.plan)
    return last.state.latents


UNGUIDED = {"max_guidance_scale": 1.0}
OTHER = {"motion_bucket_id": 200, "noise_aug_strength": 0.3, "min_guidance_scale": 2.0}


@pytest.mark.parametrize(
    ("options", "changes", "plan"),
    [
        pytest.param({}, {}, {}, id="guided"),
        pytest.param(UNGUIDED, {}, {"decode_chunk": 2}, id="without guidance, two frames at a time",
                     marks=pytest.mark.slow),
        pytest.param(OTHER, {"target_fps": 12, "seed": 2**32 - 1}, {"cfg_passes": 2, "chunk_tokens": 50},
                     id="least memory", marks=pytest.mark.slow),
        pytest.param({"max_guidance_scale": 1.0, "min_guidance_scale": 1.0}, {"num_frames": 4},
                     {"decode_chunk": 3}, id="a last chunk of one frame", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_same_weights_seed_and_settings_give_stocks_frames(
    stock: StableVideoDiffusionPipeline,
    engine: SVDEngine,
    clip: Generation,
    image: Image.Image,
    options: dict[str, object],
    changes: dict[str, int],
    plan: dict[str, int],
) -> None:
    asked = replace(clip, options=options, **changes)
    engine.adopt(replace(PLAN, **plan))
    stock_latents, stock_frames = run_stock(stock, asked, image, plan.get("decode_chunk", 0))
    assert (last_latents(engine, asked, image) - stock_latents).abs().max() <= 1e-4
    frames = frames_of(list(engine.generate(asked, Inputs(image))))
    assert frames.shape == stock_frames.shape
    assert frames.std() > 10, "a picture"
    assert np.abs(frames - stock_frames.astype(int)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("offload", ["encoders", "model"])
def test_offloaded_parts_come_to_the_device_for_their_stage_and_make_stocks_frames(
    stock: StableVideoDiffusionPipeline, svd_folder: Path, clip: Generation, image: Image.Image, offload: str
) -> None:
    _, expected = run_stock(stock, clip, image)
    with second_device():
        plan = MemoryPlan(DEVICE.type, "float32", offload=offload)  # type: ignore[arg-type]
        engine = SVDEngine.load(SVD, svd_folder, plan)
        events: list[Event] = []
        for event in engine.generate(clip, Inputs(image)):
            events.append(event)
            if isinstance(event, Denoised):
                assert engine.components.unet.device == DEVICE
                assert engine.components.image_encoder.device.type == "cpu"
                assert (engine.components.vae.device.type == "cpu") == (offload == "model")
        at_home = engine.components.unet.device.type == "cpu"
    assert at_home == (offload == "model")
    assert np.abs(frames_of(events) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("part", "stage"),
    [("conv_in", Stage.DENOISE), pytest.param("decoder", Stage.DECODE, marks=pytest.mark.slow)],
)
def test_a_clip_goes_on_from_the_step_it_had_reached(
    engine: SVDEngine, clip: Generation, image: Image.Image, part: str, stage: Stage
) -> None:
    plain = frames_of(list(engine.generate(clip, Inputs(image))))
    calls = 0

    def fail_at_the_second(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.10 GiB.")

    components = engine.components
    module = components.unet.conv_in if part == "conv_in" else components.vae.decoder.conv_out
    with module.register_forward_pre_hook(fail_at_the_second):
        events = list(engine.generate(clip, Inputs(image), Rungs(SVD, clip)))
    (down,) = (event for event in events if isinstance(event, SteppedDown))
    assert down.stage is stage
    assert [event.step for event in events if isinstance(event, Denoised)] == [1, 2, 3]
    assert [type(event) for event in events].count(Conditioned) == 1
    assert np.abs(frames_of(events) - plain).max() <= 1
    expected = {"conv_in": 4, "decoder": 5 + 2}  # steps, or frames of one clip, and what failed
    assert calls == expected[part]


def test_stopping_stops_at_the_step(engine: SVDEngine, clip: Generation, image: Image.Image) -> None:
    calls: list[None] = []
    events = engine.generate(replace(clip, num_inference_steps=50), Inputs(image), NO_LADDER)
    with engine.components.unet.conv_in.register_forward_pre_hook(lambda *_: calls.append(None)):
        for event in events:
            if isinstance(event, Denoised) and event.step == 2:
                events.close()
    assert len(calls) == 2


def test_every_option_bears_on_the_clip(engine: SVDEngine, clip: Generation, image: Image.Image) -> None:
    short = replace(clip, num_inference_steps=1)
    plain = last_latents(engine, short, image)
    for name, value in (
        ("motion_bucket_id", 1),
        ("noise_aug_strength", 0.5),
        ("min_guidance_scale", 2.5),
        ("max_guidance_scale", 1.5),
    ):
        other = last_latents(engine, replace(short, options={name: value}), image)
        assert (other - plain).abs().max() > 1e-4, name
    assert (last_latents(engine, replace(short, target_fps=20), image) - plain).abs().max() > 1e-4


def test_half_precision_encodes_the_picture_in_float32_and_goes_back(
    svd_folder: Path, clip: Generation, image: Image.Image
) -> None:
    engine = SVDEngine.load(SVD, svd_folder, MemoryPlan("cpu", "float16"))
    seen: list[torch.dtype] = []
    vae = engine.components.vae
    with vae.encoder.conv_in.register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype)):
        conditioning = condition(engine.components, clip, image)
    assert seen == [torch.float32]
    assert {parameter.dtype for parameter in vae.parameters()} == {torch.float16}
    assert conditioning.image_latents.dtype == torch.float16
