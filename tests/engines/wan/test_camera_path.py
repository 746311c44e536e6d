"""A camera's path through Wan: frames of a whole clip are encoded, noised as diffusers does it, and held."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Decoded, Denoised, Inputs
from i2v.engines.diffusion.camera_path import CameraFrames
from i2v.engines.wan.conditioning import encode_path
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.options import options_of
from i2v.engines.wan.sampling import initial_state
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from tests.engines.subjects import asked

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture(scope="module", params=[WAN_TI2V_5B, WAN_I2V_A14B], ids=["5b", "a14b"])
def either(request: pytest.FixtureRequest, wan_folder: Path, a14b_folder: Path) -> WanEngine:
    folder = wan_folder if request.param is WAN_TI2V_5B else a14b_folder
    return WanEngine.load(request.param, folder, PLAN)


def moving(spec: EngineSpec, **options: object) -> Generation:
    more = {"inputs": [{"role": "motion_mask"}]} if not options else {}
    path = {"pan": 0.25, "easing": "linear", **options}
    return asked(spec, num_frames=5, num_inference_steps=4, guidance_scale=1.0, options=path, **more)


def test_it_is_followed_where_a_move_is_given(clip: Generation) -> None:
    assert asked(WAN_TI2V_5B, prompt="the camera pans left").strength == 1
    assert asked(WAN_I2V_A14B, options={"pan": 0.2}).strength == 0.4


def test_a_clip_begins_with_it_noised_as_diffusers_adds_noise(either: WanEngine) -> None:
    generation, components = moving(either.spec, camera_strength=0.5), either.components
    options = options_of(either.spec, generation)
    noise = initial_state(components, generation, options).latents
    reference = torch.randn(noise.shape)
    state = initial_state(components, generation, options, reference)
    scheduler = components.scheduler(options.flow_shift)
    scheduler.set_timesteps(4)
    assert state.step == 2
    expected = scheduler.add_noise(reference, noise, scheduler.timesteps[2:3])
    torch.testing.assert_close(state.latents, expected, rtol=1e-4, atol=1e-4)


def test_a_mask_is_averaged_over_the_frames_of_a_latent(either: WanEngine) -> None:
    held = np.zeros((5, 64, 96), np.float32)
    held[0, :32] = held[1] = 1
    camera = CameraFrames(np.zeros((5, 64, 96, 3), np.uint8), (), held)
    path, mask = encode_path(either.components, camera)
    assert mask is not None
    assert mask.shape == (1, 1, 2, *path.shape[3:])
    height = path.shape[3]
    assert mask[0, 0, 0].mean(1).tolist() == [1.0] * (height // 2) + [0.0] * (height // 2)
    assert (mask[0, 0, 1] == 0.25).all()


def test_the_last_steps_are_made_and_where_only_the_camera_moves_nothing_else_does(
    either: WanEngine, photo: Image.Image
) -> None:
    large = photo.resize((384, 256))
    inputs = Inputs(photo.resize((96, 64)), large=large, motion_mask=Image.new("RGB", large.size))
    ends = []
    for seed in (7, 8):
        generation = replace(moving(either.spec), seed=seed)
        events = list(either.generate(generation, inputs))
        assert sum(len(event.frames) for event in events if isinstance(event, Decoded)) == 5
        ends.append([event.preview() for event in events if isinstance(event, Denoised)][-1].astype(int))
    assert np.abs(ends[0] - ends[1]).max() <= 1, "all of it is held"
    free = list(either.generate(moving(either.spec, camera_strength=0.5), replace(inputs, motion_mask=None)))
    assert [(event.step, event.total) for event in free if isinstance(event, Denoised)] == [(1, 2), (2, 2)]
