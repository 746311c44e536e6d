"""i2v.engines.svd.memory: the checked-in figures against published shapes and new simulations.

The simulations run the engine on fake tensors, so these also say when the engine has changed and the table
has not: then `python -m scripts.memory_table.make_svd`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.settings_sources import load_settings
from i2v.core.stages import Stage
from i2v.engines.diffusion.feed_forward import CHUNK_TOKENS
from i2v.engines.svd.memory import FEW_FRAMES, FEW_TOKENS, MEMORY, _table
from i2v.engines.svd.specs import SVD, SVD_XT
from i2v.memory.model import Estimate, StageEstimate
from i2v.memory.plan import plan_memory, step_down
from i2v.weights.tensors import published_shapes
from scripts.memory_table.svd_model import Model, build

HALF = MemoryPlan("cuda", "float16")
GIB = 2**30
NEAR = 0.05
UNGUIDED = {"max_guidance_scale": 1.0}


def clip(height: int, width: int, frames: int, options: dict[str, object] | None = None) -> Generation:
    return Generation(
        prompt="", negative_prompt="", width=width, height=height, generated_width=width,
        generated_height=height, fit="keep", num_frames=frames, fps=7, target_fps=7, num_inference_steps=25,
        guidance_scale=1.0, seed=0, engine="svd", options=options or {},
    )  # fmt: skip


def figures(asked: Generation, plan: MemoryPlan = HALF) -> Estimate:
    found = MEMORY.estimate(SVD, asked, plan)
    assert found is not None
    return found


def stage(name: Stage, asked: Generation, plan: MemoryPlan = HALF) -> StageEstimate:
    found = figures(asked, plan).stage(name)
    assert found is not None
    return found


STANDARD = clip(576, 1024, 14)


def test_the_table_has_the_published_weights_and_the_engines_constants() -> None:
    shapes = published_shapes(SVD)
    assert published_shapes(SVD_XT) == shapes
    counts = {part: sum(map(math.prod, tensors.values())) for part, tensors in shapes.items()}
    assert _table()["weights"] == counts
    assert _table()["chunk_tokens"] == CHUNK_TOKENS


def test_another_architecture_is_not_estimated() -> None:
    assert MEMORY.estimate(replace(SVD, tensor_table=""), STANDARD, HALF) is None


@pytest.mark.parametrize("plan", [HALF, replace(HALF, cfg_passes=2), MemoryPlan("cpu", "float32")], ids=str)
def test_more_frames_and_more_pixels_never_take_less(plan: MemoryPlan) -> None:
    for grown in (
        [clip(512, 512, frames) for frames in range(4, 51, 2)],
        [clip(side, side, 14) for side in range(64, 1025, 64)],
    ):
        for before, after in pairwise(grown):
            small, large = figures(before, plan), figures(after, plan)
            assert small.device_bytes <= large.device_bytes
            assert small.flops < large.flops


def test_each_option_takes_less_of_its_stage() -> None:
    plain = figures(STANDARD)
    for name, changes in (
        (Stage.DENOISE, {"cfg_passes": 2}),
        (Stage.DENOISE, {"offload": "encoders"}),
        (Stage.DECODE, {"offload": "model"}),
        (Stage.DECODE, {"decode_chunk": 8}),
        (Stage.DECODE, {"vae_tiling": True}),
    ):
        less, whole = stage(name, STANDARD, replace(HALF, **changes)), plain.stage(name)
        assert whole is not None
        assert less.bytes < whole.bytes, changes
    small = clip(192, 320, 8)  # in large clips, convolutions take more than feed-forward layers
    tokens = [stage(Stage.DENOISE, small, replace(HALF, chunk_tokens=count)).activations
              for count in (10**9, 0, FEW_TOKENS)]  # fmt: skip
    assert tokens[0] >= tokens[1] > tokens[2]
    assert stage(Stage.DENOISE, clip(576, 1024, 14, UNGUIDED)).bytes < stage(Stage.DENOISE, STANDARD).bytes
    assert figures(STANDARD, replace(HALF, offload="model")).moved_bytes > 4.5e9


def test_the_encoder_runs_in_float32_where_half_precision_is_too_narrow() -> None:
    single, half, brain = (
        stage(Stage.CONDITION, STANDARD, replace(HALF, dtype=dtype)).activations  # type: ignore[arg-type]
        for dtype in ("float32", "float16", "bfloat16")
    )
    assert single == half == 2 * brain


# --- the ways to take less


def test_what_costs_least_changes_first_and_no_way_changes_frames() -> None:
    first, second, third, *_ = ways = list(MEMORY.ways_down(replace(HALF, decode_chunk=7), STANDARD))
    assert first == replace(HALF, decode_chunk=7)
    assert second == replace(first, chunk_tokens=FEW_TOKENS)
    assert third == replace(first, cfg_passes=2)
    assert {(way.decode_chunk, way.vae_tiling) for way in ways} == {(7, False)}
    assert len(ways) == len(set(ways)) == 12
    assert {way.cfg_passes for way in MEMORY.ways_down(HALF, clip(576, 1024, 14, UNGUIDED))} == {1}
    assert len(list(MEMORY.ways_down(HALF, STANDARD, kept={"cfg_passes", "chunk_tokens"}))) == 3


def test_few_frames_are_decoded_together_only_where_nothing_else_is_left() -> None:
    def planned(free: int, frames: int = 25) -> MemoryPlan:
        card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", free, free, 64 * GIB)
        return plan_memory(SVD_XT, clip(576, 1024, frames), card, load_settings().engine).plan

    assert planned(24 * GIB) == HALF
    assert not planned(12 * GIB).vae_tiling
    assert planned(8 * GIB).vae_tiling
    assert planned(8 * GIB).offload != "none"
    whole = replace(HALF, offload="model", cfg_passes=2, chunk_tokens=FEW_TOKENS)
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", 8 * GIB, 8 * GIB, 64 * GIB)
    assert step_down(SVD, STANDARD, card, whole, Stage.DECODE) == replace(whole, vae_tiling=True)
    assert step_down(SVD, STANDARD, card, replace(whole, vae_tiling=True), Stage.DECODE) is None


# --- against fresh simulations, at sizes that were not fitted


@pytest.fixture(scope="module")
def published() -> Iterator[Model]:
    with build() as model:
        yield model


STEPS = [
    (576, 1024, 14, {}, {}),
    (576, 1024, 25, {}, {}),
    (576, 1024, 25, {}, {"cfg_passes": 2}),
    (512, 512, 14, {}, {}),
    (512, 512, 14, UNGUIDED, {}),
    (448, 640, 50, {}, {}),
    (768, 768, 4, {}, {}),
    (1024, 576, 14, {}, {"chunk_tokens": FEW_TOKENS}),
    (576, 1024, 14, {}, {"chunk_tokens": FEW_TOKENS, "cfg_passes": 2}),
]
SMALL = [(192, 320, 8, UNGUIDED, {"chunk_tokens": 1024})]
Case = tuple[int, int, int, dict[str, object], dict[str, int]]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*SMALL, *STEPS], ids=str)
def test_steps_are_as_simulated(published: Model, case: Case) -> None:
    height, width, frames, options, changes = case
    plan, asked = replace(HALF, **changes), clip(height, width, frames, options)
    rows = 1 if options == UNGUIDED else 2
    passes = min(plan.cfg_passes, rows)
    cost = published.step(height // 8, width // 8, frames, rows, passes, plan.chunk_tokens)
    estimate = stage(Stage.DENOISE, asked, plan)
    memory, flops = estimate.activations / (2 * cost.elements) - 1, estimate.flops / 25 / cost.flops - 1
    print(f"{case}: {2 * cost.elements / GIB:.2f} GiB, estimate {memory:+.1%}, operations {flops:+.1%}")
    assert abs(memory) <= NEAR
    assert abs(flops) <= NEAR


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "frames"),
    [(192, 320, 5), pytest.param(576, 1024, 14, marks=pytest.mark.slow),
     pytest.param(576, 1024, 25, marks=pytest.mark.slow)],
)  # fmt: skip
def test_encoding_and_decoding_are_as_simulated(
    published: Model, height: int, width: int, frames: int
) -> None:
    asked = clip(height, width, frames)
    encoded = published.encode(height, width)
    assert stage(Stage.CONDITION, asked).activations == pytest.approx(4 * encoded.elements, rel=NEAR)
    assert stage(Stage.CONDITION, asked).flops == pytest.approx(encoded.flops, rel=NEAR)
    for plan, count in ((HALF, frames), (replace(HALF, vae_tiling=True), FEW_FRAMES)):
        cost = published.decode(height, width, count)
        estimate = stage(Stage.DECODE, asked, plan)
        counted = f"{2 * cost.elements / GIB:.2f}, {estimate.activations / GIB:.2f} GiB"
        print(f"{height} x {width} x {count}: {counted}")
        assert estimate.activations == pytest.approx(2 * cost.elements, rel=NEAR)
        assert estimate.flops / frames == pytest.approx(cost.flops / count, rel=NEAR)
