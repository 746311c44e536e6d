"""What the contract promises of every engine before it is loaded: facts, requests, and memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from itertools import pairwise
from typing import get_args

import pytest

from i2v.core.engine_spec import EngineSpec, Options
from i2v.core.errors import InvalidRequest
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import MAX_SEED, GenerationRequest, PresetName
from i2v.core.settings_sources import ROOT, load_settings
from i2v.core.stages import Stage
from i2v.engines.base import engine_class
from i2v.memory.model import memory_model
from i2v.memory.plan import plan_by_settings, plan_memory, step_down
from i2v.pipeline.checks import check_request
from i2v.weights.folders import INDEX
from tests.engines.subjects import ENTRIES, MAKERS, OTHERS, SPECS, asked, package_of, request_fields

HEAVY = ("torch", "diffusers", "transformers", "accelerate", "safetensors")
CPU = DeviceInfo("cpu", "CPU", 2**36, 2**36, 2**36)
CARD = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", 24 * 2**30, 24 * 2**30, 2**36)
PLANS = [MemoryPlan("cpu", "float32"), MemoryPlan("cuda", "bfloat16"), MemoryPlan("cuda", "float16", 3)]

all_engines = pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))


def test_every_family_is_among_them() -> None:
    assert {spec.name for spec in SPECS.values()} >= {"i2vgen-xl", "embedded", "fake"}
    assert len(SPECS) == len(ENTRIES) + len(OTHERS), "one is left out: the log says why"
    families = {package_of(spec) for spec in SPECS.values() if spec.files}
    assert families <= MAKERS.keys(), "a maker of a tiny folder is missing in tests/engines/subjects.py"


# --- facts


@all_engines
def test_a_spec_is_complete_and_consistent(spec: EngineSpec) -> None:
    can = spec.capabilities
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", spec.name)
    assert spec.title
    assert spec.multiple % 2 == 0, "H.264 needs even sides"
    assert spec.native_area_side is None or spec.native_area_side % spec.multiple == 0
    assert all(can.num_frames.allows(count) for count in spec.trained_frames)
    assert spec.trained_frames[0] <= spec.trained_frames[1]
    assert can.fps[0] <= spec.trained_fps[0] <= spec.trained_fps[1] <= can.fps[1]
    assert "image" in can.inputs
    assert can.negative_prompt or not spec.default_negative_prompt
    assert not can.speed or can.num_inference_steps
    assert bool(spec.motions) == bool(spec.motion_words)
    re.compile(spec.motion_words)
    if spec.files:
        assert INDEX in spec.files
        assert not set(spec.files) & set(spec.optional_files)
    else:
        assert not any((spec.embedded, spec.published, spec.optional_files))


@all_engines
def test_its_preview_maps_latents_to_colours(spec: EngineSpec) -> None:
    if spec.preview_factors:
        assert {len(row) for row in spec.preview_factors} == {3}
        assert len(spec.preview_factors) > 1
        assert all(0 <= colour <= 1 for colour in spec.preview_factors[-1]), "latents of zero"


@all_engines
def test_its_options_have_defaults_that_survive_json_and_a_schema(spec: EngineSpec) -> None:
    options = spec.options_model()
    assert isinstance(options, Options)
    stored = json.loads(json.dumps(options.model_dump(mode="json", exclude_none=True)))
    assert spec.options_model.model_validate(stored) == options
    json.dumps(spec.options_model.model_json_schema())
    completed = asked(spec).options
    assert (
        spec.options_model.model_validate(completed).model_dump(mode="json", exclude_none=True) == completed
    )


@all_engines
def test_its_presets_are_requests_that_it_takes(spec: EngineSpec) -> None:
    assert set(spec.presets) in (set(), set(get_args(PresetName)))
    for preset in spec.presets.values():
        numbers = {"num_frames": preset.num_frames, "fps": preset.fps}
        for name in ("num_inference_steps", "guidance_scale"):
            if name not in spec.capabilities.unused:
                numbers[name] = getattr(preset, name)
        check_request(GenerationRequest.parse(request_fields(spec, **numbers)), spec)
    for name in get_args(PresetName):
        fields = request_fields(spec, preset=name)
        check_request(GenerationRequest.parse(fields), spec)


IMPORTS = """
import importlib, json, sys
for place in sys.argv[1].split():
    module, _, name = place.partition(":")
    found = importlib.import_module(module)
    if name:
        getattr(found, name)
