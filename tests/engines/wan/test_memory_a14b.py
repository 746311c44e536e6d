"""The figures of I2V-A14B in i2v.engines.wan.memory: two experts, of which one is on the device.

As `test_memory`, the simulations also say when the engine has changed and the table has not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from i2v.core.generation import Generation
from i2v.core.loras import Lora
from i2v.core.memory_plan import DeviceInfo, MemoryPlan, StorageDtype
from i2v.core.settings_sources import load_settings
from i2v.core.stages import Stage
from i2v.engines.wan.decode import TILE
from i2v.engines.wan.figures import read_table
from i2v.engines.wan.memory import MEMORY_A14B
from i2v.engines.wan.specs import WAN_I2V_A14B
from i2v.memory.model import Estimate
from i2v.memory.plan import plan_memory
from i2v.weights.tensors import published_shapes
from scripts.memory_table.wan_model import Model, build

BRAIN = MemoryPlan("cuda", "bfloat16")
FLOAT8: StorageDtype = "float8_e4m3fn"
GIB = 2**30
NEAR = 0.05
TABLE = read_table("memory_a14b.json")
EXPERT = 2 * TABLE["weights"]["transformer"]  # bytes


def clip(
    height: int, width: int, frames: int = 81, guidance_scale: float = 3.5, **more: object
) -> Generation:
    return Generation(
        prompt="a cat", negative_prompt="", width=width, height=height, generated_width=width,
        generated_height=height, fit="keep", num_frames=frames, fps=16, target_fps=16,
        num_inference_steps=40, guidance_scale=guidance_scale, seed=0, engine="wan-i2v-a14b", **more,  # type: ignore[arg-type]
    )  # fmt: skip


LARGE, SMALL = clip(720, 1280), clip(480, 832)


def figures(asked: Generation, **changes: object) -> Estimate:
    found = MEMORY_A14B.estimate(WAN_I2V_A14B, asked, replace(BRAIN, **changes))  # type: ignore[arg-type]
    assert found is not None
    return found


def weights(stage: Stage, **changes: object) -> int:
    found = figures(LARGE, **changes).stage(stage)
    assert found is not None
    return found.weights


def test_experts_in_gguf_take_what_their_files_do_also_one_alone() -> None:
    plain = figures(LARGE, offload="model")
    sizes = {"transformer": 10 * GIB, "transformer_2": 9 * GIB}
    for stored in (sizes, {"transformer_2": 9 * GIB}):
        spec = replace(WAN_I2V_A14B, stored_bytes=stored)
        found = MEMORY_A14B.estimate(spec, LARGE, replace(BRAIN, offload="model"))
        assert found is not None
        saved = sum(EXPERT - size for size in stored.values())
        assert plain.ram_bytes - found.ram_bytes == pytest.approx(saved, rel=0.05)
        step = found.stage(Stage.DENOISE)
        assert step is not None
        assert step.bytes <= 1.1 * plain.stage(Stage.DENOISE).bytes  # type: ignore[union-attr]
    assert found.moved_bytes == pytest.approx(plain.moved_bytes, rel=0.03), "the larger expert counts"


def test_weights_are_those_of_the_published_files() -> None:
    for part, tensors in published_shapes(WAN_I2V_A14B).items():
        assert TABLE["weights"][part] == sum(math.prod(shape) for shape in tensors.values())
    assert (TABLE["scale"], TABLE["tile"], TABLE["blocks"]) == (8, TILE, 40)


def test_one_expert_is_on_the_device_and_both_are_in_ram() -> None:
    for offload in ("none", "encoders", "model"):
        assert figures(LARGE, offload=offload).ram_bytes > 2 * EXPERT
        held = weights(Stage.DENOISE, offload=offload)
        assert held < 0.05 * EXPERT if offload == "model" else EXPERT <= held < 1.5 * EXPERT
        assert weights(Stage.DECODE, offload=offload) < 0.5 * EXPERT
    on_cpu = MEMORY_A14B.estimate(WAN_I2V_A14B, SMALL, MemoryPlan("cpu", "float32"))
    assert on_cpu is not None
    assert on_cpu.device_bytes > 4 * EXPERT, "all of it, in float32"


def test_experts_move_once_a_clip_or_block_by_block_for_every_row_of_a_step() -> None:
    once = figures(LARGE, offload="encoders").moved_bytes
    assert 2 * EXPERT < once < 2.5 * EXPERT
    both, apart = (figures(LARGE, offload="model", cfg_passes=passes).moved_bytes for passes in (1, 2))
    assert both > 40 * EXPERT
    assert apart - both == 40 * EXPERT
    half = replace(LARGE, options={"guidance_scale_2": 1.0})  # of 40 steps, 15 are above the boundary
    assert figures(half, offload="model", cfg_passes=2).moved_bytes - both == 15 * EXPERT


def test_steps_without_guidance_take_half_the_operations() -> None:
    guided, plain = (MEMORY_A14B.step_flops(clip(480, 832, guidance_scale=scale)) for scale in (3.5, 1.0))
    half = MEMORY_A14B.step_flops(replace(SMALL, options={"guidance_scale_2": 1.0}))
    assert guided == 2 * plain
    assert half == pytest.approx(plain * (2 * 15 + 25) / 40)


def test_tiles_take_less_of_encoding_too() -> None:
    whole, tiled = (figures(LARGE, offload="model", vae_tiling=tiling) for tiling in (False, True))
    for name in (Stage.CONDITION, Stage.DECODE):
        before, after = whole.stage(name), tiled.stage(name)
        assert before is not None
        assert after is not None
        assert after.activations < 0.1 * before.activations


def test_loras_are_counted_as_of_rank_64_where_they_are() -> None:
    one = {"transformer": Lora("high", 1.0, 0.0), "transformer_2": Lora("low", 0.0, 1.0)}
    plain, each = (
        figures(LARGE, offload="encoders"),
        figures(replace(LARGE, loras=tuple(one.values())), offload="encoders"),
    )
    assert each.device_bytes - plain.device_bytes == 2 * TABLE["lora"], "one of them at a time"
    both = figures(replace(LARGE, loras=(Lora("a", 1.0, 0.5), Lora("b", 1.0, 0.0))), offload="encoders")
    assert both.device_bytes - plain.device_bytes == 2 * 2 * TABLE["lora"]


def test_in_float8_each_expert_takes_half_of_ram_and_of_what_is_moved() -> None:
    for part in ("transformer", "transformer_2", "text_encoder"):
        kept = [
            shape
            for name, shape in published_shapes(WAN_I2V_A14B)[part].items()
            if name.startswith(("blocks.", "encoder.block.")) and len(shape) == 2
            and "relative_attention_bias" not in name
        ]  # fmt: skip
        packed = TABLE["float8"][part]
        assert packed["numbers"] == sum(math.prod(shape) for shape in kept)
        assert (packed["rows"], packed["layer"]) == (sum(s[0] for s in kept), max(map(math.prod, kept)))
    lora = replace(LARGE, loras=(Lora("a", 1.0),))
    for asked in (LARGE, lora):
        whole, narrow = (figures(asked, offload="model", storage_dtype=dtype) for dtype in ("auto", FLOAT8))
        assert whole.ram_bytes - narrow.ram_bytes == pytest.approx(2 * 14.051e9 + 4.631e9, rel=1e-3)
        assert narrow.moved_bytes < 0.55 * whole.moved_bytes
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", 24 * GIB, 24 * GIB, 40 * GIB)
    planned = plan_memory(WAN_I2V_A14B, LARGE, card, load_settings().engine)
    assert (planned.fits, planned.plan.storage_dtype) == (True, FLOAT8)


# --- against fresh simulations, at sizes that were not fitted


@pytest.fixture(scope="module")
def published() -> Iterator[Model]:
    with build(layers=2, experts=2) as model:
        yield model


@pytest.mark.parametrize(
    "case",
    [
        (256, 448, 21, 3.5, 1),
        pytest.param((480, 832, 81, 3.5, 1), marks=pytest.mark.slow),
        pytest.param((720, 1280, 81, 3.5, 2), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_steps_are_as_simulated(published: Model, case: tuple[int, int, int, float, int]) -> None:
    height, width, frames, scale, passes = case
    cost = published.step(height // 8, width // 8, (frames - 1) // 4 + 1, 2, passes)
    estimate = figures(clip(height, width, frames, scale), cfg_passes=passes).stage(Stage.DENOISE)
    assert estimate is not None
    print(f"{case}: {cost.elements / GIB:.2f} GiB, estimate {estimate.activations / cost.elements - 1:+.1%}")
    assert estimate.activations == pytest.approx(cost.elements, rel=NEAR)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [(256, 256, 5, 1.0), pytest.param((720, 1280, 81, 3.5), marks=pytest.mark.slow)], ids=str
)
def test_in_float8_steps_are_as_simulated(case: tuple[int, int, int, float]) -> None:
    height, width, frames, scale = case
    with build(layers=2, experts=2, in_float8=True) as model:
        cost = model.step(height // 8, width // 8, (frames - 1) // 4 + 1, 2 if scale > 1 else 1)
    estimate = figures(clip(height, width, frames, scale), storage_dtype=FLOAT8).stage(Stage.DENOISE)
    assert estimate is not None
    print(f"{case}: {cost.elements / GIB:.2f} GiB, estimate {estimate.activations / cost.elements - 1:+.1%}")
    assert estimate.activations == pytest.approx(cost.elements, rel=NEAR)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(192, 320), pytest.param(720, 1280, marks=pytest.mark.slow)])
def test_encoding_and_decoding_are_as_simulated(published: Model, height: int, width: int) -> None:
    asked = clip(height, width, 21)
    for name, cost, flops in (
        (Stage.CONDITION, published.encode(height, width, 6), 2 * published.read(1).flops),
        (Stage.DECODE, published.decode(height, width, 6), 0),
    ):
        estimate = figures(asked).stage(name)
        assert estimate is not None
        print(f"{name}: {cost.elements / GIB:.2f} GiB, {estimate.activations / cost.elements - 1:+.1%}")
        assert estimate.activations == pytest.approx(cost.elements, rel=NEAR)
        assert estimate.flops == pytest.approx(cost.flops + flops, rel=NEAR)


@pytest.mark.parametrize(
    ("free", "asked", "fits", "offload", "tiled"),
    [
        (8, SMALL, True, "model", True),
        (12, SMALL, True, "model", False),
        (12, LARGE, True, "model", True),
        (24, LARGE, True, "model", False),
        (40, LARGE, True, "encoders", False),
        (48, LARGE, True, "none", False),
    ],
)
def test_what_a_card_holds(free: int, asked: Generation, fits: bool, offload: str, tiled: bool) -> None:
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", free * GIB, free * GIB, 128 * GIB)
    planned = plan_memory(WAN_I2V_A14B, asked, card, load_settings().engine)
    assert planned.fits is fits
    assert (planned.plan.offload, planned.plan.vae_tiling) == (offload, tiled)
