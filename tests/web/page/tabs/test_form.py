"""The form without a browser: what it shows of two engines that have nothing in common, and asks of them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.web.page.tabs.form import Form
from i2v.web.page.tabs.widgets import Labels
from i2v.web.page.tips import TIPS
from tests.contrary import CONTRARY

FEW = replace(I2VGEN_XL, name="few", capabilities=Capabilities(num_frames=FrameCounts(only=(14, 25))))
ENGINES = {spec.name: spec for spec in (I2VGEN_XL, CONTRARY, FEW)}
NUMBERS = {"num_frames": 48, "fps": 24, "num_inference_steps": 0, "guidance_scale": 1.0}
OFF = ("prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "speed", "seed")


@pytest.fixture(scope="module")
def form() -> Form:
    async def build() -> Form:  # in a loop: else Gradio makes one and never closes it
        with gr.Blocks(analytics_enabled=False):
            labels = Labels()
            made = Form(labels, ENGINES)
            made.further(labels)
            made.advanced(labels)
            return made

    return asyncio.run(build())


def values(form: Form, **changed: Any) -> dict[Any, Any]:
    """Return what a browser would send of an untouched form, but for `changed`."""
    untouched = {widget: getattr(widget, "value", None) for widget in form.inputs()}
    return untouched | {getattr(form, name): value for name, value in changed.items()}


def option(form: Form, name: str) -> Any:
    return next(each for each in form.options.widgets() if each.elem_id == f"i2v-option-contrary-{name}")


def visible(form: Form, spec: EngineSpec, numbers: dict[str, Any]) -> set[str]:
    """Return which of the form's widgets are shown."""
    updates = form.shape(spec, numbers)
    shown = {widget for widget, update in updates.items() if update.get("visible")}
    return {
        name for name, widget in vars(form).items() if isinstance(widget, gr.blocks.Block) and widget in shown
    }


def test_what_an_engine_has_no_use_for_is_not_shown(form: Form) -> None:
    assert visible(form, CONTRARY, NUMBERS) == {"num_frames", "fps"}
    usual = {**NUMBERS, "num_inference_steps": 50}
    assert visible(form, I2VGEN_XL, usual) == {"num_frames", "fps", "helper", "style", *OFF}


def test_the_options_of_one_engine_are_shown_at_a_time(form: Form) -> None:
    seen = [
        [shape[group]["visible"] for group in form.options.groups()]
        for shape in (
            form.shape(CONTRARY, NUMBERS),
            form.shape(I2VGEN_XL, NUMBERS | {"num_inference_steps": 50}),
        )
    ]
    assert [sum(shown) for shown in seen] == [1, 1]
    assert seen[0] != seen[1]


def test_sliders_reach_as_far_as_the_engine_does(form: Form) -> None:
    updates = form.shape(CONTRARY, NUMBERS)
    frames, fps = updates[form.num_frames], updates[form.fps]
    assert (frames["minimum"], frames["maximum"], frames["step"], frames["value"]) == (24, 3600, 1, 48)
    assert (fps["minimum"], fps["maximum"], fps["value"]) == (24, 60, 24)


def test_a_slider_grows_to_what_was_asked_for_elsewhere(form: Form) -> None:
    updates = form.shape(I2VGEN_XL, NUMBERS | {"num_inference_steps": 150, "num_frames": 2})
    assert updates[form.num_inference_steps]["maximum"] == 150
    assert updates[form.num_frames]["minimum"] == 2


def test_a_few_numbers_of_frames_are_a_choice(form: Form) -> None:
    updates = form.shape(FEW, NUMBERS | {"num_inference_steps": 25, "num_frames": 24})
    choice = updates[form.num_frames_of]
    assert updates[form.num_frames]["visible"] is False
    assert (choice["visible"], choice["choices"], choice["value"]) == (True, [14, 25], 25)
    assert form.fields(values(form, num_frames=16, num_frames_of=14), FEW)["num_frames"] == 14


def test_a_request_has_nothing_of_what_is_not_shown(form: Form) -> None:
    given = values(form, prompt="left", negative_prompt="blur", seed="7", speed="fast", num_frames=48, fps=24)
    assert form.fields(given, CONTRARY) == {
        "prompt": "", "preset": "standard", "fit": "keep", "num_frames": 48, "fps": 24,
        "options": {"strength": 1.0, "bucket": 127, "mirror": False},
    }  # fmt: skip
    asked = form.fields(given, I2VGEN_XL)
    assert (
        asked.items() >= {"prompt": "left", "negative_prompt": "blur", "seed": "7", "speed": "fast"}.items()
    )
    assert "options" not in asked


def test_style_and_frame_rate_are_asked_for_and_brought_back(form: Form) -> None:
    given = values(form, prompt="left", style="oil", output_fps="60", upscaler="lanczos")
    asked = form.fields(given, I2VGEN_XL)
    wanted = {"style": "oil", "output_fps": "60", "upscaler": "lanczos"}
    assert asked.items() >= wanted.items()
    assert form.fields(values(form), I2VGEN_XL).keys().isdisjoint(wanted)
    assert "style" not in form.fields(given, CONTRARY)
    for fields, filled in (({**wanted, "output_fps": 60}, wanted), ({}, dict.fromkeys(wanted, ""))):
        updates = form.filled(fields, I2VGEN_XL)
        assert {name: updates[getattr(form, name)] for name in wanted} == filled
        assert {getattr(form, name) for name in wanted} <= set(form.kept())
    odd = form.filled({"output_fps": 37, "upscaler": "span"}, I2VGEN_XL)
    assert odd[form.output_fps] == "", "no choice of the page"
    assert odd[form.upscaler] in ("", "span"), "where it is installed"


