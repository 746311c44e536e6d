"""Which device is found, and how a job uses it. CUDA is stood in for: what is shown here is the choice."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import psutil
import pytest
import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings import EngineSettings
from i2v.core.settings_sources import load_presets, load_settings
from i2v.core.stages import Stage
from i2v.engines.i2vgen_xl.memory import FEW_TOKENS, MANY_TOKENS, MEMORY, _tables
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.memory.model import GIB, Estimate
from i2v.memory.plan import (
    _left_by_cgroup,
    measure_free,
    plan_by_settings,
    plan_memory,
    probe_device,
    step_down,
)
from i2v.pipeline.resolve import resolve

HALF = MemoryPlan("cuda", "float16", offload="model", cfg_passes=2)
CPU = DeviceInfo("cpu", "CPU", 16 * GIB)
CUDA = DeviceInfo("cuda", "NVIDIA RTX 4090", 24 * GIB)


def options(**changes: object) -> EngineSettings:
    """Return the settings of configs/default.yaml with `changes`."""
    return load_settings(flags={f"engine.{name}": value for name, value in changes.items()}).engine


def card(gib: float, ram: float | None = None) -> DeviceInfo:
    return DeviceInfo("cuda", "a card", round(gib * GIB), free_ram=None if ram is None else round(ram * GIB))


def leaving(count: int) -> DeviceInfo:
    """Return a card on which a job may take just so many bytes."""
    return DeviceInfo("cuda", "a card", 80 * GIB, free_memory=count + GIB // 2)


def taken(asked: Generation, plan: MemoryPlan) -> Estimate:
    figures = MEMORY.estimate(I2VGEN_XL, asked, plan)
    assert figures is not None
    return figures


def clip(preset: str = "extreme", spec: EngineSpec = I2VGEN_XL, **fields: object) -> Generation:
    request = GenerationRequest.parse({"prompt": "x", "preset": preset, **fields})
    return resolve(request, spec, load_presets(), (512, 512))[0]


# --- the device


@pytest.fixture
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with or without a CUDA device, whatever this one has."""
    there: bool = request.param
    properties = SimpleNamespace(name=CUDA.name, total_memory=CUDA.total_memory)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: [properties][index])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (20 * GIB, CUDA.total_memory))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 2 * GIB)


@pytest.mark.parametrize(
    ("cuda", "wanted", "found"),
    [
        (True, "auto", "cuda"),
        (True, "cuda", "cuda"),
        (True, "cpu", "cpu"),
        (False, "auto", "cpu"),
        (False, "cpu", "cpu"),
    ],
    indirect=["cuda"],
)
@pytest.mark.usefixtures("cuda")
def test_cuda_is_used_where_it_is_there_unless_the_cpu_is_asked_for(
    wanted: Literal["auto", "cpu", "cuda"], found: str
) -> None:
    device = probe_device(wanted)
    assert device.type == found
    if found == "cuda":
        assert replace(device, free_memory=None, free_ram=None) == CUDA


@pytest.mark.parametrize("cuda", [False], indirect=True)
@pytest.mark.usefixtures("cuda")
def test_cuda_that_is_asked_for_and_not_there_is_an_error_with_the_way_out() -> None:
    with pytest.raises(InsufficientMemory, match="Set device to auto or cpu") as caught:
        probe_device("cuda")
    assert caught.value.code == "device.no_cuda"


def test_the_cpus_memory_is_the_machines_in_bytes() -> None:
    assert probe_device("cpu").total_memory == pytest.approx(psutil.virtual_memory().total, rel=0.01)


@pytest.mark.parametrize("cuda", [True], indirect=True)
@pytest.mark.usefixtures("cuda")
def test_what_our_own_process_holds_counts_as_free() -> None:
    free = measure_free(CUDA)
    assert free.free_memory == 22 * GIB
    assert free.free_ram is not None
    assert psutil.Process().memory_info().rss < free.free_ram < psutil.virtual_memory().total + GIB


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert _left_by_cgroup(tmp_path) > 2**60
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 400\nfile 600\nactive_file 100\ninactive_file 200\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert _left_by_cgroup(tmp_path) > 2**60
    (tmp_path / "memory.max").write_text("5000\n")
    assert _left_by_cgroup(tmp_path) == 4300


# --- the plan


