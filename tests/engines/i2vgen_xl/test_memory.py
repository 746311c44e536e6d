"""i2v.engines.i2vgen_xl.memory: the checked-in figures against published shapes and new simulations.

The simulations run the engine on fake tensors, so these also say when the engine has changed and the table
has not: then `python -m scripts.memory_table.make`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.estimates import CHUNK_PIXELS
from i2v.engines.i2vgen_xl.memory import FEW_TOKENS, MANY_TOKENS, MEMORY, _tables, step_flops
from i2v.engines.i2vgen_xl.sampling import CHUNK_TOKENS
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import engines
from i2v.media.upscale import bytes_of
from i2v.memory.model import Estimate, StageEstimate, guessed_rate
from scripts.full_size.layout import read_table
from scripts.memory_table import simulate
from scripts.memory_table.simulate import Model, build

HALF = MemoryPlan("cuda", "float16")
FRAME_BY_FRAME = replace(HALF, decode_chunk=1)
NEAR = 0.05


def clip(spec: EngineSpec, side: int, frames: int, guidance: float = 9.0, width: int = 0) -> Generation:
    width = width or side
    return Generation(
        prompt="", negative_prompt="", width=width, height=side, generated_width=width, generated_height=side,
        fit="keep", num_frames=frames, fps=8, target_fps=8, num_inference_steps=50, guidance_scale=guidance,
        seed=0, engine=spec.name,
    )  # fmt: skip


def figures(generation: Generation, plan: MemoryPlan = HALF) -> Estimate:
    found = MEMORY.estimate(engines()[generation.engine], generation, plan)
    assert found is not None
    return found


def stage(name: str, generation: Generation, plan: MemoryPlan = HALF) -> StageEstimate:
    return next(each for each in figures(generation, plan).stages if each.name == name)


# --- the table


def test_the_weights_are_those_of_the_published_files() -> None:
    published = {
        part: sum(math.prod(shape) for shape in shapes.values()) for part, shapes in read_table().items()
    }
    table = _tables()["i2vgen-xl"]["weights"]
    assert table.keys() == published.keys()
    for part, count in published.items():  # phase convolutions are somewhat larger than what they replace
        assert count <= table[part] <= 1.06 * count, part


def test_every_engine_is_in_the_table_with_the_constants_that_it_runs_with() -> None:
    assert _tables().keys() == {I2VGEN_XL.name, EMBEDDED.name}
    for table in _tables().values():
        assert (table["chunk_pixels"], table["chunk_tokens"]) == (CHUNK_PIXELS, CHUNK_TOKENS)


# --- the estimate


def test_an_engine_that_is_not_in_the_table_is_not_estimated() -> None:
    unknown = replace(I2VGEN_XL, name="another")
    assert MEMORY.estimate(unknown, clip(unknown, 512, 16), HALF) is None
    assert step_flops(clip(unknown, 512, 16)) == 2 * step_flops(clip(unknown, 512, 16, guidance=1.0))


@pytest.mark.parametrize("spec", [I2VGEN_XL, EMBEDDED], ids=str)
@pytest.mark.parametrize(
    "plan",
    [FRAME_BY_FRAME, replace(FRAME_BY_FRAME, cfg_passes=2), MemoryPlan("cpu", "float32")],
    ids=["cuda", "two passes", "cpu"],
)
def test_more_frames_and_more_pixels_never_take_less(spec: EngineSpec, plan: MemoryPlan) -> None:
    """Decoded one by one: how many frames go together without a word falls in steps as they get larger."""
    for grown in (
        [clip(spec, 512, frames) for frames in range(4, 129, 4)],
        [clip(spec, side, 16) for side in range(64, 2049, 64)],
    ):
        for before, after in pairwise(grown):
            small, large = figures(before, plan), figures(after, plan)
            assert small.device_bytes <= large.device_bytes
            assert small.flops < large.flops


def test_each_option_takes_less_of_the_device() -> None:
    asked = clip(I2VGEN_XL, 512, 16)
    plain = figures(asked, FRAME_BY_FRAME).device_bytes
    assert plain < figures(asked).device_bytes
    for changes in ({"cfg_passes": 2}, {"offload": "encoders"}, {"offload": "model"}):
        assert figures(asked, replace(FRAME_BY_FRAME, **changes)).device_bytes < plain, changes
    tokens = [stage("denoise", asked, replace(HALF, cfg_passes=2, chunk_tokens=count)).activations
              for count in (10**9, 0, CHUNK_TOKENS, 4096)]  # fmt: skip
    assert tokens[0] == tokens[1] > tokens[2] > tokens[3]
    decode = stage("decode", asked, FRAME_BY_FRAME).activations
    assert stage("decode", asked, replace(HALF, decode_chunk=4)).activations == pytest.approx(4 * decode)
    large = clip(I2VGEN_XL, 1024, 16)
    assert (
        stage("decode", large, replace(HALF, vae_tiling=True)).activations
        < stage("decode", large).activations
    )


@pytest.mark.parametrize("plan", [HALF, MemoryPlan("cpu", "float32")], ids=str)
def test_a_network_that_enlarges_takes_the_cpus_memory(plan: MemoryPlan) -> None:
    plainly = clip(I2VGEN_XL, 256, 8)
    enlarged = replace(plainly, upscaler="real-esrgan")
    plain, more = (figures(asked, plan) for asked in (plainly, enlarged))
    assert more.ram_bytes - plain.ram_bytes == bytes_of(enlarged) > 290 * 2**20
    assert (more.device_bytes > plain.device_bytes) is (plan.device == "cpu")


def test_offloaded_parts_are_in_cpu_memory_and_are_moved_twice() -> None:
    asked = clip(I2VGEN_XL, 512, 16)
    none, encoders, model = (
        figures(asked, replace(HALF, offload=offload)) for offload in ("none", "encoders", "model")
    )
    assert none.moved_bytes == 0
    assert none.ram_bytes < encoders.ram_bytes < model.ram_bytes
    assert model.ram_bytes - none.ram_bytes == pytest.approx(4.98e9, rel=0.03)  # the published files


def test_a_clip_takes_the_operations_that_torch_counted() -> None:
    """512 pixels, 16 frames: 41.9 TFLOP a guided step of diffusers', of which ours leaves out about 7 %."""
    assert step_flops(clip(I2VGEN_XL, 512, 16)) == pytest.approx(0.93 * 41.9e12, rel=0.02)


