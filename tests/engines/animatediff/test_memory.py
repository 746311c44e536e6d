"""i2v.engines.animatediff.memory: the checked-in figures against published shapes and new simulations.

The simulations run the engine on fake tensors, so these also say when the engine has changed and the table
has not: then `python -m scripts.memory_table.make_animatediff`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from i2v.core.generation import Generation
from i2v.core.inputs import StyleImage
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.animatediff.memory import FEW_TOKENS, MEMORY, _table
from i2v.engines.animatediff.specs import ANIMATEDIFF, IP_ADAPTER
from i2v.engines.diffusion.estimates import frames_decoded_together
from i2v.engines.diffusion.feed_forward import CHUNK_TOKENS
from i2v.memory.model import Estimate, StageEstimate
from i2v.weights.tensors import published_shapes
from scripts.memory_table.animatediff_model import Model, build

HALF = MemoryPlan("cuda", "float16")
GIB = 2**30
NEAR = 0.05


def clip(height: int, width: int, frames: int, guidance_scale: float = 7.5) -> Generation:
    return Generation(
        prompt="", negative_prompt="", width=width, height=height, generated_width=width,
        generated_height=height, fit="keep", num_frames=frames, fps=8, target_fps=8, num_inference_steps=25,
        guidance_scale=guidance_scale, seed=0, engine="animatediff",
    )  # fmt: skip


def figures(asked: Generation, plan: MemoryPlan = HALF) -> Estimate:
    found = MEMORY.estimate(ANIMATEDIFF, asked, plan)
    assert found is not None
    return found


def stage(name: Stage, asked: Generation, plan: MemoryPlan = HALF) -> StageEstimate:
    found = figures(asked, plan).stage(name)
    assert found is not None
    return found


STANDARD = clip(512, 512, 16)


def test_the_table_has_the_published_weights_and_the_engines_constants() -> None:
    shapes = published_shapes(ANIMATEDIFF)
    counts = {part: sum(map(math.prod, tensors.values())) for part, tensors in shapes.items()}
    assert _table()["weights"] == counts
    assert _table()["chunk_tokens"] == CHUNK_TOKENS


def test_a_style_picture_brings_its_weights_and_nearly_nothing_else() -> None:
    encoder, adapter = _table()["style"]["image_encoder"], _table()["style"]["ip_adapter"]
    shapes = published_shapes(IP_ADAPTER)
    assert encoder == sum(map(math.prod, shapes["models/image_encoder"].values()))
    assert adapter == sum(map(math.prod, shapes["models"].values()))
    styled = replace(STANDARD, inputs=(StyleImage("style_image"),))
    for offload, more in (("none", encoder + adapter), ("encoders", adapter), ("model", adapter)):
        plan = replace(HALF, offload=offload)
        before, after = (stage(Stage.DENOISE, asked, plan) for asked in (STANDARD, styled))
        assert after.bytes - before.bytes == 2 * more, offload
        assert after.flops == before.flops


@pytest.mark.slow
def test_a_style_picture_makes_a_step_no_more_than_a_percent_larger(published: Model) -> None:
    plain, styled = (published.step(24, 40, 8, 1, 1, with_style=has) for has in (False, True))
    assert plain.elements <= styled.elements <= 1.01 * plain.elements
    assert plain.flops < styled.flops <= 1.01 * plain.flops
    assert published.style_weights().items() <= _table()["style"].items()


def test_another_architecture_is_not_estimated() -> None:
    assert MEMORY.estimate(replace(ANIMATEDIFF, tensor_table=""), STANDARD, HALF) is None


@pytest.mark.parametrize("plan", [HALF, replace(HALF, cfg_passes=2), MemoryPlan("cpu", "float32")], ids=str)
def test_more_frames_and_more_pixels_never_take_less(plan: MemoryPlan) -> None:
    for grown in (
        [clip(512, 512, frames) for frames in range(4, 33, 2)],
        [clip(side, side, 16) for side in range(64, 769, 64)],
    ):
        for before, after in pairwise(grown):
            small, large = figures(before, plan), figures(after, plan)
            assert small.stage(Stage.DENOISE).bytes <= large.stage(Stage.DENOISE).bytes
            assert small.flops < large.flops


def test_each_option_takes_less_of_its_stage() -> None:
    plain = figures(STANDARD)
    for name, changes in (
        (Stage.DENOISE, {"cfg_passes": 2}),
        (Stage.DENOISE, {"offload": "encoders"}),
        (Stage.DECODE, {"offload": "model"}),
        (Stage.DECODE, {"decode_chunk": 4}),
    ):
        less, whole = stage(name, STANDARD, replace(HALF, **changes)), plain.stage(name)
        assert whole is not None
        assert less.bytes < whole.bytes, changes
    large = clip(768, 768, 16)
    tiled = stage(Stage.DECODE, large, replace(HALF, vae_tiling=True))
    assert tiled.bytes < stage(Stage.DECODE, large).bytes
    assert stage(Stage.DENOISE, clip(512, 512, 16, 1.0)).bytes < stage(Stage.DENOISE, STANDARD).bytes
    assert figures(STANDARD, replace(HALF, offload="model")).moved_bytes > 3.9e9


def test_what_costs_least_changes_first_and_no_way_changes_frames() -> None:
    first, second, third, *_ = ways = list(MEMORY.ways_down(HALF, STANDARD))
    assert first == HALF
    assert second == replace(first, chunk_tokens=FEW_TOKENS)
    assert third == replace(first, decode_chunk=8)
    assert {way.vae_tiling for way in ways} == {False}
    assert len(ways) == len(set(ways))
    assert {way.cfg_passes for way in MEMORY.ways_down(HALF, clip(512, 512, 16, 1.0))} == {1}
    kept = {"cfg_passes", "chunk_tokens", "decode_chunk"}
    assert len(list(MEMORY.ways_down(HALF, STANDARD, kept))) == 3


# --- against fresh simulations, at sizes that were not fitted


@pytest.fixture(scope="module")
def published() -> Iterator[Model]:
    with build() as model:
        yield model


STEPS = [
    (512, 512, 16, 7.5, {}),
    (512, 512, 16, 7.5, {"cfg_passes": 2}),
    (512, 512, 16, 1.0, {}),
    (384, 640, 16, 7.5, {}),
    (512, 512, 32, 7.5, {}),
    (768, 768, 16, 7.5, {}),
    (512, 512, 16, 7.5, {"chunk_tokens": FEW_TOKENS}),
]
SMALL = [(192, 320, 8, 1.0, {"chunk_tokens": 1024})]
Case = tuple[int, int, int, float, dict[str, int]]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*SMALL, *STEPS], ids=str)
def test_steps_are_as_simulated(published: Model, case: Case) -> None:
    height, width, frames, guidance_scale, changes = case
    plan, asked = replace(HALF, **changes), clip(height, width, frames, guidance_scale)
    rows = 1 if guidance_scale == 1 else 2
    passes = min(plan.cfg_passes, rows)
    cost = published.step(height // 8, width // 8, frames, rows, passes, plan.chunk_tokens)
    estimate = stage(Stage.DENOISE, asked, plan)
    memory, flops = estimate.activations / (2 * cost.elements) - 1, estimate.flops / 25 / cost.flops - 1
    print(f"{case}: {2 * cost.elements / GIB:.2f} GiB, estimate {memory:+.1%}, operations {flops:+.1%}")
    assert abs(memory) <= NEAR
    assert abs(flops) <= NEAR


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "frames"), [(192, 320, 5), pytest.param(512, 512, 16, marks=pytest.mark.slow)]
)
def test_encoding_and_decoding_are_as_simulated(
    published: Model, height: int, width: int, frames: int
) -> None:
    asked = clip(height, width, frames)
    encoded = published.encode(height, width)
    assert stage(Stage.CONDITION, asked).activations == pytest.approx(2 * encoded.elements, rel=NEAR)
    assert stage(Stage.CONDITION, asked).flops == pytest.approx(encoded.flops, rel=NEAR)
    for plan in (HALF, replace(HALF, decode_chunk=2)):
        count = frames_decoded_together(plan, asked)
        cost = published.decode(height, width, count)
        estimate = stage(Stage.DECODE, asked, plan)
        assert estimate.activations == pytest.approx(2 * cost.elements, rel=NEAR)
        assert estimate.flops / frames == pytest.approx(cost.flops / count, rel=NEAR)
