"""Distilled motion modules against diffusers' own pipeline and schedulers, set up as their cards say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, LCMScheduler

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import consistency, trailing
from i2v.core.schema import GenerationRequest
from i2v.engines.animatediff.conditioning import condition
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.sampling import State, denoise, initial_state
from i2v.engines.animatediff.specs import ANIMATEDIFF_LIGHTNING, ANIMATELCM
from i2v.engines.animatediff.stock import load_stock, run_stock
from i2v.engines.animatediff.weights import prepare
from i2v.engines.base import Inputs
from i2v.pipeline.checks import check_request
from tests.engines.subjects import frames_of

PLAN = MemoryPlan("cpu", "float32")
Load = Callable[[EngineSpec], AnimateDiffEngine]


@pytest.fixture(scope="module")
def load(animatediff_folder: Path) -> Load:
    loaded: dict[str, AnimateDiffEngine] = {}

    def loading(spec: EngineSpec) -> AnimateDiffEngine:
        as_stock = replace(spec, facts=spec.stock_facts)
        if spec.name not in loaded:
            loaded[spec.name] = AnimateDiffEngine.load(as_stock, animatediff_folder, PLAN)
        return loaded[spec.name]

    return loading


@pytest.mark.parametrize(
    ("spec", "steps", "guidance_scale"),
    [
        (ANIMATEDIFF_LIGHTNING, 4, 1.0),
        pytest.param(ANIMATEDIFF_LIGHTNING, 8, 1.0, marks=pytest.mark.slow),
        pytest.param(ANIMATELCM, 4, 2.0, marks=pytest.mark.slow),
        pytest.param(ANIMATELCM, 6, 1.0, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_same_weights_seed_and_settings_give_stocks_frames(
    load: Load, animatediff_folder: Path, clip: Generation, inputs: Inputs,
    spec: EngineSpec, steps: int, guidance_scale: float,
) -> None:  # fmt: skip
    if spec is ANIMATELCM:
        pytest.importorskip("peft", reason="diffusers loads LoRAs by peft, which is not installed")
    asked = replace(clip, num_inference_steps=steps, guidance_scale=guidance_scale, engine=spec.name)
    engine, stock = load(spec), load_stock(animatediff_folder, facts=spec.facts, num_inference_steps=steps)
    torch.manual_seed(1)  # stock draws the pictures' latents from this one
    stock_latents, stock_frames = run_stock(stock, asked, inputs)
    prepare(engine.components, engine.spec, asked, inputs)
    torch.manual_seed(1)
    given, _ = condition(engine.components, engine.spec, asked, inputs)
    *_, last = denoise(engine.components, given, initial_state(engine.components, asked), asked, PLAN)
    difference = (last.state.latents - stock_latents).abs().max()
    assert difference <= 1e-4, float(difference)
    torch.manual_seed(1)
    frames = frames_of(list(engine.generate(asked, inputs)))
    assert frames.std() > 10, "a picture"
    assert np.abs(frames - stock_frames.astype(int)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("spec", [ANIMATEDIFF_LIGHTNING, ANIMATELCM], ids=lambda spec: spec.name)
def test_a_clip_goes_on_from_any_step_as_if_it_had_not_stopped(
    load: Load, clip: Generation, inputs: Inputs, spec: EngineSpec
) -> None:
    asked = replace(clip, num_inference_steps=4, guidance_scale=1.0)
    engine = load(spec)
    prepare(engine.components, engine.spec, asked, inputs)
    given, _ = condition(engine.components, engine.spec, asked, inputs)
    steps = denoise(engine.components, given, initial_state(engine.components, asked), asked, PLAN)
    *_, half = islice(steps, 2)
    *_, whole = steps
    *_, again = denoise(engine.components, given, State(2, half.state.latents), asked, PLAN)
    assert torch.equal(again.state.latents, whole.state.latents)


def test_lightning_has_a_motion_module_for_each_number_of_steps(
    load: Load, clip: Generation, inputs: Inputs
) -> None:
    engine, found = load(ANIMATEDIFF_LIGHTNING), []
    for steps in (4, 8, 4):
        prepare(engine.components, engine.spec, replace(clip, num_inference_steps=steps), inputs)
        weights = engine.components.unet.state_dict()
        found.append(
            next(
                weights[name].clone()
                for name in sorted(weights)
                if "motion_modules" in name and "to_q" in name
            )
        )
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


def test_other_numbers_of_steps_are_refused_with_those_there_are() -> None:
    for spec, wrong, allowed in (
        (ANIMATEDIFF_LIGHTNING, 6, "one of 4, 8"), (ANIMATELCM, 60, "from 1 to 50"),
    ):  # fmt: skip
        asked = {"prompt": "zoom in", "num_inference_steps": wrong}
        with pytest.raises(InvalidRequest) as caught:
            check_request(GenerationRequest.parse(asked), spec)
        assert allowed in caught.value.params["allowed"]


@pytest.mark.parametrize("steps", [1, 4, 6, 8, 50])
def test_the_timesteps_are_those_of_diffusers_schedulers(steps: int) -> None:
    lcm = LCMScheduler()
    lcm.set_timesteps(steps)
    assert consistency(steps).timesteps == tuple(lcm.timesteps.tolist())
    euler = EulerDiscreteScheduler(timestep_spacing="trailing")
    euler.set_timesteps(steps)
    assert trailing(steps).timesteps == tuple(int(step) for step in euler.timesteps.tolist())