def test_cards_are_told_apart_by_their_names() -> None:
    cards = (
        "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB", "NVIDIA GeForce RTX 4090",
        "NVIDIA GeForce RTX 4060 Ti", "NVIDIA GeForce RTX 4060", "Tesla T4",
    )  # fmt: skip
    rates = [guessed_rate(card) for card in cards]
    assert all(rates)
    assert len(set(rates)) == len(cards)
    assert guessed_rate("GeForce GT 710") is None


def test_the_first_guess_is_near_what_a_card_took() -> None:
    """10.9 s on an H200: 512 x 512, 16 frames, guidance 9, 50 steps."""
    rate = guessed_rate("NVIDIA H200")
    assert rate is not None
    assert figures(clip(I2VGEN_XL, 512, 16)).flops / rate == pytest.approx(10.9, rel=0.05)


# --- on CUDA


def test_without_a_word_nothing_is_taken_in_parts_on_cuda_and_many_frames_are_decoded_together() -> None:
    asked = clip(I2VGEN_XL, 512, 16)
    plain = figures(asked)
    assert plain == figures(asked, replace(HALF, chunk_tokens=10**9, decode_chunk=16))
    large = clip(I2VGEN_XL, 1024, 16)
    assert figures(large) == figures(large, replace(HALF, decode_chunk=4))


