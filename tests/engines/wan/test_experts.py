"""I2V-A14B's two experts against diffusers' own pipeline, and where they are meanwhile."""

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
from i2v.engines.base import Denoised, Inputs, SteppedDown
from i2v.engines.wan.conditioning import condition
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.options import options_of
from i2v.engines.wan.sampling import denoise, initial_state
from i2v.engines.wan.specs import WAN_I2V_A14B
from i2v.engines.wan.stock import load_stock, run_stock
from i2v.host.embedding_cache import EmbeddingCache, KeptEmbeddings
from i2v.weights.loras import LoraFile
from tests.engines.subjects import Rungs, frames_of
from tests.second_device import DEVICE, second_device
from tests.tiny_wan import tiny_expert
from tests.tiny_wan_loras import write_lightx2v

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture(scope="module")
def loaded(a14b_folder: Path) -> WanEngine:
    return WanEngine.load(WAN_I2V_A14B, a14b_folder, PLAN)


@pytest.fixture(scope="module")
def stock(a14b_folder: Path) -> WanImageToVideoPipeline:
    return load_stock(a14b_folder)


def last_latents(engine: WanEngine, clip: Generation, inputs: Inputs) -> torch.Tensor:
    given, _ = condition(engine.components, WAN_I2V_A14B, clip, inputs)
    options = options_of(WAN_I2V_A14B, clip)
    start = initial_state(engine.components, clip, options)
    *_, last = denoise(engine.components, given, start, clip, options, engine.plan)
    return last.state.latents