print(json.dumps(sorted(set(sys.argv[2].split()) & set(sys.modules))))
"""


@pytest.mark.parametrize("entry", [*ENTRIES, *OTHERS], ids=lambda entry: entry.value)
def test_its_light_modules_load_no_heavy_library(entry: EntryPoint) -> None:
    spec: EngineSpec = entry.load()
    places = [entry.value, spec.options_model.__module__, spec.memory or entry.module]
    if spec.facts is not None:
        places.append(type(spec.facts).__module__)
    command = [sys.executable, "-c", IMPORTS, " ".join(places), " ".join(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == []


@all_engines
def test_its_implementation_is_an_engine(spec: EngineSpec) -> None:
    made = engine_class(spec)
    assert all(callable(getattr(made, name)) for name in ("load", "adopt", "generate"))


# --- requests


def refused(spec: EngineSpec, **fields: object) -> tuple[str, object]:
    """Return the code of the refusal and the field that it names."""
    with pytest.raises(InvalidRequest) as caught:
        check_request(GenerationRequest.parse(request_fields(spec, **fields)), spec)
    assert spec.title in caught.value.message or caught.value.params["field"] in caught.value.message
    return caught.value.code, caught.value.params["field"]


@all_engines
def test_what_it_does_not_take_is_refused_by_name(spec: EngineSpec) -> None:
    values = {
        "negative_prompt": "blurry",
        "guidance_scale": 4,
        "num_inference_steps": spec.capabilities.step_counts.nearest(9),
        "target_fps": 8,
        "seed": MAX_SEED,
    }
    for name, value in values.items():
        if name in spec.capabilities.unused:
            assert refused(spec, **{name: value}) == ("request.not_supported", name)
        else:
            check_request(GenerationRequest.parse(request_fields(spec, **{name: value})), spec)


@all_engines
def test_a_prompt_is_asked_for_or_refused(spec: EngineSpec) -> None:
    wanted = spec.capabilities.prompt
    fields = {name: value for name, value in request_fields(spec).items() if name != "prompt"}
    if wanted == "none":
        assert refused(spec, prompt="pan left") == ("request.not_supported", "prompt")
    if wanted == "required":
        for code, given in (("missing_field", fields), ("blank_prompt", fields | {"prompt": " "})):
            with pytest.raises(InvalidRequest) as caught:
                check_request(GenerationRequest.parse(given), spec)
            assert caught.value.code == f"request.{code}"
    else:
        check_request(GenerationRequest.parse(fields), spec)


@all_engines
def test_counts_and_sizes_that_it_cannot_make_are_refused_with_what_it_can(spec: EngineSpec) -> None:
    can = spec.capabilities
    for count in {1, 6, can.num_frames.most + 1 or 0, 3600}:
        if not can.num_frames.allows(count) and count <= 3600:
            assert refused(spec, num_frames=count) == ("request.invalid", "num_frames")
    for fps in {1, 60} - set(range(can.fps[0], can.fps[1] + 1)):
        assert refused(spec, fps=fps) == ("request.invalid", "fps")
    if can.largest_side < 4096:
        assert refused(spec, width=4096) == ("request.invalid", "width")


@all_engines
def test_an_option_that_it_lacks_is_refused_by_name(spec: EngineSpec) -> None:
    expected = "request.unknown_field" if spec.options_model.model_fields else "request.not_supported"
    assert refused(spec, options={"no_such_option": 1}) == (expected, "options.no_such_option")


# --- memory


@all_engines
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_way_takes_no_more_in_any_stage(spec: EngineSpec, plan: MemoryPlan) -> None:
    """But for what a measured figure may be above another: `step_down` passes such a way over."""
    model, generation = memory_model(spec), asked(spec)
    ways = list(model.ways_down(plan, generation))
    assert ways[0] == plan
    assert len(set(ways)) == len(ways)
    assert {way.vae_tiling for way in ways} == {plan.vae_tiling}
    assert {way.dtype for way in ways} == {plan.dtype}
    before = model.estimate(spec, generation, plan)
    for way in ways:
        after = model.estimate(spec, generation, way)
        assert (after is None) == (before is None)
        if before is not None and after is not None:
            assert [stage.name for stage in after.stages] == [Stage.CONDITION, Stage.DENOISE, Stage.DECODE]
            assert all(
                now.bytes <= 1.01 * then.bytes for now, then in zip(after.stages, before.stages, strict=True)
            )
    kept = list(model.ways_down(plan, generation, kept=("decode_chunk", "offload")))
    assert {(way.decode_chunk, way.offload) for way in kept} == {(plan.decode_chunk, plan.offload)}


@all_engines
@pytest.mark.parametrize("device", [CPU, CARD], ids=lambda device: device.type)
def test_the_plan_is_one_of_the_ways_in_the_engines_own_type(spec: EngineSpec, device: DeviceInfo) -> None:
    options = load_settings().engine
    ram = 2**38  # for the largest model in float32
    device = replace(device, free_ram=ram, free_memory=ram if device.type == "cpu" else device.free_memory)
    generation, model = asked(spec), memory_model(spec)
    wanted = plan_by_settings(spec, device, options)
    assert wanted.dtype == ("float32" if device.type == "cpu" else spec.cuda_dtype)
    planned = plan_memory(spec, generation, device, options)
    assert planned.plan in list(model.ways_down(wanted, generation))
    assert planned.estimate == model.estimate(spec, generation, planned.plan)
    assert planned.fits is (None if planned.estimate is None else True)
    explicit = load_settings(flags={"engine.dtype": "float16"}).engine
    assert plan_by_settings(spec, device, explicit).dtype == "float16"


@all_engines
@pytest.mark.parametrize("stage", [None, Stage.CONDITION, Stage.DENOISE, Stage.DECODE])
def test_stepping_down_ends_and_takes_less_each_time(spec: EngineSpec, stage: Stage | None) -> None:
    generation, model = asked(spec), memory_model(spec)
    plan: MemoryPlan | None = plan_by_settings(spec, CARD, load_settings().engine)
    seen = []
    while plan is not None:
        assert plan not in seen
        seen.append(plan)
        plan = step_down(spec, generation, CARD, plan, stage)
    figures = [model.estimate(spec, generation, each) for each in seen]
    for before, after in pairwise(figures):
        if before is not None and after is not None:
            pairs = list(zip(before.stages, after.stages, strict=True))
            assert all(then.bytes >= now.bytes for then, now in pairs)
            assert any(then.bytes > now.bytes for then, now in pairs)


@all_engines
def test_work_grows_with_the_clip(spec: EngineSpec) -> None:
    model, generation = memory_model(spec), asked(spec)
    longer = replace(generation, num_frames=spec.capabilities.num_frames.nearest(2 * generation.num_frames))
    assert 0 < model.step_flops(generation) < model.step_flops(longer)
