"""i2v.pipeline.resolve: what is settled of a clip before anything runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2v.core.engine_spec import Capabilities, EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.generation import Generation
from i2v.core.schema import GenerationRequest, Upscaling
from i2v.core.settings_sources import load_presets
from i2v.core.styles import STYLES
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.camera_move.specs import CAMERA_MOVE
from i2v.engines.i2vgen_xl.options import I2VGenXLOptions
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.svd.specs import SVD
from i2v.pipeline.resolve import resolve
from i2v.weights.certificates import Certificate

PHOTO = (3000, 2000)


ALONE = replace(EMBEDDED, options_model=I2VGenXLOptions)  # follows no path unless numbers ask for one


def settle(spec: EngineSpec, size: tuple[int, int] = PHOTO, **fields: object) -> tuple[Generation, list[str]]:
    request = GenerationRequest.parse({"prompt": "the camera pans left", **fields})
    generation, notices = resolve(request, spec, load_presets(), size, draw=lambda: 1234)
    return generation, [notice.code for notice in notices]


@pytest.mark.parametrize(
    ("preset", "side", "num_frames", "steps"),
    [("quick", 512, 8, 30), ("standard", 512, 16, 50), ("high", 768, 24, 80), ("extreme", 1024, 32, 100)],
)
def test_the_published_presets(preset: str, side: int, num_frames: int, steps: int) -> None:
    generation, _ = settle(I2VGEN_XL, size=(900, 900), preset=preset)
    assert (generation.width, generation.height) == (side, side)
    assert (generation.num_frames, generation.num_inference_steps) == (num_frames, steps)
    assert (generation.fps, generation.guidance_scale, generation.seed) == (8, 9.0, 1234)
    assert generation.negative_prompt == I2VGEN_XL.default_negative_prompt


PROVEN = Certificate((1.0, 1.0), (12, 50), (8, 8), (150, 170))


@pytest.mark.parametrize(
    ("speed", "guidance", "certificates", "settled", "reported"),
    [
        ("auto", 1.0, [PROVEN], "fast", []),
        ("auto", 2.5, [PROVEN], "exact", ["speed.not_measured"]),
        ("auto", 1.0, [], "exact", ["speed.not_measured"]),
        ("auto", 1.0, None, "exact", []),
        ("fast", 1.0, [PROVEN], "fast", []),
        ("fast", 2.5, [PROVEN], "fast", ["speed.unproven"]),
        ("exact", 1.0, [PROVEN], "exact", []),
    ],
)
def test_fast_is_what_is_proven_or_asked_for(
    speed: str, guidance: float, certificates: list[Certificate] | None, settled: str, reported: list[str]
) -> None:
    fields = {"prompt": "the camera pans left", "speed": speed, "guidance_scale": guidance}
    request = GenerationRequest.parse(fields)
    generation, notices = resolve(request, ALONE, {}, (512, 512), certificates=certificates)
    assert generation.speed == settled
    assert [notice.code for notice in notices] == reported


def test_few_steps_are_exact_without_a_word() -> None:
    request = GenerationRequest.parse({"prompt": "a", "num_inference_steps": 11})
    generation, notices = resolve(request, ALONE, {}, (512, 512), certificates=())
    assert (generation.speed, notices) == ("exact", ())


def test_an_engine_without_a_fast_way_is_exact() -> None:
    request = GenerationRequest.parse({"prompt": "a", "speed": "fast"})
    spec = replace(ALONE, capabilities=replace(ALONE.capabilities, speed=False))
    assert resolve(request, spec, {}, (512, 512), certificates=())[0].speed == "exact"


def test_explicit_fields_beat_the_preset() -> None:
    fields = {
        "num_frames": 20,
        "num_inference_steps": 7,
        "guidance_scale": 1.0,
        "fps": 10,
        "seed": 0,
        "negative_prompt": "",
    }
    generation, notices = settle(I2VGEN_XL, preset="extreme", **fields)
    assert {name: getattr(generation, name) for name in fields} == fields
    assert notices == []


def test_an_engine_has_its_own_numbers_for_the_presets() -> None:
    generation, notices = settle(ALONE)
    own = ALONE.presets["standard"]
    assert (generation.num_frames, generation.num_inference_steps) == (
        own.num_frames,
        own.num_inference_steps,
    )
    assert (generation.width, generation.height) == (generation.generated_width, generation.generated_height)
    assert notices == []


def test_keep_has_the_pictures_shape_and_the_area_asked_for() -> None:
    generation, _ = settle(I2VGEN_XL, resolution="512p")
    assert (generation.width, generation.height) == (576, 384)
    assert generation.width / generation.height == PHOTO[0] / PHOTO[1]


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_crop_and_pad_are_square(fit: str) -> None:
    generation, _ = settle(I2VGEN_XL, resolution="256p", fit=fit)
    assert (generation.width, generation.height) == (256, 256)


def test_a_size_that_the_model_cannot_have_is_generated_near_it_and_delivered_as_asked() -> None:
    generation, notices = settle(I2VGEN_XL, width=500, height=301)
    assert (generation.width, generation.height) == (500, 300)
    assert (generation.generated_width, generation.generated_height) == (512, 320)
    assert notices == ["request.size_changed", "request.size_rounded"]


@pytest.mark.parametrize(
    ("asked", "used"), [((161, 113), (160, 112)), ((161, 112), (160, 112)), ((65, 65), (64, 64))]
)
def test_a_size_that_is_changed_is_said_with_both(asked: tuple[int, int], used: tuple[int, int]) -> None:
    request = GenerationRequest.parse({"prompt": "zoom in", "width": asked[0], "height": asked[1]})
    _, notices = resolve(request, ALONE, load_presets(), PHOTO)
    (changed,) = (notice.params for notice in notices if notice.code == "request.size_changed")
    assert (changed["asked_width"], changed["asked_height"]) == asked
    assert (changed["width"], changed["height"]) == used


@pytest.mark.parametrize("fields", [{"width": 160, "height": 112}, {"resolution": "256p"}, {}])
def test_a_size_that_is_kept_is_not_said(fields: dict[str, object]) -> None:
    assert "request.size_changed" not in settle(ALONE, **fields)[1]


def test_syntax_of_other_programs_is_said_of_both_prompts() -> None:
    prompts = {"prompt": "(zoom in:1.2), slowly", "negative_prompt": "((blurry))"}
    request = GenerationRequest.parse(prompts)
    _, notices = resolve(request, ALONE, load_presets(), PHOTO)
    pieces = {notice.code: notice.params["pieces"] for notice in notices if "syntax" in notice.code}
    assert pieces == {"prompt.syntax": "(zoom in:1.2)", "prompt.negative_syntax": "((blurry))"}


@pytest.mark.parametrize("fields", [{"resolution": "1024p"}, {"width": 1536, "height": 1024}])
def test_the_embedded_model_generates_at_its_own_size_and_scales_up_with_a_notice(
    fields: dict[str, object],
) -> None:
    generation, notices = settle(ALONE, **fields)
    assert (generation.generated_width, generation.generated_height) == (192, 128)
    assert generation.width * generation.height == pytest.approx(1024**2, rel=0.55)
    assert notices == ["request.scaled_up"]


@pytest.mark.parametrize(
    ("fields", "message", "notices"),
    [
        ({"fps": 12}, 12, []),
        ({"fps": 24}, 16, ["request.target_fps_clamped"]),
        ({"fps": 4}, 8, ["request.target_fps_clamped"]),
        ({"fps": 4, "target_fps": 4}, 4, []),
        ({"target_fps": 30}, 30, []),
    ],
)
def test_fps_is_the_playback_rate_and_clamped_the_models_condition(
    fields: dict[str, object], message: int, notices: list[str]
) -> None:
    generation, said = settle(I2VGEN_XL, **fields)
    assert (generation.fps, generation.target_fps) == (fields.get("fps", 8), message)
    assert said == notices


@pytest.mark.parametrize(("num_frames", "noticed"), [(15, True), (16, False), (32, False), (33, True)])
def test_frames_beyond_the_trained_ones_get_a_notice(num_frames: int, noticed: bool) -> None:
    assert settle(I2VGEN_XL, num_frames=num_frames)[1] == ["request.untrained_frames"] * noticed


def test_gradient_checkpointing_is_accepted_and_answered() -> None:
    assert settle(I2VGEN_XL, gradient_checkpointing=True)[1] == ["request.gradient_checkpointing"]


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "\u3000", "\u200b\ufeff"])
def test_a_blank_prompt_is_refused_where_the_engine_needs_one(prompt: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settle(ALONE, prompt=prompt)
    assert caught.value.code == "request.blank_prompt"


@pytest.mark.parametrize(
    ("upscaling", "installed", "upscaler", "reported"),
    [
        ("auto", ["span", "real-esrgan"], "real-esrgan", ["request.upscaled"]),
        ("auto", ["span"], "span", ["request.upscaled"]),
        ("auto", [], "lanczos", ["request.scaled_up"]),
        ("span", [], "lanczos", ["request.scaled_up", "upscale.missing"]),
        ("span", ["span", "real-esrgan"], "span", ["request.upscaled"]),
        ("real-esrgan", ["span"], "lanczos", ["request.scaled_up", "upscale.missing"]),
        ("lanczos", ["span"], "lanczos", ["request.scaled_up"]),
    ],
)
def test_frames_are_enlarged_by_what_is_wanted_and_installed(
    monkeypatch: pytest.MonkeyPatch,
    upscaling: Upscaling,
    installed: list[str],
    upscaler: str,
    reported: list[str],
) -> None:
    monkeypatch.setattr("i2v.media.upscale.is_installed", lambda name: name in installed)
    large = GenerationRequest.parse({"prompt": "pan", "resolution": "512p"})
    generation, notices = resolve(large, ALONE, load_presets(), PHOTO, upscaling=upscaling)
    assert generation.upscaler == upscaler
    assert [notice.code for notice in notices] == reported
    native, notices = resolve(
        GenerationRequest(prompt="pan"), ALONE, load_presets(), PHOTO, upscaling=upscaling
    )
    assert (native.upscaler, notices) == ("lanczos", ()), "nothing is enlarged"


def test_a_request_chooses_what_enlarges_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.media.upscale.is_installed", lambda name: True)
    asked = GenerationRequest.parse({"prompt": "pan", "resolution": "512p", "upscaler": "span"})
    generation, _ = resolve(asked, ALONE, load_presets(), PHOTO, upscaling="lanczos")
    assert generation.upscaler == "span"


@pytest.mark.parametrize(
    ("fields", "settled"),
    [
        ({}, (None, None)),
        ({"interpolation": "blend"}, (None, None)),
        ({"output_fps": 8}, (None, None)),
        ({"output_fps": 24}, (24, "motion")),
        ({"output_fps": "60", "interpolation": "blend"}, (60, "blend")),
    ],
)
def test_frames_in_between_are_settled(fields: dict[str, object], settled: tuple[object, object]) -> None:
    request = GenerationRequest.parse({"prompt": "pan", "fps": 8, **fields})
    generation, notices = resolve(request, ALONE, load_presets(), PHOTO)
    assert (generation.output_fps, generation.interpolation) == settled
    assert notices == ()


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [
        ({"output_fps": 7}, "output_fps", "a whole number from 8 to 120"),
        ({"output_fps": 121}, "output_fps", "a whole number from 1 to 120"),
        ({"interpolation": "magic"}, "interpolation", "one of 'auto', 'motion' or 'blend'"),
        ({"upscaler": "magic"}, "upscaler", "one of 'auto', 'lanczos', 'span' or 'real-esrgan'"),
    ],
)
def test_what_cannot_be_done_to_frames_is_refused(
    fields: dict[str, object], field: str, allowed: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(GenerationRequest.parse({"prompt": "pan", "fps": 8, **fields}), ALONE, load_presets(), PHOTO)
    assert (caught.value.params["field"], caught.value.params["allowed"]) == (field, allowed)


def test_a_style_stands_in_both_prompts_and_under_its_name() -> None:
    plain, _ = settle(I2VGEN_XL)
    styled, _ = settle(I2VGEN_XL, style="水墨")
    assert styled.style == "ink"
    assert styled.prompt == f"the camera pans left, {STYLES['ink'].prompt}"
    assert styled.negative_prompt == f"{plain.negative_prompt}, {STYLES['ink'].negative_prompt}"
    assert (
        settle(I2VGEN_XL, style="oil", negative_prompt="")[0].negative_prompt == STYLES["oil"].negative_prompt
    )


@pytest.mark.parametrize("spec", [EMBEDDED, CAMERA_MOVE, SVD])
def test_a_style_is_refused_where_words_about_a_look_mean_nothing(spec: EngineSpec) -> None:
    prompt = {"prompt": ""} if spec is SVD else {}
    with pytest.raises(InvalidRequest) as caught:
        settle(spec, style="oil", **prompt)
    assert (caught.value.code, caught.value.params["field"]) == ("request.not_supported", "style")


def test_what_an_engine_does_not_take_stands_in_no_generation() -> None:
    """Presets have numbers for all; what nothing reads has the value that says so."""
    can = Capabilities(
        prompt="none",
        negative_prompt=False,
        guidance_scale=False,
        num_inference_steps=False,
        target_fps=False,
        seed=False,
    )
    spec = replace(I2VGEN_XL, capabilities=can)
    generation, notices = resolve(GenerationRequest.parse({"fps": 30}), spec, load_presets(), PHOTO)
    assert (generation.prompt, generation.negative_prompt, generation.seed) == ("", "", 0)
    assert (generation.num_inference_steps, generation.guidance_scale, generation.target_fps) == (0, 1.0, 30)
    assert "request.target_fps_clamped" not in [notice.code for notice in notices]


def test_a_crop_settles_the_shape_as_if_the_picture_were_that_part() -> None:
    whole, _ = settle(I2VGEN_XL, size=(2000, 2000))
    part, _ = settle(I2VGEN_XL, crop="0.25,0,0.75,1")
    assert (part.width, part.height) == settle_size((1500, 2000))
    assert part.crop is not None
    assert part.crop.box(PHOTO) == (750, 0, 2250, 2000)
    assert whole.crop is None


def settle_size(size: tuple[int, int]) -> tuple[int, int]:
    generation, _ = settle(I2VGEN_XL, size=size)
    return generation.width, generation.height


@pytest.mark.parametrize(("size", "crop"), [((100, 100), "0,0,0.1,1"), ((3000, 2000), "0,0,1,0.05")])
def test_a_crop_that_leaves_no_picture_is_refused(size: tuple[int, int], crop: str) -> None:
    with pytest.raises(InvalidRequest, match=r"crop.*at least 16 pixels a side, and at most 8 times"):
        settle(I2VGEN_XL, size=size, crop=crop)


def test_a_path_and_pictures_at_later_frames_are_refused() -> None:
    fields = {"prompt": "x", "inputs": [{"role": "keyframe", "frame": 8}], "options": {"pan": 0.1}}
    with pytest.raises(InvalidRequest) as caught:
        settle(ANIMATEDIFF, **fields)
    assert caught.value.code == "request.path_with_pictures"
    assert settle(ANIMATEDIFF, **{**fields, "options": {}})[0].strength == 1


def test_a_clip_that_follows_a_path_makes_the_last_steps_exactly() -> None:
    request = GenerationRequest.parse({"prompt": "the camera pans left"})
    generation, notices = resolve(request, EMBEDDED, {}, (512, 512), certificates=[PROVEN])
    assert (generation.strength, generation.speed) == (0.1, "exact")
    assert [notice.code for notice in notices] == ["camera.pan_left"]
    fields = {"prompt": "x", "options": {"camera_strength": 1}}
    alone, _ = resolve(GenerationRequest.parse(fields), EMBEDDED, {}, (512, 512), certificates=[PROVEN])
    assert (alone.strength, alone.speed) == (1, "fast")


@pytest.mark.parametrize("fields", [{"options": {"pan": 0.1}}, {"loop": True}, {"story": ["2: zoom in"]}])
def test_a_style_picture_is_of_no_frame_and_goes_with_paths_loops_and_stories(
    fields: dict[str, object],
) -> None:
    generation, _ = settle(ANIMATEDIFF, prompt="x", inputs=[{"role": "style_image"}], **fields)
    assert [picture.role for picture in generation.inputs] == ["style_image"]
    assert generation.options["ip_adapter_scale"] == 0.6


def test_there_is_one_style_picture_and_only_where_an_engine_takes_one() -> None:
    style = {"role": "style_image"}
    for spec, inputs, code in (
        (ANIMATEDIFF, [style, style], "request.invalid"),
        (EMBEDDED, [style], "request.not_supported"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            settle(spec, prompt="the camera pans left", inputs=inputs)
        assert (caught.value.code, caught.value.params["field"]) == (code, "inputs")
