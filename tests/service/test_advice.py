"""Advice on prompts that people write, and silence on those that the product itself recommends."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.scenes import Scene
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.media.picture_facts import PictureFacts
from i2v.service.advice import advise, limits, prompts_of
from scripts.train_embedded.motions import (
    CHINESE_PHRASES,
    HELD_OUT_PHRASES,
    PHRASES,
    prompt_for,
    sample_clip,
)
from tests.contrary import CONTRARY

GOOD = "Ocean waves crashing on the shore, camera panning left slowly"
PUBLISHED = (
    "A person walking forward naturally, slight arm swing",
    GOOD,
    "Flowers blooming in slow motion",
    "Camera slowly zooming in, clouds moving across the sky, water ripples gently",
    "Product rotating slowly, soft lighting, studio background",
)


def codes(
    prompt: str = GOOD,
    size: PictureFacts | tuple[int, int] | None = (512, 512),
    guidance_scale: float | None = None,
    fps: float = 8,
    spec: EngineSpec = I2VGEN_XL,
) -> list[str]:
    guidance = min(9, spec.max_guidance) if guidance_scale is None else guidance_scale
    return [notice.code.removeprefix("advice.") for notice in advise(prompt, size, guidance, fps, spec)]


@pytest.mark.parametrize("prompt", PUBLISHED)
def test_the_published_prompts_need_no_advice(prompt: str) -> None:
    assert codes(prompt) == []


def test_an_empty_prompt_and_a_picture_to_come_are_no_reason_for_advice() -> None:
    assert codes("  ", None) == []


@pytest.mark.parametrize(("size", "spec", "advised"), [
    ((511, 2000), I2VGEN_XL, True), ((512, 512), I2VGEN_XL, False),
    ((159, 500), EMBEDDED, True), ((160, 160), EMBEDDED, False),
])  # fmt: skip
def test_a_small_picture_is_one_below_what_the_model_generates(
    size: tuple[int, int], spec: EngineSpec, advised: bool
) -> None:
    assert ("small_picture" in codes("the camera pans left", size, spec=spec)) == advised


@pytest.mark.parametrize(("width", "sharpness", "spec", "advised"), [
    (4000, 640, I2VGEN_XL, False), (4000, 320, I2VGEN_XL, True), (600, 600, I2VGEN_XL, False),
    (600, 300, I2VGEN_XL, True), (4000, 160, EMBEDDED, False), (4000, 80, EMBEDDED, True),
])  # fmt: skip
def test_a_blurred_picture_is_one_with_less_detail_than_the_model_shows(
    width: int, sharpness: int, spec: EngineSpec, advised: bool
) -> None:
    facts = PictureFacts(width, 520, sharpness, 0.0)
    assert codes("the camera pans left", facts, spec=spec) == ["blurred_picture"] * advised


def test_a_small_picture_is_reported_once() -> None:
    assert codes(size=PictureFacts(300, 200, 300, 0.0)) == ["small_picture"]
    assert codes(size=PictureFacts(300, 200, 150, 0.0)) == ["small_picture", "blurred_picture"]


def test_text_in_the_picture_is_reported() -> None:
    assert codes(size=PictureFacts(800, 600, 640, 0.01)) == ["text_in_picture"]
    assert codes(size=PictureFacts(800, 600, 640, 0.0)) == []


@pytest.mark.parametrize(("number", "advised"), [(16, False), (16.5, True)])
def test_guidance_over_16_is_reported(number: float, advised: bool) -> None:
    assert ("high_guidance" in codes(guidance_scale=number)) == advised


@pytest.mark.parametrize(("fps", "advised"), [(5, True), (6, False)])
def test_under_6_fps_is_reported(fps: float, advised: bool) -> None:
    assert ("low_fps" in codes(fps=fps)) == advised


def test_a_prompt_beyond_the_text_encoder_is_reported_with_the_numbers() -> None:
    long = "the quiet old boat turns slowly towards the far shore " * 8
    (notice,) = advise(long, None, 9, 8, I2VGEN_XL)
    assert notice.code == "advice.long_prompt"
    assert notice.params["limit"] == 77
    assert codes("the quiet old boat turns slowly towards the far shore " * 4) == []


def test_words_that_name_no_motion_are_named() -> None:
    (notice,) = advise("A perfect, Beautiful lake, perfect", None, 9, 8, I2VGEN_XL)
    assert notice.params == {"words": "perfect, beautiful"}


def test_over_three_actions_are_reported_and_repetition_is_not() -> None:
    assert codes("she walks, turns, waves and smiles") == ["many_actions"]
    assert codes("she walks, then walks on, still walking, turns and waves") == []
    assert codes("morning light on a building, a wavy wall, a painting and a ceiling") == []


@pytest.mark.parametrize("prompt", ["镜头向左平移", "カメラが左へ動く", "камера движется влево"])
def test_i2vgen_xl_is_told_to_know_english_only(prompt: str) -> None:
    assert codes(prompt) == ["language"]


def test_some_foreign_letters_do_not_make_another_language() -> None:
    assert codes("a walk through Café Ω in slow motion") == []


def test_the_demo_model_knows_chinese_but_not_russian() -> None:
    assert codes("镜头向左平移", spec=EMBEDDED) == []
    assert codes("камера движется влево", spec=EMBEDDED) == ["language"]


def test_phrases_that_the_demo_model_was_trained_on_are_known() -> None:
    tables = (PHRASES, CHINESE_PHRASES, HELD_OUT_PHRASES)
    trained = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    for prompt in (*trained, *EMBEDDED.motions):
        assert codes(f"a cat, {prompt}", spec=EMBEDDED) == [], prompt


def test_whatever_the_demo_model_can_be_asked_is_known() -> None:
    """Speeds, easing, two motions at once, stillness: in phrasings of its training and in others."""
    rng = random.Random(0)
    for k in range(500):
        prompt = prompt_for(sample_clip(rng).take, rng, unseen=bool(k % 2))
        assert "unknown_motion" not in codes(prompt, spec=EMBEDDED), prompt


@pytest.mark.parametrize(
    "prompt", ["A person walking forward naturally", "海浪拍打着岸边", "a panda upstairs"]
)
def test_other_motions_on_the_demo_model_get_a_notice_that_lists_its_own(prompt: str) -> None:
    (notice,) = advise(prompt, None, 1, 8, EMBEDDED)
    assert notice.code == "advice.unknown_motion"
    assert all(motion in notice.message for motion in EMBEDDED.motions)


def test_a_model_without_a_list_of_motions_gets_no_such_notice() -> None:
    assert codes("a person walking", spec=replace(EMBEDDED, motion_words="")) == []


def test_an_engine_that_reads_no_prompt_and_has_no_guidance_gets_no_advice_on_them() -> None:
    bad = "完美 " + "word " * 100
    assert codes(bad, guidance_scale=30, spec=I2VGEN_XL) != []
    assert codes(bad, guidance_scale=30, spec=CONTRARY, fps=24) == []


def test_a_clip_of_the_pictures_own_size_may_be_small_and_what_is_not_drawn_anew_may_have_letters() -> None:
    facts = PictureFacts(width=100, height=100, sharpness=100, text_share=0.5)
    assert codes(size=facts, spec=I2VGEN_XL) == ["small_picture", "text_in_picture"]
    assert codes(size=facts, spec=CONTRARY, fps=24) == []
    blurred = PictureFacts(width=600, height=600, sharpness=100, text_share=0)
    assert codes(size=blurred, spec=CONTRARY, fps=24) == ["blurred_picture"]


GENERATION = Generation("", "", 64, 64, 64, 64, "keep", 8, 8, 8, 10, 1.0, seed=0, engine="embedded")


def codes_for(spec: EngineSpec, **fields: object) -> list[str]:
    return [notice.code for notice in limits(replace(GENERATION, **fields), spec)]  # type: ignore[arg-type]


def test_a_job_is_told_what_its_engine_does_not_do() -> None:
    assert codes_for(EMBEDDED, prompt="the camera pans left") == []
    assert codes_for(EMBEDDED, prompt="a man walks") == ["advice.unknown_motion"]
    assert codes_for(EMBEDDED, prompt="推镜头") == codes_for(EMBEDDED, prompt="镜头推近") == []
    assert codes_for(EMBEDDED, prompt="the camera pans left and zooms in") == ["advice.one_motion"]
    assert codes_for(EMBEDDED, prompt="镜头向左平移，同时推近") == ["advice.one_motion"]
    assert codes_for(EMBEDDED, prompt="zoom in", guidance_scale=15.0) == ["advice.no_guidance"]
    assert codes_for(I2VGEN_XL, prompt="a man walks, the camera pans and zooms", guidance_scale=9.0) == []
    assert codes_for(I2VGEN_XL, prompt="waves", guidance_scale=17.0) == ["advice.high_guidance"]
    assert codes_for(CONTRARY, guidance_scale=17.0) == []  # it reads neither


def test_a_story_is_advised_on_by_the_prompts_of_its_scenes() -> None:
    told = replace(GENERATION, prompt="a cat", story=(Scene(2, "the camera pans left"), Scene(2, "zoom in")))
    assert [notice.code for notice in limits(told, EMBEDDED)] == []
    other = replace(told, story=(*told.story, Scene(2, "a dog runs"), Scene(2, "a dog runs")))
    assert [notice.code for notice in limits(other, EMBEDDED)] == ["advice.unknown_motion"]
    assert prompts_of("a", ["b", "c", "b"]) == ["b", "c"]
    assert prompts_of("a", []) == ["a"]