@pytest.mark.parametrize(
    ("device", "dtype", "planned"),
    [
        (CUDA, "auto", "float16"),
        (CPU, "auto", "float32"),
        (CUDA, "float32", "float32"),
        (CUDA, "bfloat16", "bfloat16"),
        (CPU, "float16", "float16"),
        (CPU, "bfloat16", "bfloat16"),
    ],
)
def test_the_plan_has_half_precision_on_cuda_unless_the_settings_say_otherwise(
    device: DeviceInfo,
    dtype: Literal["auto", "float32", "float16", "bfloat16"],
    planned: Literal["float32", "float16", "bfloat16"],
) -> None:
    assert plan_by_settings(I2VGEN_XL, device, options(dtype=dtype)).dtype == planned
    assert plan_memory(EMBEDDED, clip("quick", EMBEDDED), device, options(dtype=dtype)).plan.dtype == planned


def test_an_engine_says_what_it_computes_in_on_a_card() -> None:
    spec = replace(I2VGEN_XL, cuda_dtype="bfloat16")
    dtypes = [plan_by_settings(spec, device, options(dtype="auto")).dtype for device in (CUDA, CPU)]
    assert dtypes == ["bfloat16", "float32"]


def test_options_that_are_set_are_kept_though_others_would_be_faster() -> None:
    asked = {
        "threads": 2,
        "decode_chunk": 7,
        "cfg_passes": 2,
        "offload": "model",
        "chunk_tokens": 99,
        "vae_tiling": True,
        "kernels": "off",
        "cuda_graph": "off",
    }
    expected = MemoryPlan(device="cuda", dtype="float16", **asked)
    assert plan_by_settings(I2VGEN_XL, CUDA, options(**asked)) == expected
    assert plan_memory(I2VGEN_XL, clip("quick"), card(80), options(**asked)).plan == expected


@pytest.mark.parametrize(
    ("gib", "preset", "offload", "passes"),
    [
        (24, "extreme", "none", 1),
        (16, "extreme", "none", 1),
        (12, "extreme", "encoders", 1),
        (10, "extreme", "encoders", 2),
        (8, "standard", "encoders", 1),
        (8, "high", "model", 1),
        (7, "high", "model", 2),
        (6, "quick", "model", 1),
    ],
)
def test_the_fastest_plan_that_fits_is_taken(gib: float, preset: str, offload: str, passes: int) -> None:
    planned = plan_memory(I2VGEN_XL, clip(preset), card(gib), options())
    assert planned.fits
    assert planned.estimate is not None
    assert planned.estimate.device_bytes <= (gib - 1) * GIB  # something is left to others
    assert (planned.plan.offload, planned.plan.cfg_passes) == (offload, passes)
    notices = {notice.code for notice in planned.notices} - {"plan.fits", "plan.small_chunks"}
    assert notices == {code for code in (f"plan.offload_{offload}",) if offload != "none"} | {
        code for code in ("plan.two_passes",) if passes == 2
    }


@pytest.mark.parametrize("free", [None, 7.2])
def test_a_card_with_8_gb_is_promised_no_32_frames_of_1024_pixels(free: float | None) -> None:
    """Whether all of it seems free, or what a display leaves of it: it might just do, and it might not."""
    device = replace(card(8, 64), free_memory=None if free is None else round(free * GIB))
    assert plan_memory(I2VGEN_XL, clip("extreme"), device, options()).fits is False
    assert plan_memory(I2VGEN_XL, clip("high"), device, options()).fits is True


def test_smaller_chunks_are_planned_where_they_are_enough() -> None:
    """They cost nothing: before guidance in two passes, which the small clip would fit by as well."""
    asked = replace(clip("quick"), generated_width=256, generated_height=256)
    whole, few = (taken(asked, replace(HALF, chunk_tokens=tokens)) for tokens in (0, FEW_TOKENS))
    assert few.device_bytes < whole.device_bytes
    between = (few.device_bytes + whole.device_bytes) // 2
    planned = plan_memory(I2VGEN_XL, asked, leaving(between), options(offload="model", cfg_passes=2))
    assert planned.fits
    assert planned.plan.chunk_tokens == FEW_TOKENS
    assert "plan.small_chunks" in {notice.code for notice in planned.notices}