@pytest.mark.parametrize(
    ("changes", "plan", "has_last"),
    [
        pytest.param({}, {}, False, id="guided"),
        pytest.param({"options": {"guidance_scale_2": 2.0}}, {"cfg_passes": 2, "chunk_tokens": 5}, True,
                     id="each its guidance, an end frame, least memory", marks=pytest.mark.slow),
        pytest.param({"guidance_scale": 1.0, "num_inference_steps": 3}, {}, True, id="without guidance"),
        pytest.param({"options": {"boundary_ratio": 1.0, "flow_shift": 3.0}}, {}, False, id="second alone"),
        pytest.param({"options": {"boundary_ratio": 0.0}}, {}, False, id="the first alone",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_same_weights_seed_and_settings_give_stocks_frames(
    stock: WanImageToVideoPipeline,
    loaded: WanEngine,
    small_clip: Generation,
    small_inputs: Inputs,
    changes: dict[str, object],
    plan: dict[str, int],
    has_last: bool,
) -> None:
    asked = replace(small_clip, **changes)  # type: ignore[arg-type]
    last = small_inputs.image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if has_last else None
    given = replace(small_inputs, last_image=last)
    loaded.adopt(replace(PLAN, **plan))  # type: ignore[arg-type]
    latents, expected = run_stock(stock, WAN_I2V_A14B, asked, given)
    assert (last_latents(loaded, asked, given) - latents).abs().max() <= 1e-4
    frames = frames_of(list(loaded.generate(asked, given)))
    assert frames.std() > 10, "a picture"
    assert np.abs(frames - expected.astype(int)).max() <= 1


@pytest.mark.parametrize(
    "offload", ["model", *(pytest.param(offload, marks=pytest.mark.slow) for offload in ("none", "encoders"))]
)
def test_only_one_expert_is_on_the_device_and_stocks_frames_come_out(
    stock: WanImageToVideoPipeline,
    a14b_folder: Path,
    small_clip: Generation,
    small_inputs: Inputs,
    offload: str,
) -> None:
    _, expected = run_stock(stock, WAN_I2V_A14B, small_clip, small_inputs)
    with second_device():
        plan = MemoryPlan(DEVICE.type, "float32", offload=offload)  # type: ignore[arg-type]
        engine = WanEngine.load(WAN_I2V_A14B, a14b_folder, plan)
        experts, seen = engine.components.transformers, []
        for number, expert in enumerate(experts):
            for block in expert.blocks:
                block.attn1.to_q.register_forward_pre_hook(
                    lambda *_, number=number: seen.append((number, *map(resident, experts)))
                )
        events = list(engine.generate(small_clip, small_inputs))
        assert list(map(resident, experts)) == [0, 0], "back at home"
    there = 1 if offload == "model" else 2  # blocks
    assert set(seen) == {(0, there, 0), (1, 0, there)}
    assert [number for number, *_ in seen] == sorted(number for number, *_ in seen)
    assert np.abs(frames_of(events) - expected.astype(int)).max() <= 1


def resident(expert: torch.nn.Module) -> int:
    """Return how many of the expert's blocks are on the device."""
    blocks = expert.get_submodule("blocks").children()
    return sum(next(block.parameters()).device == DEVICE for block in blocks)


@pytest.mark.parametrize("expert", [0, 1])
def test_a_clip_goes_on_from_the_step_where_memory_ran_out(
    loaded: WanEngine, small_clip: Generation, small_inputs: Inputs, expert: int
) -> None:
    loaded.adopt(PLAN)
    plain, calls = frames_of(list(loaded.generate(small_clip, small_inputs))), 0

    def fail_at_the_second(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.10 GiB.")

    embedding = loaded.components.transformers[expert].patch_embedding
    with embedding.register_forward_pre_hook(fail_at_the_second):
        events = list(loaded.generate(small_clip, small_inputs, Rungs(WAN_I2V_A14B, small_clip)))
    assert [type(event) for event in events].count(SteppedDown) == 1
    assert [event.step for event in events if isinstance(event, Denoised)] == [1, 2, 3, 4]
    assert np.abs(frames_of(events) - plain).max() <= 1
    assert calls == 1 + 1 + 2  # a step of its two, what failed, and that one again in two passes


def test_stopping_leaves_the_expert_at_home(
    a14b_folder: Path, small_clip: Generation, small_inputs: Inputs
) -> None:
    with second_device():
        engine = WanEngine.load(WAN_I2V_A14B, a14b_folder, MemoryPlan(DEVICE.type, "float32"))  # type: ignore[arg-type]
        events = engine.generate(small_clip, small_inputs)
        for event in events:
            if isinstance(event, Denoised) and event.step == 3:
                break
        assert list(map(resident, engine.components.transformers)) == [0, 2]
        events.close()
        assert list(map(resident, engine.components.transformers)) == [0, 0]


@pytest.mark.slow
def test_float8_loras_and_kept_prompts_go_together(
    a14b_folder: Path, small_clip: Generation, small_inputs: Inputs, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    write_lightx2v(tmp_path / "lora.safetensors", tiny_expert())
    kept = KeptEmbeddings(EmbeddingCache(tmp_path / "embeddings", 1), "digest")
    lora = LoraFile(tmp_path / "lora.safetensors", 0.8, strength_2=-0.5)
    given, plan = replace(small_inputs, embeddings=kept), replace(PLAN, storage_dtype="float8_e4m3fn")
    here, again = (WanEngine.load(WAN_I2V_A14B, a14b_folder, plan) for _ in range(2))
    plain = frames_of(list(here.generate(small_clip, given))).astype(int)
    expected = frames_of(list(here.generate(small_clip, replace(given, loras=(lora,))))).astype(int)
    assert np.abs(expected - plain).max() > 5, "they do something"
    assert np.array_equal(frames_of(list(again.generate(small_clip, given))), plain)
    assert again.components.text_encoder.shared.weight.is_meta, "it was not loaded"
    with second_device():
        away = replace(plan, device=DEVICE.type, offload="model")  # type: ignore[arg-type]
        streamed = WanEngine.load(WAN_I2V_A14B, a14b_folder, away)
        frames = frames_of(list(streamed.generate(small_clip, replace(given, loras=(lora,)))))
    assert np.abs(frames - expected).max() <= 1


def test_previews_have_the_clips_latent_frames(
    loaded: WanEngine, small_clip: Generation, small_inputs: Inputs
) -> None:
    loaded.adopt(PLAN)
    previews = [
        event.preview() for event in loaded.generate(small_clip, small_inputs) if isinstance(event, Denoised)
    ]
    assert {preview.shape for preview in previews} == {(2, 6, 8, 3)}


def test_every_option_bears_on_the_clip(
    loaded: WanEngine, small_clip: Generation, small_inputs: Inputs
) -> None:
    loaded.adopt(PLAN)
    plain = last_latents(loaded, small_clip, small_inputs)
    for options in (
        {"flow_shift": 2.0}, {"guidance_scale_2": 2.0}, {"boundary_ratio": 0.5}, {"solver": "euler"},
    ):  # fmt: skip
        other = last_latents(loaded, replace(small_clip, options=options), small_inputs)
        assert (other - plain).abs().max() > 1e-4, options


def test_guidance_of_the_second_expert_alone_guides_that_one(
    loaded: WanEngine, small_clip: Generation, small_inputs: Inputs
) -> None:
    """diffusers takes a `guidance_scale` of 1 for none at all, whatever the second one is."""
    loaded.adopt(PLAN)
    alone = replace(small_clip, guidance_scale=1.0, options={"guidance_scale_2": 4.0})
    rows: list[int] = []
    for expert in loaded.components.transformers:
        expert.blocks[0].register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    last_latents(loaded, alone, small_inputs)
    assert rows == [1, 1, 2, 2]
