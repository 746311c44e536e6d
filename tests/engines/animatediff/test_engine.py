"""The engine against diffusers' own pipeline on the same weights, by every way to take less memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffSparseControlNetPipeline
from PIL import ImageOps

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.animatediff.conditioning import condition
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.sampling import denoise, initial_state
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.animatediff.stock import load_stock, run_stock
from i2v.engines.base import NO_LADDER, Conditioned, Denoised, Event, Inputs, SteppedDown
from tests.engines.subjects import Rungs, frames_of
from tests.second_device import DEVICE, second_device

PLAN = MemoryPlan("cpu", "float32")
AS_STOCK = replace(ANIMATEDIFF, facts=ANIMATEDIFF.stock_facts)


@pytest.fixture(scope="module")
def stock(animatediff_folder: Path) -> AnimateDiffSparseControlNetPipeline:
    return load_stock(animatediff_folder)


def last_latents(engine: AnimateDiffEngine, clip: Generation, inputs: Inputs) -> torch.Tensor:
    conditioning, _ = condition(engine.components, engine.spec, clip, inputs)
    start = initial_state(engine.components, clip)
    *_, last = denoise(engine.components, conditioning, start, clip, engine.plan)
    return last.state.latents


def with_pictures(inputs: Inputs, *frames: int) -> Inputs:
    return replace(inputs, keyframes={frame: ImageOps.invert(inputs.image) for frame in frames})


@pytest.mark.parametrize(
    ("keyframes", "changes", "plan"),
    [
        pytest.param((), {}, {}, id="guided"),
        pytest.param((3,), {"guidance_scale": 1.0}, {"decode_chunk": 2}, id="unguided, two pictures",
                     marks=pytest.mark.slow),
        pytest.param((4, 2), {"num_frames": 6, "options": {"controlnet_conditioning_scale": 0.6}},
                     {"cfg_passes": 2, "chunk_tokens": 50, "decode_chunk": 1}, id="three, least memory",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_same_weights_seed_and_settings_give_stocks_frames(
    stock: AnimateDiffSparseControlNetPipeline,
    engine: AnimateDiffEngine,
    clip: Generation,
    inputs: Inputs,
    monkeypatch: pytest.MonkeyPatch,
    keyframes: tuple[int, ...],
    changes: dict[str, object],
    plan: dict[str, int],
) -> None:
    asked = replace(clip, **changes)  # type: ignore[arg-type]
    given = with_pictures(inputs, *keyframes)
    engine.adopt(replace(PLAN, **plan))  # type: ignore[arg-type]
    monkeypatch.setattr(engine, "spec", AS_STOCK)
    torch.manual_seed(1)  # stock draws the pictures' latents from this one
    stock_latents, stock_frames = run_stock(stock, asked, given)
    torch.manual_seed(1)
    assert (last_latents(engine, asked, given) - stock_latents).abs().max() <= 1e-4
    torch.manual_seed(1)
    frames = frames_of(list(engine.generate(asked, given)))
    assert frames.shape == stock_frames.shape
    assert frames.std() > 10, "a picture"
    assert np.abs(frames - stock_frames.astype(int)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("offload", ["encoders", "model"])
def test_offloaded_parts_come_to_the_device_for_their_stage_and_make_the_same_frames(
    engine: AnimateDiffEngine, animatediff_folder: Path, clip: Generation, inputs: Inputs, offload: str
) -> None:
    expected = frames_of(list(engine.generate(clip, inputs)))
    with second_device():
        plan = MemoryPlan(DEVICE.type, "float32", offload=offload)  # type: ignore[arg-type]
        other = AnimateDiffEngine.load(ANIMATEDIFF, animatediff_folder, plan)
        parts = other.components
        events: list[Event] = []
        for event in other.generate(clip, inputs):
            events.append(event)
            if isinstance(event, Denoised):
                assert parts.unet.device == parts.controlnet.device == DEVICE
                assert parts.text_encoder.device.type == "cpu"
                assert (parts.vae.device.type == "cpu") == (offload == "model")
        at_home = {part.device.type for part in parts.denoisers}
    assert at_home == ({"cpu"} if offload == "model" else {DEVICE.type})
    assert np.abs(frames_of(events) - expected).max() <= 1


@pytest.mark.parametrize(
    ("part", "stage"),
    [("conv_in", Stage.DENOISE), pytest.param("decoder", Stage.DECODE, marks=pytest.mark.slow)],
)
def test_a_clip_goes_on_from_the_step_it_had_reached(
    engine: AnimateDiffEngine, clip: Generation, inputs: Inputs, part: str, stage: Stage
) -> None:
    engine.adopt(replace(PLAN, decode_chunk=2))
    plain = frames_of(list(engine.generate(clip, inputs)))
    calls = 0

    def fail_at_the_second(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.10 GiB.")

    components = engine.components
    module = components.unet.conv_in if part == "conv_in" else components.vae.decoder.conv_out
    with module.register_forward_pre_hook(fail_at_the_second):
        events = list(engine.generate(clip, inputs, Rungs(ANIMATEDIFF, clip)))
    (down,) = (event for event in events if isinstance(event, SteppedDown))
    assert down.stage is stage
    assert [event.step for event in events if isinstance(event, Denoised)] == [1, 2, 3]
    assert [type(event) for event in events].count(Conditioned) == 1
    assert np.abs(frames_of(events) - plain).max() <= 1
    assert calls == 4, "three steps or chunks, and what failed"


def test_stopping_stops_at_the_step(engine: AnimateDiffEngine, clip: Generation, inputs: Inputs) -> None:
    calls: list[None] = []
    events = engine.generate(replace(clip, num_inference_steps=50), inputs, NO_LADDER)
    with engine.components.unet.conv_in.register_forward_pre_hook(lambda *_: calls.append(None)):
        for event in events:
            if isinstance(event, Denoised) and event.step == 2:
                events.close()
    assert len(calls) == 2


@pytest.mark.slow
def test_all_that_is_asked_for_bears_on_the_clip(
    engine: AnimateDiffEngine, clip: Generation, inputs: Inputs
) -> None:
    short = replace(clip, num_inference_steps=1)
    plain = last_latents(engine, short, inputs)
    strength = {"controlnet_conditioning_scale": 0.4}
    others = [
        (replace(short, prompt="zoom in"), inputs),
        (replace(short, negative_prompt="bright"), inputs),
        (replace(short, guidance_scale=3.0), inputs),
        (replace(short, options=strength), inputs),
        (short, with_pictures(inputs, 3)),
        (short, replace(inputs, last_image=ImageOps.invert(inputs.image))),
    ]
    for asked, given in others:
        assert (last_latents(engine, asked, given) - plain).abs().max() > 1e-4, (asked, given)
    last = replace(inputs, last_image=ImageOps.invert(inputs.image))
    assert torch.equal(
        last_latents(engine, short, last), last_latents(engine, short, with_pictures(inputs, 4))
    )
