"""i2v.pipeline.scenes: what a story will be, and what cannot be one."""

from __future__ import annotations

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.core.styles import STYLES
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.camera_move.specs import CAMERA_MOVE
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.svd.specs import SVD
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.pipeline.resolve import resolve


def settle(spec: EngineSpec, **fields: object) -> tuple[Generation, tuple[Notice, ...]]:
    request = GenerationRequest.parse({"preset": "quick", **fields})
    return resolve(request, spec, load_presets(), (96, 64))


def refusal(spec: EngineSpec, **fields: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        settle(spec, **fields)
    return caught.value


def test_a_story_is_as_long_as_its_scenes_in_segments_of_what_the_engine_makes() -> None:
    made, notices = settle(I2VGEN_XL, prompt="a", fps=8, num_frames=16, story="3: b\n4.5")
    assert [scene.prompt for scene in made.story] == ["b", "a"]
    assert (made.num_frames, made.total_frames, made.overlap) == (16, 60, 4)
    assert [segment.frames for segment in made.segments] == [16, 12, 16, 16, 16]
    assert made.correct_drift
    assert Notice("story.held", {"segments": 5, "overlap": 4}) in notices


def test_every_scene_has_the_words_of_the_style() -> None:
    made, _ = settle(I2VGEN_XL, prompt="a", fps=8, style="oil", story="3: b\n4.5")
    assert [scene.prompt for scene in made.story] == [f"{words}, {STYLES['oil'].prompt}" for words in "ba"]


def test_an_engine_that_cannot_hold_to_frames_has_them_faded() -> None:
    made, notices = settle(WAN_TI2V_5B, prompt="a", num_frames=17, fps=8, story="4", correct_drift=False)
    assert (made.overlap, made.correct_drift) == (2, False)
    assert Notice("story.faded", {"segments": 2, "overlap": 2}) in notices


def test_a_clip_without_scenes_is_as_it_ever_was() -> None:
    made, notices = settle(I2VGEN_XL, prompt="a", num_frames=16)
    assert (made.story, made.overlap, made.correct_drift, made.total_frames) == ((), 0, False, 16)
    assert len(made.segments) == 1
    assert not [notice for notice in notices if notice.code.startswith("story.")]


def test_scenes_with_prompts_need_no_other_prompt() -> None:
    made, _ = settle(I2VGEN_XL, story="2: a\n2: b")
    assert made.prompt == "a"
    assert refusal(I2VGEN_XL, story="2: a\n2").code == "request.missing_field"
    assert refusal(I2VGEN_XL, story="2", prompt=" ").code == "request.blank_prompt"


def test_what_an_engine_cannot_do_with_scenes_is_refused() -> None:
    error = refusal(CAMERA_MOVE, story="4: zoom in")
    assert (error.code, error.params["field"], error.params["value"]) == (
        "request.not_supported", "story", "4 s",
    )  # fmt: skip
    error = refusal(SVD, story="4: a dog")
    assert (error.code, error.params["field"]) == ("request.not_supported", "story.prompt")
    pictures = [{"role": "last_image"}]
    assert refusal(ANIMATEDIFF, prompt="a", story="4", inputs=pictures).code == "request.story_with_pictures"
    error = refusal(I2VGEN_XL, prompt="a", story="2\n0.1", fps=8)
    assert error.params["field"] == "story.seconds"
    assert error.message.startswith("story.seconds must be at least 0.25 at 8 frames per second")


def test_a_story_of_camera_moves_follows_the_path_of_every_scene() -> None:
    made, _ = settle(EMBEDDED, story="2: the camera pans left\n2: the camera zooms in", fps=8)
    assert made.strength < 1
    assert not made.correct_drift, "nothing drifts along a path"
    assert set(made.options) == {"camera_strength"}