def test_options_become_what_their_kind_is_and_empty_ones_are_left_out(form: Form) -> None:
    written = {"shift": " 0.25 ", "path": "arc", "loop": "false", "words": " as it is", "points": "[1, 2.5]"}
    given = values(form) | {option(form, name): value for name, value in written.items()}
    options = form.fields(given, CONTRARY)["options"]
    assert options == {
        "strength": 1.0, "shift": "0.25", "bucket": 127, "path": "arc", "mirror": False, "loop": False,
        "words": " as it is", "points": [1, 2.5],
    }  # fmt: skip
    CONTRARY.options_model.model_validate(options)


def test_what_cannot_be_read_goes_on_as_it_is_to_be_refused(form: Form) -> None:
    given = values(form) | {option(form, "points"): "[1,", option(form, "path"): "zigzag"}
    options = form.fields(given, CONTRARY)["options"]
    assert isinstance(options, dict)
    assert (options["points"], options["path"]) == ("[1,", "zigzag")


def test_the_options_of_a_job_come_back_and_those_it_did_not_give_are_empty(form: Form) -> None:
    options = {"shift": 0.25, "mirror": True, "loop": False, "points": [1], "strength": 2}
    filled = form.filled({"prompt": "", "options": options}, CONTRARY)
    held = {name: filled[option(form, name)] for name in ("shift", "mirror", "loop", "points", "strength")}
    assert held == {"shift": "0.25", "mirror": True, "loop": "false", "points": "[1]", "strength": 2}
    assert [filled[option(form, name)] for name in ("path", "words", "bucket")] == ["", "", 127]
    again = form.fields(values(form) | filled, CONTRARY)["options"]
    expected = {**options, "shift": "0.25", "bucket": 127}
    assert again == expected


@pytest.mark.parametrize("options", [None, 3, "x", []])
def test_options_of_another_version_that_are_no_object_are_none(form: Form, options: object) -> None:
    assert form.filled({"options": options}, CONTRARY)[option(form, "shift")] == ""


def test_a_clips_seed_and_engine_come_back_too(form: Form) -> None:
    filled = form.repeated({"prompt": "x", "seed": 7, "engine": "i2vgen-xl"}, I2VGEN_XL)
    assert (filled[form.seed], filled[form.engine], filled[form.prompt]) == ("7", "i2vgen-xl", "x")


def test_every_setting_has_a_sentence_of_help(form: Form) -> None:
    settings = [form.preset, form.engine, *form.settings(), form.negative_prompt, form.seed, form.own.name]
    bare = {
        widget.elem_id
        for widget in settings
        if isinstance(widget, gr.Textbox | gr.Dropdown | gr.Radio | gr.Slider) and not widget.info
    }
    untold = {name for name in bare if not any(re.fullmatch(pattern, str(name)) for pattern in TIPS)}
    untold = {name for name in untold if "contrary" not in str(name)}  # the test engine's say nothing
    assert untold == {"i2v-prompt", "i2v-place"}, "one says it in its placeholder, the other cannot be seen"


@pytest.mark.parametrize("typed", ["640x360", " 640 × 360 ", "640*360"])
def test_a_size_may_be_typed_in_place_of_a_resolution(form: Form, typed: str) -> None:
    fields = form.fields(values(form, resolution=typed), I2VGEN_XL)
    assert (fields["width"], fields["height"], fields.get("resolution")) == (640, 360, None)


def test_the_size_of_a_job_comes_back(form: Form) -> None:
    fields = {"width": 640, "height": 360}
    filled = form.filled(fields, I2VGEN_XL)
    assert form.fields(values(form, resolution=filled[form.resolution]), I2VGEN_XL).items() >= fields.items()


def test_a_visitors_copy_of_a_slider_takes_any_number(form: Form) -> None:
    """Gradio copies a widget from its class once it is updated; its own would refuse with a bare "Error"."""
    copied = type(form.num_frames)(24, 3600, 48)
    assert copied.preprocess(8) == 8
    assert copied.get_block_name() == "slider"


def test_the_ways_with_another_shape_are_the_engines_in_the_language_of_the_page(form: Form) -> None:
    two = replace(CONTRARY, capabilities=replace(CONTRARY.capabilities, fits=("keep", "crop")))
    update = form.choices(two, "zh-CN", "pad")[form.fit]
    assert (update["choices"], update["value"]) == (
        [("与图片一致", "keep"), ("裁剪成正方形", "crop")],
        "keep",
    )
    assert form.choices(two, "en", "crop")[form.fit]["value"] == "crop"
    assert form.choices(CONTRARY, "en")[form.fit]["visible"] is False  # there is nothing to choose


def test_a_device_is_chosen_only_where_there_are_several(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    assert form.choices(I2VGEN_XL, "en")[form.device]["visible"] is False
    assert form.filled({"device": "cuda:1"}, I2VGEN_XL)[form.device] == "", "there is none"
    monkeypatch.setattr(form, "_devices", lambda: ["cuda:0", "cuda:0", "cuda:1", ""])
    shown = form.choices(I2VGEN_XL, "en")[form.device]
    assert shown["visible"] is True
    assert shown["choices"] == [("Any that is free", ""), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")]
    assert form.filled({"device": "cuda:1"}, I2VGEN_XL)[form.device] == "cuda:1"
    assert form.fields(values(form, device="cuda:1"), I2VGEN_XL)["device"] == "cuda:1"
    assert "device" not in form.fields(values(form), I2VGEN_XL)
