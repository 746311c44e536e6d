"""Frames along a camera's path: what a clip below full strength begins with, noised as diffusers does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import evaluations
from i2v.engines.animatediff import sampling as animatediff
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.base import Conditioned, Decoded, Denoised, Inputs, engine_class
from i2v.engines.camera.options import CameraPathOptions
from i2v.engines.diffusion.camera_path import CameraFrames, camera_frames
from i2v.engines.i2vgen_xl import sampling as i2vgen_xl
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.engines.svd import sampling as svd
from i2v.engines.svd.specs import SVD
from tests.engines.subjects import asked, frames_of, write_weights

PLAN = MemoryPlan("cpu", "float32")
MASK = [{"role": "motion_mask"}]
PAN = {"pan": 0.25, "easing": "linear"}


def moving(spec: EngineSpec = I2VGEN_XL, **options: object) -> Generation:
    return asked(spec, num_inference_steps=6, guidance_scale=None, options={**PAN, **options})


@pytest.fixture
def large(photo: Image.Image) -> Image.Image:
    return photo.resize((384, 256))


def test_without_a_path_there_are_no_frames(photo: Image.Image) -> None:
    generation = asked(I2VGEN_XL)
    options = CameraPathOptions.model_validate(generation.options)
    assert generation.strength == 1
    assert camera_frames(options, generation, Inputs(photo), 1) is None


def test_frames_move_over_the_larger_picture(photo: Image.Image, large: Image.Image) -> None:
    generation = moving()
    options = CameraPathOptions.model_validate(generation.options)
    size = (generation.generated_width, generation.generated_height)
    small = photo.resize(size)
    seen = camera_frames(options, generation, Inputs(small, large=large), 1)
    assert seen is not None
    assert seen.frames.shape == (generation.num_frames, size[1], size[0], 3)
    assert seen.first.size == size
    assert [notice.code for notice in seen.notices] == []
    enlarged = camera_frames(options, generation, Inputs(small), 1)
    assert enlarged is not None
    assert [notice.code for notice in enlarged.notices] == ["camera.enlarged"]
    red = seen.frames[..., 1].mean(axis=(1, 2))  # it grows to the right, where the camera pans
    assert (np.diff(red) > 0).all()


def test_frames_are_encoded_one_at_a_time() -> None:
    frames = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((3, 4, 4, 3), 100, np.uint8)
    shapes: list[torch.Size] = []

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        shapes.append(pixels.shape)
        return pixels.mean(dim=(2, 3), keepdim=True)

    encoded = CameraFrames(frames, ()).encode(encode)
    assert shapes == [(1, 3, 4, 4)] * 3
    torch.testing.assert_close(encoded[:, 0, 0, 0], torch.tensor([0.0, 100, 200]) / 127.5 - 1)


@pytest.mark.parametrize(
    ("spec", "initial_state"),
    [
        (ANIMATEDIFF, animatediff.initial_state),
        (I2VGEN_XL, i2vgen_xl.initial_state),
        (SVD, svd.initial_state),
    ],
    ids=["animatediff", "i2vgen-xl", "svd"],
)
def test_a_clip_begins_with_them_noised_as_diffusers_adds_noise(
    spec: EngineSpec, initial_state: Callable[..., object], tmp_path: Path
) -> None:
    engine = engine_class(spec).load(spec, write_weights(spec, tmp_path / "model"), PLAN)
    components = engine.components  # type: ignore[attr-defined]
    generation = moving(spec, camera_strength=0.5)
    frames, height, width = generation.num_frames, generation.generated_height, generation.generated_width
    factor = components.vae_scale_factor
    channels = (frames, 4) if spec is SVD else (4, frames)
    reference = torch.randn((1, *channels, height // factor, width // factor))
    state = initial_state(components, generation, reference)
    scheduler = components.scheduler()
    scheduler.set_timesteps(generation.num_inference_steps)
    assert state.step == 3  # type: ignore[attr-defined]
    noise = initial_state(components, replace(generation, strength=1.0)).latents  # type: ignore[attr-defined]
    noise = noise / scheduler.init_noise_sigma
    expected = scheduler.add_noise(reference, noise, scheduler.timesteps[3:4])
    torch.testing.assert_close(state.latents, expected, rtol=1e-4, atol=1e-4)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "spec",
    [I2VGEN_XL, *(pytest.param(spec, marks=pytest.mark.slow) for spec in (ANIMATEDIFF, SVD))],
    ids=lambda spec: spec.name,
)
def test_the_last_steps_are_made_and_counted(spec: EngineSpec, large: Image.Image, tmp_path: Path) -> None:
    engine = engine_class(spec).load(spec, write_weights(spec, tmp_path / "model"), PLAN)
    generation = moving(spec, camera_strength=0.5)
    size = (generation.generated_width, generation.generated_height)
    events = list(engine.generate(generation, Inputs(large.resize(size), large=large)))
    steps = [(event.step, event.total) for event in events if isinstance(event, Denoised)]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert evaluations("exact", 6, 0.5) == 3
    assert sum(isinstance(event, Conditioned) for event in events) == 1
    assert len(frames_of(events)) == generation.num_frames
    alone = list(engine.generate(replace(generation, strength=1.0), Inputs(large.resize(size))))
    assert any(isinstance(event, Decoded) for event in alone)
    assert (frames_of(events) != frames_of(alone)).any(), "the path bears on the clip"


def masked(large: Image.Image, *white: tuple[int, int, int, int]) -> Image.Image:
    """Return a mask of that size, black but for some boxes."""
    mask = Image.new("RGB", large.size)
    for box in white:
        mask.paste("white", box)
    return mask


def test_a_mask_moves_with_the_camera_and_is_averaged_in_a_latent(large: Image.Image) -> None:
    generation = asked(I2VGEN_XL, options=PAN, inputs=MASK)
    options = CameraPathOptions.model_validate(generation.options)
    assert options.camera_strength == CameraPathOptions.masked_strength
    mask = masked(large, (large.width // 2, 0, *large.size))
    size = (generation.generated_width, generation.generated_height)
    inputs = Inputs(large.resize(size), large=large, motion_mask=mask)
    seen = camera_frames(options, generation, inputs, 1)
    assert seen is not None
    assert seen.held is not None
    held = seen.held_latents(torch.zeros((generation.num_frames, 4, size[1] // 8, size[0] // 8)))
    assert held is not None
    assert held.shape == (generation.num_frames, 1, size[1] // 8, size[0] // 8)
    shares = held.mean(dim=(1, 2, 3))
    assert 0.4 < shares[0] < 0.7
    assert (shares.diff() < 0).all(), "the camera pans to where the model acts"


def test_a_mask_alone_holds_the_camera_still() -> None:
    generation = asked(I2VGEN_XL, prompt="waves", inputs=MASK)
    options = CameraPathOptions.model_validate(generation.options)
    assert options.move.is_still
    assert generation.strength == CameraPathOptions.masked_strength
    panned = asked(I2VGEN_XL, prompt="waves, the camera pans left", inputs=MASK)
    assert CameraPathOptions.model_validate(panned.options).move.pan < 0


@pytest.mark.parametrize(
    "spec",
    [SVD, *(pytest.param(spec, marks=pytest.mark.slow) for spec in (ANIMATEDIFF, I2VGEN_XL))],
    ids=lambda spec: spec.name,
)
def test_where_only_the_camera_moves_the_model_changes_nothing(
    spec: EngineSpec, large: Image.Image, tmp_path: Path
) -> None:
    engine = engine_class(spec).load(spec, write_weights(spec, tmp_path / "model"), PLAN)

    def run(mask: Image.Image | None, seed: int = 7) -> np.ndarray[tuple[int, ...], np.dtype[np.int_]]:
        generation = moving(spec, camera_strength=0.99)
        size = (generation.generated_width, generation.generated_height)
        inputs = Inputs(large.resize(size), large=large, motion_mask=mask)
        events = engine.generate(replace(generation, seed=seed), inputs)
        # What is predicted at the end: of latents, since the decoder's norms mix all places.
        return [event.preview() for event in events if isinstance(event, Denoised)][-1].astype(int)

    exact = run(masked(large))
    assert np.abs(run(masked(large), seed=8) - exact).max() <= 1, "all of it is held"
    free = run(None)
    assert np.array_equal(run(masked(large, (0, 0, *large.size))), free), "nothing is held"
    assert np.abs(free - exact).max() > 1
    half = run(masked(large, (large.width // 2, 0, *large.size)))
    left, right = (np.abs(half - exact)[0, :, part].max() for part in (slice(0, 4), slice(-4, None)))
    assert left <= 1 < right


@pytest.mark.parametrize(
    "longer", [{"loop": True}, {"story": ["2: waves", "2: pan left"], "fps": 8}], ids=str
)
def test_a_mask_is_of_a_whole_loop_and_a_whole_story(
    longer: dict[str, object], large: Image.Image, tmp_path: Path
) -> None:
    engine = engine_class(I2VGEN_XL).load(I2VGEN_XL, write_weights(I2VGEN_XL, tmp_path / "model"), PLAN)
    generation = asked(
        I2VGEN_XL, num_inference_steps=3, guidance_scale=None, prompt="waves", inputs=MASK, **longer
    )
    options = CameraPathOptions.model_validate(generation.options)
    assert options.moves(generation)[0][0].is_still, "no move is asked for"
    size = (generation.generated_width, generation.generated_height)
    inputs = Inputs(large.resize(size), large=large, motion_mask=masked(large))
    shown = [
        [event.preview() for event in engine.generate(replace(generation, seed=seed), inputs)
         if isinstance(event, Denoised)][-1].astype(int)
        for seed in (1, 2)
    ]  # fmt: skip
    assert np.abs(shown[0] - shown[1]).max() <= 1, "all of it is held"


def test_a_segment_of_a_story_has_its_part_of_the_whole_path(photo: Image.Image, large: Image.Image) -> None:
    def seen(generation: Generation, start: int) -> CameraFrames:
        options = CameraPathOptions.model_validate(generation.options)
        small = photo.resize((generation.generated_width, generation.generated_height))
        found = camera_frames(options, generation, Inputs(small, large=large, start=start), 1)
        assert found is not None
        return found

    asked_for = {**PAN, "camera_strength": 0.5}
    told = asked(I2VGEN_XL, num_frames=4, fps=8, story=["1", "1"], options=asked_for)
    first, later = seen(told, 0).frames, seen(told, 3).frames
    assert first.shape == later.shape
    assert np.array_equal(first[3], later[0])