def test_frames_are_decoded_in_tiles_only_where_nothing_else_fits_and_never_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A CPU, which holds all parts of the model: decoding takes most there, if encoding takes less."""
    monkeypatch.setitem(_tables()[I2VGEN_XL.name], "encode", 100.0)
    asked = clip("extreme", num_frames=4)
    least = MemoryPlan("cpu", "float32", cfg_passes=2, chunk_tokens=FEW_TOKENS, decode_chunk=1)
    whole, tiled = taken(asked, least), taken(asked, replace(least, vae_tiling=True))
    assert tiled.device_bytes < whole.device_bytes
    for needed, tiles in ((whole.device_bytes, False), (tiled.device_bytes, True)):
        device = DeviceInfo("cpu", "CPU", 64 * GIB, needed + GIB, needed + GIB)
        planned = plan_memory(I2VGEN_XL, asked, device, options())
        assert planned.fits
        assert planned.plan.vae_tiling is tiles
        assert ("plan.tiled" in {notice.code for notice in planned.notices}) is tiles


def test_a_card_with_room_is_used_as_if_there_were_no_plan() -> None:
    for preset in ("quick", "standard", "high", "extreme"):
        planned = plan_memory(I2VGEN_XL, clip(preset), card(80), options())
        assert planned.plan == plan_by_settings(I2VGEN_XL, CUDA, options())
        assert [notice.code for notice in planned.notices] == ["plan.fits"]


def test_offloading_needs_cpu_memory_and_is_not_planned_where_that_is_short() -> None:
    short, enough = (plan_memory(I2VGEN_XL, clip("high"), card(8, ram), options()) for ram in (4.5, 32))
    assert (enough.fits, enough.plan.offload) == (True, "model")
    assert short.plan.offload == "none"


def test_what_does_not_fit_says_what_would_and_that_fits_indeed() -> None:
    device, asked = card(7), clip("extreme")
    planned = plan_memory(I2VGEN_XL, asked, device, options())
    assert planned.fits is False
    notices = {notice.code: notice.params for notice in planned.notices}
    assert notices.keys() == {"plan.too_large", "plan.fewer_frames", "plan.smaller"}
    frames, resolution = notices["plan.fewer_frames"]["num_frames"], notices["plan.smaller"]["resolution"]
    assert isinstance(frames, int)

    def fits(**fields: object) -> bool | None:
        return plan_memory(I2VGEN_XL, clip("extreme", **fields), device, options()).fits

    assert fits(num_frames=frames)
    assert not fits(num_frames=frames + 1)
    assert fits(resolution=resolution)
    assert planned.plan.cfg_passes == 2


def test_the_cpus_memory_is_not_planned_to_the_last_byte() -> None:
    asked = clip("standard", EMBEDDED)
    figures = MEMORY.estimate(EMBEDDED, asked, MemoryPlan("cpu", "float32"))
    assert figures is not None
    for extra, fits in ((2 * GIB, True), (GIB // 2, False)):
        free = figures.device_bytes + extra
        device = replace(CPU, free_memory=free, free_ram=free)
        assert plan_memory(EMBEDDED, asked, device, options()).fits is fits


def test_an_engine_that_was_not_measured_is_planned_by_the_settings() -> None:
    unknown = replace(I2VGEN_XL, name="another")
    planned = plan_memory(unknown, replace(clip(), engine="another"), card(8), options(cfg_passes=2))
    assert (planned.fits, planned.estimate, planned.notices) == (None, None, ())
    assert planned.plan == plan_by_settings(I2VGEN_XL, CUDA, options(cfg_passes=2))


def test_a_first_guess_of_time_is_near_what_was_published() -> None:
    """97 s on an A100: 1280 x 704, 16 frames, 50 steps (I2VGen-XL's model card)."""
    device = DeviceInfo("cuda", "NVIDIA A100-SXM4-80GB", 80 * GIB)
    asked = replace(clip("standard"), generated_width=1280, generated_height=704)
    seconds = plan_memory(I2VGEN_XL, asked, device, options()).guessed_seconds(device)
    assert seconds == pytest.approx(97, rel=0.25)
    phases = plan_memory(I2VGEN_XL, asked, device, options()).guessed_phases(device)
    assert phases is not None
    assert sum(phases.values()) == seconds
    assert phases["denoise"] == max(phases.values())
    assert plan_memory(I2VGEN_XL, asked, CPU, options()).guessed_seconds(CPU) is None


# --- the ladder


def ladder(
    asked: Generation,
    device: DeviceInfo,
    plan: MemoryPlan,
    stage: Literal["load"] | Stage | None = None,
    spec: EngineSpec = I2VGEN_XL,
) -> list[MemoryPlan]:
    """Return all plans from `plan` to the bottom."""
    plans = [plan]
    while (lower := step_down(spec, asked, device, plans[-1], stage)) is not None:
        plans.append(lower)
        assert len(plans) < 20
    return plans


@pytest.mark.parametrize("preset", ["quick", "standard", "high", "extreme"])
@pytest.mark.parametrize("device", [card(24, 64), CPU], ids=["card", "cpu"])
@pytest.mark.parametrize("stage", [None, "load", "condition", "denoise", "decode"])
def test_every_step_down_takes_less_of_the_stage_and_nowhere_more(
    preset: str, device: DeviceInfo, stage: Literal["load"] | Stage | None
) -> None:
    asked = clip(preset)
    plans = ladder(asked, device, plan_by_settings(I2VGEN_XL, device, options()), stage)
    assert len({plan.dtype for plan in plans}) == 1
    names = ("condition", "denoise", "decode") if stage in (None, "load") else (stage,)
    for before, after in pairwise([taken(asked, plan) for plan in plans]):
        for old, new in zip(before.stages, after.stages, strict=True):
            assert new.bytes <= old.bytes
        assert sum(after.stage(name).bytes for name in names) < sum(
            before.stage(name).bytes for name in names
        )


def test_a_decode_that_ran_out_leaves_the_denoising_as_it_is() -> None:
    plans = ladder(clip("extreme"), card(24, 64), plan_by_settings(I2VGEN_XL, CUDA, options()), "decode")
    assert [plan.decode_chunk for plan in plans] == [0, 2, 1, 1, 1, 1]
    assert [plan.offload for plan in plans] == ["none", "none", "none", "encoders", "model", "model"]
    assert [plan.vae_tiling for plan in plans] == [*[False] * 5, True]
    assert {(plan.cfg_passes, plan.chunk_tokens) for plan in plans} == {(1, 0)}


def test_nothing_is_offloaded_into_cpu_memory_that_is_not_there() -> None:
    plans = ladder(clip("extreme"), card(24, 4.2), plan_by_settings(I2VGEN_XL, CUDA, options()))
    assert {plan.offload for plan in plans} == {"none"}
    assert max(plan.cfg_passes for plan in plans) == 2


def test_where_memory_ran_out_the_settings_give_way() -> None:
    asked = plan_by_settings(I2VGEN_XL, CUDA, options(cfg_passes=2, chunk_tokens=65_536, decode_chunk=8))
    bottom = ladder(clip("high"), card(24, 64), asked)[-1]
    assert (bottom.chunk_tokens, bottom.decode_chunk, bottom.offload) == (FEW_TOKENS, 1, "model")


def test_an_engine_that_was_not_measured_steps_down_option_by_option() -> None:
    unknown = replace(I2VGEN_XL, name="another")
    start = MemoryPlan("cuda", "float16")
    chunks = [replace(start, chunk_tokens=tokens) for tokens in (MANY_TOKENS, FEW_TOKENS)]
    frames = [replace(chunks[-1], decode_chunk=count) for count in (2, 1)]
    passes = replace(frames[-1], cfg_passes=2)
    encoders, model = (replace(passes, offload=offload) for offload in ("encoders", "model"))
    tiles = replace(model, vae_tiling=True)
    asked = replace(clip(), engine="another")
    plans = [start, *chunks, *frames, passes, encoders, model, tiles]
    assert ladder(asked, card(8), start, spec=unknown) == plans
    unguided = replace(asked, guidance_scale=1.0)
    on_a_cpu = ladder(unguided, CPU, replace(start, device="cpu"), spec=unknown)
    assert [plan.device for plan in on_a_cpu] == ["cpu"] * 4
    assert (on_a_cpu[-1].cfg_passes, on_a_cpu[-1].offload) == (1, "none")


# --- how long it takes to plan


@pytest.mark.parametrize("gib", [5, 24])
def test_a_plan_is_made_in_some_milliseconds(gib: float) -> None:
    """The page asks for one at every change. It takes 5 ms of CPU; the bound is for slow machines."""
    asked, settings = clip("extreme", num_frames=128), options()
    spent = []
    for _ in range(20):
        start = time.thread_time()
        plan_memory(I2VGEN_XL, asked, card(gib), settings)
        spent.append(time.thread_time() - start)
    assert min(spent) < 0.05
