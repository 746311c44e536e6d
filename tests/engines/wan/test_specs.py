"""Facts of the model, and what a request becomes with them."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.loras import Lora
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.wan.schedule import first_steps, timesteps_of
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
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


# --- I2V-A14B


@pytest.mark.parametrize(
    ("preset", "size", "steps", "guidance_scale"),
    [("standard", (832, 480), 20, 3.5), ("high", (1280, 720), 40, 3.5), ("quick", (832, 480), 4, 1.0)],
)
def test_presets_of_two_experts_are_480p_and_720p(
    preset: str, size: tuple[int, int], steps: int, guidance_scale: float
) -> None:
    asked = GenerationRequest.parse({"engine": "wan-i2v-a14b", "preset": preset, "prompt": "a cat"})
    picture = (1920, round(1920 * size[1] / size[0]))
    generation, notices = resolve(asked, WAN_I2V_A14B, load_presets(), picture)
    assert (generation.generated_width, generation.generated_height) == size
    assert (generation.num_frames, generation.fps, generation.num_inference_steps) == (81, 16, steps)
    assert generation.guidance_scale == generation.options["guidance_scale_2"] == guidance_scale
    assert notices == ()


def test_quick_has_a_lora_for_each_expert_and_eulers_steps_on_both_sides_of_the_boundary() -> None:
    asked = GenerationRequest.parse(
        {"engine": "wan-i2v-a14b", "preset": "quick", "prompt": "a cat", "loras": "ink:0.8:0.5, x_LOW"}
    )
    generation, _ = resolve(asked, WAN_I2V_A14B, load_presets(), WIDE)
    (high, low), own = generation.loras[:2], generation.loras[2:]
    assert "high_noise" in high.name
    assert "low_noise" in low.name
    assert [(each.strength, each.strength_2) for each in (high, low)] == [(1, 0), (0, 1)]
    assert own == (Lora("ink", 0.8, 0.5), Lora("x_LOW", 0.0, 1.0))
    assert generation.options["solver"] == "euler"
    assert first_steps(timesteps_of(4, 5.0), 0.9) == 2
    again = asked.model_copy(update={"loras": generation.loras, "options": {"solver": "unipc"}})
    repeated, _ = resolve(again, WAN_I2V_A14B, load_presets(), WIDE)
    assert repeated.loras == generation.loras, "none twice"
    assert repeated.options["solver"] == "unipc", "what is asked for counts"


@pytest.mark.parametrize(
    ("name", "strengths"),
    [
        ("ink", (0.7, 0.7)), ("wan22/ink_high_noise", (0.7, 0.0)), ("Lightning-4steps_LOW_fp16", (0.0, 0.7)),
        ("ink-low-noise", (0.0, 0.7)), ("high_quality", (0.7, 0.7)), ("glow", (0.7, 0.7)),
    ],
)  # fmt: skip
def test_a_files_name_says_which_expert_it_is_for(name: str, strengths: tuple[float, float]) -> None:
    asked = GenerationRequest.parse({"prompt": "a", "loras": [{"name": name, "strength": 0.7}]})
    (lora,) = resolve(asked, WAN_I2V_A14B, load_presets(), WIDE)[0].loras
    assert (lora.strength, lora.strength_2) == strengths


def test_a_strength_in_a_second_expert_is_refused_where_there_is_none() -> None:
    asked = GenerationRequest.parse({"prompt": "a", "loras": "ink:1:0.5"})
    with pytest.raises(InvalidRequest) as caught:
        check_request(asked, WAN_TI2V_5B)
    assert caught.value.params["field"] == "loras.strength_2"
    assert len(WAN_I2V_A14B.preview_factors) == 16 + 1


def test_loras_of_a_preset_and_of_the_request_are_no_more_than_one_request_may_name() -> None:
    """A clip can be made again by what its file says: that names them all."""
    asked = {"prompt": "a", "preset": "quick", "loras": ",".join("abcdef")}
    generation, _ = resolve(GenerationRequest.parse(asked), WAN_I2V_A14B, load_presets(), (1280, 720))
    again = GenerationRequest.parse({"prompt": "a", "loras": [vars(lora) for lora in generation.loras]})
    assert again.loras == generation.loras
    request = GenerationRequest.parse({**asked, "loras": ",".join("abcdefg")})
    with pytest.raises(InvalidRequest, match="at most 6 besides") as caught:
        resolve(request, WAN_I2V_A14B, load_presets(), (1280, 720))
    assert caught.value.params["field"] == "loras"