@pytest.mark.parametrize(
    ("side", "frames", "chunk", "expected"),
    [(512, 16, 0, [0, 8, 4, 2, 1]), (1024, 32, 0, [0, 2, 1]), (256, 6, 0, [0, 3, 1]), (512, 16, 1, [1])],
)
def test_frames_are_decoded_in_smaller_parts_where_memory_is_short(
    side: int, frames: int, chunk: int, expected: list[int]
) -> None:
    plan = replace(HALF, decode_chunk=chunk)
    ways = list(MEMORY.ways_down(plan, clip(I2VGEN_XL, side, frames)))
    assert list(dict.fromkeys(way.decode_chunk for way in ways)) == expected
    assert list(dict.fromkeys(way.chunk_tokens for way in ways)) == [0, MANY_TOKENS, FEW_TOKENS]


# --- against fresh simulations, at sizes that were not fitted


@pytest.fixture(scope="module")
def published() -> Iterator[Model]:
    with build(simulate.published()) as model:
        yield model


def off(estimated: float, simulated: float) -> float:
    return estimated / simulated - 1


def passes_of(guidance: float, plan: MemoryPlan) -> tuple[int, int]:
    return (1, 1) if guidance <= 1 else (2, plan.cfg_passes)


SMALL_STEPS = [(128, 320, 9, 1.0, {"chunk_tokens": 2048})]
STEPS = [
    (192, 192, 5, 9.0, {}),
    (192, 256, 7, 9.0, {"cfg_passes": 2}),
    (320, 448, 12, 9.0, {}),
    (320, 448, 12, 1.0, {}),
    (320, 448, 12, 9.0, {"cfg_passes": 2}),
    (576, 704, 10, 9.0, {}),
    (448, 640, 5, 9.0, {"cfg_passes": 2}),
    (576, 832, 4, 1.0, {}),
    (832, 576, 4, 9.0, {"cfg_passes": 2}),
    (704, 1280, 16, 9.0, {}),
    (704, 1280, 16, 9.0, {"cfg_passes": 2}),
    (768, 768, 24, 1.0, {}),
    (640, 640, 48, 9.0, {}),
    (384, 384, 20, 9.0, {"chunk_tokens": 10**9}),
    (896, 512, 20, 9.0, {"chunk_tokens": 10**9, "cfg_passes": 2}),
    (320, 448, 12, 9.0, {"chunk_tokens": 4096}),
    (512, 640, 12, 9.0, {"chunk_tokens": 4096, "cfg_passes": 2}),
    (704, 1280, 9, 9.0, {"chunk_tokens": 4096, "cfg_passes": 2}),
    (576, 512, 16, 1.0, {"chunk_tokens": 6000}),
]


