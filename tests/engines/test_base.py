"""The contract that every registered engine is held to, on real weights where they are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Generation, MemoryPlan
from i2v.engines.base import Conditioned, Decoded, Denoised, Engine, Inputs, engine_class
from i2v.engines.registry import engines
from i2v.media.image import fit_picture
from i2v.weights import EMBEDDED as EMBEDDED_FOLDER

PLAN = MemoryPlan("cpu", "float32", decode_chunk=3)


@pytest.fixture(scope="module", params=engines())
def spec(request: pytest.FixtureRequest) -> EngineSpec:
    return engines()[request.param]


@pytest.fixture(scope="module")
def engine(spec: EngineSpec, tiny_folder: Path) -> Engine:
    # An engine without weights on this machine is run on the tiny model's: the layout is the same.
    folder = EMBEDDED_FOLDER if spec.embedded else tiny_folder
    return engine_class(spec).load(spec, folder, PLAN)


@pytest.fixture
def asked(generation: Generation, spec: EngineSpec) -> Callable[..., Generation]:
    def ask(**changes: object) -> Generation:
        size = {"generated_width": 2 * spec.multiple, "generated_height": spec.multiple}
        return replace(generation, engine=spec.name, num_inference_steps=2, **size, **changes)

    return ask


def test_the_spec_is_complete(spec: EngineSpec) -> None:
    assert spec.name == next(name for name, known in engines().items() if known is spec)
    assert spec.multiple % 8 == 0
    assert spec.trained_frames[0] <= spec.trained_frames[1]
    assert spec.trained_fps[0] <= spec.trained_fps[1]
    assert len(spec.preview_factors) == 5
    if spec.native_area_side is not None:
        assert spec.native_area_side % spec.multiple == 0


@pytest.mark.parametrize("num_frames", [4, 8])
def test_events_come_in_order_and_have_the_sizes_asked_for(
    engine: Engine, spec: EngineSpec, asked: Callable[..., Generation], photo: Image.Image, num_frames: int
) -> None:
    generation = asked(num_frames=num_frames)
    size = (generation.generated_width, generation.generated_height)
    events = list(engine.generate(generation, Inputs(fit_picture(photo, *size, "crop").image)))
    kinds = [type(event) for event in events]
    assert kinds == [Conditioned, Denoised, Denoised, *[Decoded] * -(-num_frames // 3)]
    frames = np.concatenate([event.frames for event in events if isinstance(event, Decoded)])
    assert frames.shape == (num_frames, size[1], size[0], 3)
    assert frames.dtype == np.uint8
    previews = [event.preview() for event in events if isinstance(event, Denoised)]
    assert all(preview.dtype == np.uint8 and preview.shape[0] == num_frames for preview in previews)


def test_what_the_model_does_not_read_of_a_prompt_is_said(
    engine: Engine, spec: EngineSpec, asked: Callable[..., Generation], photo: Image.Image
) -> None:
    generation = asked(prompt="the camera pans left " * 40, negative_prompt="blurry " * 90)
    size = (generation.generated_width, generation.generated_height)
    events = engine.generate(generation, Inputs(fit_picture(photo, *size, "crop").image))
    first = next(events)
    events.close()
    assert isinstance(first, Conditioned)
    assert [notice.code for notice in first.notices] == ["prompt.negative_truncated", "prompt.truncated"]
    assert str(first.notices[1].params["removed"]).endswith("the camera pans left")
    assert first.notices[1].params["limit"] == spec.max_prompt_tokens
