"""i2v.engines.registry: facts that requests and front ends rely on, read without any heavy library."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import EntryPoint
from typing import get_args

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest, PresetName
from i2v.engines.animatediff.specs import IP_ADAPTER
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import BUILT_IN, GROUP, collect, engines, find_model, find_spec, models_of

HEAVY = ("torch", "diffusers", "transformers", "accelerate", "safetensors")


IMPORTS = """
import importlib, json, sys
loaded = {}
for module in sys.argv[1].split():
    importlib.import_module(module)
    loaded[module] = sorted(set(sys.argv[2].split()) & set(sys.modules))
print(json.dumps(loaded))
"""


def test_importing_loads_no_heavy_library() -> None:
    modules = [
        "core.schema", "core.settings", "engines.registry", "engines.i2vgen_xl.specs",
        "engines.i2vgen_xl.memory", "engines.base", "weights", "memory.plan", "pipeline.make", "cli.main",
    ]  # fmt: skip
    names = [f"i2v.{module}" for module in modules]
    command = [sys.executable, "-c", IMPORTS, " ".join(names), " ".join(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {name: [] for name in names}


def test_each_engine_is_found_by_its_name() -> None:
    assert set(engines()) == {
        "i2vgen-xl", "embedded", "camera-move", "svd", "svd-xt", "animatediff", "animatediff-lightning",
        "animatelcm", "wan-ti2v-5b", "wan-i2v-a14b",
    }  # fmt: skip
    assert [find_spec(name) for name in ("i2vgen-xl", "embedded")] == [I2VGEN_XL, EMBEDDED]
    assert all(name == spec.name for name, spec in engines().items())


def test_a_model_that_only_some_pictures_need_is_one_of_the_models_and_no_engine() -> None:
    assert find_model("ip-adapter") is models_of(engines())["ip-adapter"] is IP_ADAPTER
    assert find_model("svd") is engines()["svd"]
    assert models_of({"embedded": EMBEDDED}) == {"embedded": EMBEDDED}
    with pytest.raises(InvalidRequest, match="i2vgen-xl"):
        find_spec("ip-adapter")


@pytest.mark.parametrize("name", ["", "I2VGen-XL", "SVD", "../embedded", "x" * 5000, "\ud800", "\x1b[31m"])
def test_an_unknown_engine_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        find_spec(name)
    error = caught.value
    assert (error.code, error.params["allowed"]) == (
        "request.unknown_engine",
        "auto, i2vgen-xl, embedded, camera-move, svd, svd-xt, animatediff, animatediff-lightning, "
        "animatelcm, wan-ti2v-5b, wan-i2v-a14b",
    )
    assert len(error.message) < 300
    assert error.message.isprintable()


def test_the_published_models_facts() -> None:
    assert I2VGEN_XL.multiple == 64
    assert I2VGEN_XL.native_area_side is None
    assert (I2VGEN_XL.trained_frames, I2VGEN_XL.trained_fps) == ((16, 32), (8, 16))
    assert I2VGEN_XL.facts.image_gain == 2.0
    assert (I2VGEN_XL.max_prompt_tokens, I2VGEN_XL.facts.clip_skip) == (77, 1)
    assert I2VGEN_XL.presets == {}, "the published ones hold"
    assert not I2VGEN_XL.embedded
    assert I2VGEN_XL.default_negative_prompt == (
        "Distorted, discontinuous, Ugly, blurry, low resolution, motionless, static, disfigured,"
        " disconnected limbs, Ugly faces, incomplete arms"
    )


@pytest.mark.parametrize("spec", engines().values(), ids=list(engines()))
def test_an_engines_numbers_fit_what_a_request_may_say(spec: EngineSpec) -> None:
    assert set(spec.presets) in (set(), set(get_args(PresetName)))
    for preset in spec.presets.values():
        numbers = {name: value for name, value in asdict(preset).items() if name != "area_side" and value}
        GenerationRequest.parse({"prompt": "x", "height": 64, "width": preset.area_side, **numbers})
        assert spec.capabilities.num_frames.allows(preset.num_frames)
    for frames in spec.trained_frames:
        assert spec.capabilities.num_frames.allows(frames)
    for fps in spec.trained_fps:
        GenerationRequest.parse({"prompt": "x", "target_fps": fps})
    GenerationRequest.parse({"prompt": "x", "negative_prompt": spec.default_negative_prompt})
    GenerationRequest.parse({"prompt": "x", "engine": spec.name})


@pytest.mark.parametrize("spec", engines().values(), ids=list(engines()))
def test_an_engines_sizes_can_be_generated(spec: EngineSpec) -> None:
    assert spec.multiple % (8 if spec.preview_factors else 2) == 0, "the VAE's factor, or H.264's"
    assert spec.native_area_side is None or spec.native_area_side % spec.multiple == 0


@pytest.mark.parametrize("spec", [I2VGEN_XL, EMBEDDED], ids=["i2vgen-xl", "embedded"])
def test_an_engines_preview_maps_four_channels_and_a_constant_to_colours(spec: EngineSpec) -> None:
    assert [len(row) for row in spec.preview_factors] == [3] * 5
    assert all(0 <= colour <= 1 for colour in spec.preview_factors[4])  # latents of zero


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


SOUND = point("sound", "tests.rehearsal:REHEARSAL")


def test_another_packages_engine_comes_through_the_same_door() -> None:
    ours = [point(place, place) for place in BUILT_IN]
    found = collect(ours, [SOUND])
    assert list(found) == [*engines(), "rehearsal"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (point("broken", "tests.no_such_module:SPEC"), "cannot be imported"),
        (point("broken", "tests.rehearsal:no_such_name"), "cannot be imported"),
        (point("broken", "tests.rehearsal:DEEDS"), "is no EngineSpec"),
        (point("twice", "i2v.engines.i2vgen_xl.specs:EMBEDDED"), "is taken"),
    ],
)
def test_one_that_cannot_be_used_is_logged_and_the_rest_works(
    broken: EntryPoint, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = collect([point("ours", BUILT_IN[1])], [broken, SOUND])
    assert list(found) == ["embedded", "rehearsal"]
    assert said in caplog.text
    assert broken.name in caplog.text