def check_step(model: Model, spec: EngineSpec, case: tuple[int, int, int, float, dict[str, int]]) -> None:
    height, width, frames, guidance, changes = case
    plan, scale = replace(HALF, **changes), model.scale
    asked = clip(spec, height, frames, guidance, width)
    rows, passes = passes_of(guidance, plan)
    cost = model.step(height // scale, width // scale, frames, rows, passes, plan.chunk_tokens)
    estimate = stage("denoise", asked, plan)
    memory, flops = off(estimate.activations, 2 * cost.elements), off(estimate.flops / 50, cost.flops)
    print(f"{spec.name} {case}: activations {memory:+.1%}, operations {flops:+.1%}")
    # in small clips, how many frames are a chunk is seen, which the volume does not tell
    volume = height * width * frames // scale**2
    assert abs(memory) <= (NEAR if volume >= 2 * CHUNK_TOKENS else 0.08)
    assert abs(off(estimate.weights + estimate.activations, estimate.weights + 2 * cost.elements)) <= NEAR
    assert abs(flops) <= NEAR


@pytest.mark.slow
@pytest.mark.parametrize("case", SMALL_STEPS, ids=str)
def test_small_steps_are_as_simulated(
    published: Model, case: tuple[int, int, int, float, dict[str, int]]
) -> None:
    check_step(published, I2VGEN_XL, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", STEPS, ids=str)
def test_steps_are_as_simulated(published: Model, case: tuple[int, int, int, float, dict[str, int]]) -> None:
    check_step(published, I2VGEN_XL, case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [(96, 176, 8, 1.0, {}), (160, 96, 8, 9.0, {}), (256, 256, 12, 9.0, {})], ids=str
)
def test_the_embedded_models_steps_are_as_simulated(
    case: tuple[int, int, int, float, dict[str, int]],
) -> None:
    with build(simulate.embedded(), torch.float32) as model:
        check_step(model, EMBEDDED, case)


@pytest.mark.parametrize("size", [(320, 448), pytest.param((704, 1280), marks=pytest.mark.slow)], ids=str)
def test_encoding_and_decoding_are_as_simulated(published: Model, size: tuple[int, int]) -> None:
    height, width = size
    asked = clip(I2VGEN_XL, height, 16, width=width)
    three = replace(HALF, decode_chunk=3)
    tiled = replace(FRAME_BY_FRAME, vae_tiling=True)
    encoded, decoded = published.encode(height, width), published.decode(height, width, 1)
    assert abs(off(stage("condition", asked).activations, 2 * encoded.elements)) <= NEAR
    assert abs(off(stage("decode", asked, FRAME_BY_FRAME).activations, 2 * decoded.elements)) <= NEAR
    assert abs(off(stage("condition", asked).flops, encoded.flops)) <= NEAR
    assert abs(off(stage("decode", asked).flops, 16 * decoded.flops)) <= NEAR
    chunk = published.decode(height, width, 3).elements
    assert abs(off(stage("decode", asked, three).activations, 2 * chunk)) <= NEAR
    in_tiles = published.decode(height, width, 1, tiling=max(size) > 768).elements
    assert abs(off(stage("decode", asked, tiled).activations, 2 * in_tiles)) <= NEAR


# --- the ways to take less

CARD = MemoryPlan("cuda", "float16")
GUIDED, UNGUIDED = clip(I2VGEN_XL, 512, 16), clip(I2VGEN_XL, 512, 16, guidance=1.0)


def test_the_first_way_is_the_plan_itself_and_what_costs_least_changes_first() -> None:
    first, second, third, fourth, *_ = ways = list(MEMORY.ways_down(CARD, GUIDED))
    assert first == CARD
    assert second == replace(CARD, chunk_tokens=MANY_TOKENS)
    assert third == replace(CARD, chunk_tokens=FEW_TOKENS)
    assert fourth == replace(CARD, decode_chunk=8)
    assert ways[-1] == replace(CARD, chunk_tokens=FEW_TOKENS, decode_chunk=1, cfg_passes=2, offload="model")
    assert len(ways) == len(set(ways)) == 3 * 2 * 5 * 3


def test_no_way_changes_frames_or_goes_up_again() -> None:
    ways = list(MEMORY.ways_down(replace(CARD, offload="encoders", chunk_tokens=64, decode_chunk=1), GUIDED))
    assert {way.offload for way in ways} == {"encoders", "model"}
    assert {(way.chunk_tokens, way.decode_chunk, way.dtype) for way in ways} == {(64, 1, "float16")}
    assert not any(way.vae_tiling for way in ways)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_has_nowhere_to_be_offloaded_to_is_not(device: str) -> None:
    ways = MEMORY.ways_down(replace(CARD, device=device), GUIDED)  # type: ignore[arg-type]
    assert {way.offload for way in ways} == {"none"}


def test_a_clip_without_guidance_has_nothing_to_do_in_two_passes() -> None:
    assert {way.cfg_passes for way in MEMORY.ways_down(CARD, UNGUIDED)} == {1}


def test_what_was_set_by_hand_can_be_kept() -> None:
    plan = replace(CARD, cfg_passes=2, chunk_tokens=99_999)
    ways = list(MEMORY.ways_down(plan, GUIDED, kept={"cfg_passes", "chunk_tokens"}))
    assert {(way.cfg_passes, way.chunk_tokens) for way in ways} == {(2, 99_999)}
    assert len(ways) == 3 * 5
