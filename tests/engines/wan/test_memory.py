"""i2v.engines.wan.memory: the checked-in figures against published shapes and new simulations.

The simulations run the engine on fake tensors, so these also say when the engine has changed and the table
has not: then `python -m scripts.memory_table.make_wan`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan, StorageDtype
from i2v.core.settings_sources import load_settings
from i2v.core.stages import Stage
from i2v.engines.wan.decode import TILE
from i2v.engines.wan.figures import read_table
from i2v.engines.wan.memory import MEMORY
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.engines.wan.transformer import CHUNK_TOKENS
from i2v.memory.model import Estimate, StageEstimate
from i2v.memory.plan import plan_memory
from i2v.weights.tensors import published_shapes
from scripts.memory_table.cards import lines
from scripts.memory_table.wan_model import Model, build

BRAIN = MemoryPlan("cuda", "bfloat16")
SINGLE = MemoryPlan("cpu", "float32")
GIB = 2**30
NEAR = 0.05
FLOAT8: StorageDtype = "float8_e4m3fn"


def clip(height: int, width: int, frames: int, guidance_scale: float = 5.0) -> Generation:
    return Generation(
        prompt="a cat", negative_prompt="", width=width, height=height, generated_width=width,
        generated_height=height, fit="keep", num_frames=frames, fps=24, target_fps=24,
        num_inference_steps=50, guidance_scale=guidance_scale, seed=0, engine="wan-ti2v-5b",
    )  # fmt: skip


PUBLISHED = clip(704, 1280, 121)


def figures(asked: Generation, plan: MemoryPlan = BRAIN) -> Estimate:
    found = MEMORY.estimate(WAN_TI2V_5B, asked, plan)
    assert found is not None
    return found


def stage(name: Stage, asked: Generation, plan: MemoryPlan = BRAIN) -> StageEstimate:
    found = figures(asked, plan).stage(name)
    assert found is not None
    return found


def test_weights_are_those_of_the_published_files() -> None:
    for part, tensors in published_shapes(WAN_TI2V_5B).items():
        assert read_table("memory.json")["weights"][part] == sum(
            math.prod(shape) for shape in tensors.values()
        )
    assert (read_table("memory.json")["chunk_tokens"], read_table("memory.json")["tile"]) == (
        CHUNK_TOKENS,
        TILE,
    )


def test_another_architecture_is_not_estimated() -> None:
    assert MEMORY.estimate(replace(WAN_TI2V_5B, tensor_table=""), PUBLISHED, BRAIN) is None


@pytest.mark.parametrize("plan", [BRAIN, replace(BRAIN, cfg_passes=2, offload="model"), SINGLE], ids=str)
def test_more_frames_and_more_pixels_never_take_less(plan: MemoryPlan) -> None:
    for grown in (
        [clip(512, 512, frames) for frames in range(5, 122, 4)],
        [clip(side, side, 41) for side in range(64, 961, 64)],
    ):
        for before, after in pairwise(grown):
            small, large = figures(before, plan), figures(after, plan)
            assert small.device_bytes <= large.device_bytes
            assert small.flops < large.flops


def test_a_path_takes_a_whole_clip_through_the_vae_and_leaves_out_steps() -> None:
    path = replace(PUBLISHED, strength=0.5)
    encoding, alone = (stage(Stage.CONDITION, asked) for asked in (path, PUBLISHED))
    assert encoding.bytes > alone.bytes + 3 * GIB
    assert stage(Stage.CONDITION, path, replace(BRAIN, vae_tiling=True)).bytes < encoding.bytes - 4 * GIB
    offloaded = replace(BRAIN, offload="model")
    assert figures(path, offloaded).moved_bytes < 0.55 * figures(PUBLISHED, offloaded).moved_bytes
    assert figures(path).flops < figures(PUBLISHED).flops


def test_each_option_takes_less_of_its_stage() -> None:
    plain = figures(PUBLISHED)
    for name, changes in (
        (Stage.DENOISE, {"cfg_passes": 2}),
        (Stage.CONDITION, {"offload": "encoders"}),
        (Stage.DENOISE, {"offload": "encoders"}),
        (Stage.DENOISE, {"offload": "model"}),
        (Stage.DECODE, {"offload": "model"}),
        (Stage.DECODE, {"vae_tiling": True}),
    ):
        less, whole = stage(name, PUBLISHED, replace(BRAIN, **changes)), plain.stage(name)
        assert whole is not None
        assert less.bytes < whole.bytes, changes


def test_in_float8_a_weight_takes_a_byte_and_each_row_a_scale() -> None:
    shapes = published_shapes(WAN_TI2V_5B)
    for part, place in (("transformer", "blocks."), ("text_encoder", "encoder.block.")):
        kept = [
            shape
            for name, shape in shapes[part].items()
            if name.startswith(place) and len(shape) == 2 and "relative_attention_bias" not in name
        ]
        packed = read_table("memory.json")["float8"][part]
        assert packed["numbers"] == sum(math.prod(shape) for shape in kept)
        assert packed["rows"] == sum(shape[0] for shape in kept)
        assert packed["layer"] == max(math.prod(shape) for shape in kept)
    whole, narrow = (figures(PUBLISHED, replace(BRAIN, storage_dtype=dtype)) for dtype in ("auto", FLOAT8))
    assert whole.weights - narrow.weights == pytest.approx(4.907e9 + 4.631e9, rel=1e-3)
    offloaded = replace(BRAIN, offload="model")
    whole, narrow = (
        figures(PUBLISHED, replace(offloaded, storage_dtype=dtype)) for dtype in ("auto", FLOAT8)
    )
    assert whole.ram_bytes - narrow.ram_bytes == pytest.approx(4.907e9 + 4.631e9, rel=1e-3)
    assert narrow.moved_bytes < 0.55 * whole.moved_bytes


def test_offloaded_blocks_are_copied_for_every_step_and_pass() -> None:
    transformer = 2 * read_table("memory.json")["weights"]["transformer"]
    once, twice = (
        figures(PUBLISHED, replace(BRAIN, offload="model", cfg_passes=passes)).moved_bytes
        for passes in (1, 2)
    )
    assert once > 50 * transformer
    assert twice - once == 50 * transformer
    assert figures(PUBLISHED, replace(BRAIN, offload="encoders")).moved_bytes < 1.2e10


def test_a_clip_that_is_decoded_in_tiles_is_held_in_cpu_memory() -> None:
    tiled = figures(PUBLISHED, replace(BRAIN, vae_tiling=True)).ram_bytes
    assert tiled - figures(PUBLISHED).ram_bytes == 121 * 704 * 1280 * 3 * 4
    small = clip(256, 256, 121)
    assert figures(small, replace(BRAIN, vae_tiling=True)) == figures(small), "one tile is no tile"


def test_what_costs_least_changes_first_and_no_way_changes_frames() -> None:
    ways = list(MEMORY.ways_down(replace(BRAIN, decode_chunk=7, chunk_tokens=100), PUBLISHED))
    assert [(way.offload, way.cfg_passes) for way in ways] == [
        ("none", 1), ("none", 2), ("encoders", 1), ("encoders", 2), ("model", 1), ("model", 2),
    ]  # fmt: skip
    assert {(way.decode_chunk, way.chunk_tokens, way.vae_tiling) for way in ways} == {(7, 100, False)}
    assert {way.cfg_passes for way in MEMORY.ways_down(BRAIN, clip(704, 1280, 121, 1.0))} == {1}
    assert len(list(MEMORY.ways_down(BRAIN, PUBLISHED, kept={"cfg_passes"}))) == 3


@pytest.mark.parametrize(
    ("free", "offload", "tiled"),
    [
        (8, "model", True),
        (12, "model", True),
        (16, "model", True),
        (24, "model", False),
        (48, "none", False),
    ],
)
def test_what_a_card_holds(free: int, offload: str, tiled: bool) -> None:
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", free * GIB, free * GIB, 64 * GIB)
    planned = plan_memory(WAN_TI2V_5B, PUBLISHED, card, load_settings().engine)
    assert planned.fits
    assert (planned.plan.offload, planned.plan.vae_tiling) == (offload, tiled)


@pytest.mark.parametrize(
    ("free", "ram", "storage"),
    # offloaded: in 32 GiB of RAM as it is, in 20 in float8; 12 on the card itself need neither
    [(8, 32, "auto"), (8, 20, FLOAT8), (12, 20, FLOAT8), (12, 32, "auto"), (48, 8, "auto")],
)
def test_weights_are_kept_in_fewer_bits_only_where_nothing_else_fits(
    free: int, ram: int, storage: str
) -> None:
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", free * GIB, free * GIB, ram * GIB)
    planned = plan_memory(WAN_TI2V_5B, PUBLISHED, card, load_settings().engine)
    assert planned.fits
    assert planned.plan.storage_dtype == storage
    assert ("plan.float8" in {notice.code for notice in planned.notices}) == (storage == FLOAT8)


# --- against fresh simulations, at sizes that were not fitted


@pytest.fixture(scope="module")
def published() -> Iterator[Model]:
    with build() as model:
        yield model


LARGE = [
    (704, 1280, 121, 5.0, {}),
    (704, 1280, 121, 5.0, {"cfg_passes": 2}),
    (704, 1280, 121, 1.0, {}),
    (480, 832, 81, 5.0, {"chunk_tokens": 2048}),
    (1280, 704, 49, 5.0, {}),
]
SMALL = [(256, 448, 25, 5.0, {})]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*SMALL, *LARGE], ids=str)
def test_steps_are_as_simulated(published: Model, case: tuple[int, int, int, float, dict[str, int]]) -> None:
    height, width, frames, scale, changes = case
    plan, asked = replace(BRAIN, **changes), clip(height, width, frames, scale)  # type: ignore[arg-type]
    rows = 2 if scale > 1 else 1
    shape = (height // 16, width // 16, (frames - 1) // 4 + 1)
    cost = published.step(*shape, rows, min(plan.cfg_passes, rows), plan.chunk_tokens)
    estimate = stage(Stage.DENOISE, asked, plan)
    memory, flops = estimate.activations / cost.elements - 1, estimate.flops / 50 / cost.flops - 1
    print(f"{case}: {cost.elements / GIB:.2f} GiB, estimate {memory:+.1%}, operations {flops:+.1%}")
    assert abs(memory) <= NEAR
    assert abs(flops) <= NEAR


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(192, 320), (704, 1280)])
def test_encoding_and_decoding_are_as_simulated(published: Model, height: int, width: int) -> None:
    asked = clip(height, width, 21, 1.0)
    found, read = stage(Stage.CONDITION, asked), published.read(1)
    encoded, decoded = published.encode(height, width), published.decode(height, width, 6)
    assert found.activations == pytest.approx(max(encoded.elements, read.elements), rel=NEAR)
    assert found.flops == pytest.approx(encoded.flops + read.flops, rel=NEAR)
    for plan, cost in (
        (BRAIN, decoded.elements),
        (replace(BRAIN, vae_tiling=True), published.decode(min(height, TILE), min(width, TILE), 6).elements),
    ):
        estimate = stage(Stage.DECODE, asked, plan)
        print(f"{height} x {width}: {cost / GIB:.2f} GiB, {estimate.activations / cost - 1:+.1%}")
        assert estimate.activations == pytest.approx(cost, rel=NEAR)
        assert estimate.flops == pytest.approx(decoded.flops, rel=NEAR)


@pytest.mark.parametrize(
    "case", [(256, 448, 25, 5.0), pytest.param((704, 1280, 121, 5.0), marks=pytest.mark.slow)], ids=str
)
def test_in_float8_peaks_are_as_simulated(case: tuple[int, int, int, float]) -> None:
    height, width, frames, scale = case
    plan, asked = replace(BRAIN, storage_dtype=FLOAT8), clip(height, width, frames, scale)
    with build(layers=2, in_float8=True) as model:
        cost = model.step(height // 16, width // 16, (frames - 1) // 4 + 1, rows=2)
        read = model.read(1)
    plan = replace(plan, offload="encoders")  # the text encoder is there besides
    small = clip(64, 64, 5)  # whose picture takes less than its prompt
    for name, clip_of, counted in ((Stage.DENOISE, asked, cost), (Stage.CONDITION, small, read)):
        estimate = stage(name, clip_of, plan).activations
        print(f"{name}: {counted.elements / GIB:.2f} GiB, estimate {estimate / counted.elements - 1:+.1%}")
        assert estimate == pytest.approx(counted.elements, rel=NEAR), name


def test_the_table_of_cards_says_what_is_planned() -> None:
    heading, _, *rows = lines(WAN_TI2V_5B.name, 20, "auto")
    assert heading == "| GPU memory | quick | standard | high | extreme |"
    assert rows[0].startswith("| 8 GB | offloaded, in tiles, float8: 5.2 + 17.2 GiB of RAM |")
    assert "does not fit" in [*lines(WAN_TI2V_5B.name, 4, "auto")][2]


@pytest.mark.parametrize(
    ("free", "ram", "offload"), [(8, 20, "model"), (12, 16, "encoders"), (24, 8, "none")]
)
def test_in_gguf_the_transformer_takes_what_its_file_does(free: int, ram: int, offload: str) -> None:
    spec = replace(WAN_TI2V_5B, stored_bytes={"transformer": 3_430_000_000})  # about what Q4_K_M has
    whole, small = (MEMORY.estimate(each, PUBLISHED, BRAIN) for each in (WAN_TI2V_5B, spec))
    assert whole is not None
    assert small is not None
    assert whole.weights - small.weights == pytest.approx(2 * 4.9998e9 - 3.43e9, rel=0.03)
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", free * GIB, free * GIB, ram * GIB)
    planned = plan_memory(spec, PUBLISHED, card, load_settings().engine)
    assert planned.fits
    assert planned.plan.offload == offload
