"""The engine against diffusers' own pipeline on the same weights, by every way to take less memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Denoised, Event, Inputs, SteppedDown
from i2v.engines.wan.conditioning import condition
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.options import options_of
from i2v.engines.wan.sampling import denoise, initial_state
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.engines.wan.stock import load_stock, run_stock
from tests.engines.subjects import Rungs, frames_of
from tests.second_device import DEVICE, second_device

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture(scope="module")
def stock(wan_folder: Path) -> WanImageToVideoPipeline:
    return load_stock(wan_folder)


def last_latents(engine: WanEngine, clip: Generation, image: Image.Image) -> torch.Tensor:
    conditioning, _ = condition(engine.components, WAN_TI2V_5B, clip, Inputs(image))
    options = options_of(WAN_TI2V_5B, clip)
    start = initial_state(engine.components, clip, options)
    *_, last = denoise(engine.components, conditioning, start, clip, options, engine.plan)
    return last.state.latents


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        pytest.param({"num_frames": 17, "generated_width": 128, "generated_height": 96}, {}, id="guided"),
        pytest.param({"guidance_scale": 1.0, "num_inference_steps": 3}, {}, id="without guidance",
                     marks=pytest.mark.slow),
        pytest.param({"seed": 2**32 - 1, "prompt": "镜头向左，猫", "options": {"flow_shift": 3.0}},
                     {"cfg_passes": 2, "chunk_tokens": 5}, id="least memory, in Chinese"),
    ],
)  # fmt: skip
def test_same_weights_seed_and_settings_give_stocks_frames(
    stock: WanImageToVideoPipeline,
    engine: WanEngine,
    clip: Generation,
    photo: Image.Image,
    changes: dict[str, object],
    plan: dict[str, int],
) -> None:
    asked = replace(clip, **changes)  # type: ignore[arg-type]
    image = photo.resize((asked.generated_width, asked.generated_height))
    engine.adopt(replace(PLAN, **plan))  # type: ignore[arg-type]
    stock_latents, stock_frames = run_stock(stock, WAN_TI2V_5B, asked, Inputs(image))
    assert (last_latents(engine, asked, image) - stock_latents).abs().max() <= 1e-4
    frames = frames_of(list(engine.generate(asked, Inputs(image))))
    assert frames.shape == stock_frames.shape == (asked.num_frames, *image.size[::-1], 3)
    assert frames.std() > 10, "a picture"
    assert np.abs(frames - stock_frames.astype(int)).max() <= 1


def test_in_bfloat16_what_diffusers_keeps_in_float32_is_kept_and_frames_are_near(
    engine: WanEngine, wan_folder: Path, clip: Generation, image: Image.Image
) -> None:
    half = WanEngine.load(WAN_TI2V_5B, wan_folder, MemoryPlan("cpu", "bfloat16"))
    stock = load_stock(wan_folder, torch.bfloat16)
    ours = {name: tensor.dtype for name, tensor in half.components.transformer.state_dict().items()}
    assert ours == {name: tensor.dtype for name, tensor in stock.transformer.state_dict().items()}
    expected, _ = run_stock(stock, WAN_TI2V_5B, clip, Inputs(image))
    latents, exact = last_latents(half, clip, image), last_latents(engine, clip, image)
    assert (latents - expected).abs().mean() <= 1.5 * (exact - expected).abs().mean()


@pytest.mark.parametrize("offload", [pytest.param("encoders", marks=pytest.mark.slow), "model"])
def test_offloaded_parts_come_to_the_device_block_by_block_and_make_stocks_frames(
    stock: WanImageToVideoPipeline, wan_folder: Path, clip: Generation, image: Image.Image, offload: str
) -> None:
    _, expected = run_stock(stock, WAN_TI2V_5B, clip, Inputs(image))
    with second_device():
        plan = MemoryPlan(DEVICE.type, "float32", offload=offload)  # type: ignore[arg-type]
        engine = WanEngine.load(WAN_TI2V_5B, wan_folder, plan)
        components, there = engine.components, []
        blocks = (components.text_encoder.encoder.block, components.transformer.blocks)
        for index, part in enumerate(blocks):
            for block in part:
                inner = block.layer[0] if index == 0 else block.attn1.to_q
                inner.register_forward_pre_hook(
                    lambda *_, index=index: there.append((index, resident(blocks[index])))
                )
        events = list(engine.generate(clip, Inputs(image)))
        assert resident(blocks[0]) == 0, "back at home"
        assert resident(blocks[1]) == (0 if offload == "model" else 2)
    together = {0: 1, 1: 1 if offload == "model" else 2}
    assert {(index, count) for index, count in there} == set(together.items())
    assert np.abs(frames_of(events) - expected.astype(int)).max() <= 1


def resident(blocks: torch.nn.ModuleList) -> int:
    """Return how many of `blocks` are on the device."""
    return sum(next(block.parameters()).device == DEVICE for block in blocks)


@pytest.mark.parametrize(
    ("stage", "expected"),
    # a step, what failed, three steps in two passes; frames come again from the first one on
    [(Stage.DENOISE, 1 + 1 + 3 * 2), (Stage.DECODE, 1 + 1 + 3)],
    ids=["denoise", "decode"],
)
def test_a_clip_goes_on_from_where_it_was(
    engine: WanEngine, clip: Generation, image: Image.Image, stage: Stage, expected: int
) -> None:
    plain = frames_of(list(engine.generate(clip, Inputs(image))))
    calls = 0

    def fail_at_the_second(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.10 GiB.")

    components = engine.components
    denoises = stage is Stage.DENOISE
    module = components.transformer.patch_embedding if denoises else components.vae.decoder.conv_out
    with module.register_forward_pre_hook(fail_at_the_second):
        events = list(engine.generate(clip, Inputs(image), Rungs(WAN_TI2V_5B, clip)))
    (down,) = (event for event in events if isinstance(event, SteppedDown))
    assert down.stage is stage
    assert [event.step for event in events if isinstance(event, Denoised)] == [1, 2, 3, 4]
    assert [type(event) for event in events].count(Conditioned) == 1
    assert [len(event.frames) for event in events if isinstance(event, Decoded)] == [1, 4, 4]
    assert np.abs(frames_of(events) - plain).max() <= 1
    assert calls == expected


def test_stopping_stops_at_the_step(engine: WanEngine, clip: Generation, image: Image.Image) -> None:
    calls: list[None] = []
    events = engine.generate(replace(clip, num_inference_steps=50), Inputs(image), NO_LADDER)
    embedding = engine.components.transformer.patch_embedding
    with embedding.register_forward_pre_hook(lambda *_: calls.append(None)):
        for event in events:
            if isinstance(event, Denoised) and event.step == 2:
                events.close()
    assert len(calls) == 2


def test_previews_begin_with_the_picture(engine: WanEngine, clip: Generation, image: Image.Image) -> None:
    events: list[Event] = list(engine.generate(clip, Inputs(image)))
    first, *_, last = [event.preview() for event in events if isinstance(event, Denoised)]
    assert first.shape == (3, 4, 6, 3)
    assert np.array_equal(first[0], last[0])
    assert not np.array_equal(first[1], last[1])


def test_every_option_bears_on_the_clip(engine: WanEngine, clip: Generation, image: Image.Image) -> None:
    plain = last_latents(engine, clip, image)
    for changes in ({"options": {"flow_shift": 2.0}}, {"guidance_scale": 2.0}, {"negative_prompt": ""}):
        other = last_latents(engine, replace(clip, **changes), image)  # type: ignore[arg-type]
        assert (other - plain).abs().max() > 1e-4, changes


@pytest.mark.slow
@pytest.mark.parametrize("offload", [pytest.param("none", marks=pytest.mark.slow), "model"])
def test_in_float8_frames_are_near_and_the_same_wherever_the_weights_are(
    engine: WanEngine, wan_folder: Path, clip: Generation, image: Image.Image, offload: str
) -> None:
    plain = last_latents(engine, clip, image)
    plan = replace(PLAN, storage_dtype="float8_e4m3fn")
    kept = WanEngine.load(WAN_TI2V_5B, wan_folder, plan)
    narrow = last_latents(kept, clip, image)
    error = (narrow - plain).abs().mean() / plain.abs().mean()
    assert 0 < error < 0.05, "relative, of the latents after the last step"
    if offload == "model":
        expected = frames_of(list(kept.generate(clip, Inputs(image))))
        with second_device():
            away = replace(plan, device=DEVICE.type, offload="model")  # type: ignore[arg-type]
            streamed = WanEngine.load(WAN_TI2V_5B, wan_folder, away)
            frames = frames_of(list(streamed.generate(clip, Inputs(image))))
        assert np.abs(frames - expected.astype(int)).max() <= 1
