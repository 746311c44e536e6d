"""Facts of the model, and what a request becomes with them."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.core.settings import load_presets
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.pipeline.checks import check_request
from i2v.pipeline.resolve import resolve

WIDE = (1920, 1056)  # of the shape that the model was trained on


def test_high_is_what_the_model_is_published_with() -> None:
    asked = GenerationRequest.parse({"engine": "wan-ti2v-5b", "preset": "high", "prompt": "a cat"})
    generation, notices = resolve(asked, WAN_TI2V_5B, load_presets(), WIDE)
    assert (generation.generated_width, generation.generated_height) == (1280, 704)
    numbers = (generation.num_frames, generation.fps, generation.num_inference_steps)
    assert numbers == (121, 24, 50)
    assert generation.guidance_scale == 5.0
    assert notices == ()


@pytest.mark.parametrize("preset", ["quick", "standard", "high", "extreme"])
@pytest.mark.parametrize("size", [WIDE, (1000, 1500), (640, 640)])
def test_sides_are_multiples_of_32(preset: str, size: tuple[int, int]) -> None:
    asked = GenerationRequest.parse({"engine": "wan-ti2v-5b", "preset": preset, "prompt": "a cat"})
    generation, _ = resolve(asked, WAN_TI2V_5B, load_presets(), size)
    assert generation.generated_width % 32 == generation.generated_height % 32 == 0
    assert generation.generated_width * generation.generated_height <= 1.03 * 704 * 1280


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_frames", 120), ("num_frames", 125), ("target_fps", 8), ("inputs", [{"role": "last_image"}])],
)
def test_what_it_cannot_do_is_refused(name: str, value: object) -> None:
    asked = GenerationRequest.parse({"engine": "wan-ti2v-5b", "prompt": "a", name: value})
    with pytest.raises(InvalidRequest) as caught:
        check_request(asked, WAN_TI2V_5B)
    assert caught.value.params["field"] == name


def test_colours_of_previews_are_one_row_a_channel() -> None:
    assert len(WAN_TI2V_5B.preview_factors) == 48 + 1


def test_auto_never_takes_it_and_its_files_are_of_one_revision() -> None:
    assert WAN_TI2V_5B.rank is None
    (repository,) = WAN_TI2V_5B.published
    assert len(repository.revision) == 40
    assert not repository.must_accept
