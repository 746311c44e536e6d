"""i2v.pipeline.checks: what an engine cannot do is refused, with what it can."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import pytest

from i2v.core.bounds import Within
from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts, Options
from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.engines.i2vgen_xl.options import I2VGenXLOptions
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.pipeline.checks import OPTIONAL_FIELDS, check_request


class Knobs(Options):
    motion: Annotated[int, Within(1, 255)] | None = None
    smooth: bool = False


BARE = replace(
    I2VGEN_XL,
    title="Bare",
    options_model=Knobs,
    capabilities=Capabilities(
        prompt="none",
        num_frames=FrameCounts(5, 81, step=4),
        fps=(24, 60),
        largest_side=1024,
        fits=("keep",),
        **dict.fromkeys(OPTIONAL_FIELDS, False),
    ),
)


def check(spec: EngineSpec = BARE, **fields: object) -> Options:
    return check_request(GenerationRequest.parse(fields), spec)


def refusal(spec: EngineSpec = BARE, **fields: object) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        check(spec, **fields)
    assert caught.value.message.isprintable()
    return caught.value.code, str(caught.value.params.get("field", ""))


def test_what_an_engine_can_do_is_asked_for_freely() -> None:
    assert check() == Knobs()
    assert check(num_frames=81, fps=24, width=1024, height=64, negative_prompt="", prompt=" ") == Knobs()
    assert check(options={"motion": "127", "smooth": "true"}) == Knobs(motion=127, smooth=True)
    assert check(I2VGEN_XL, prompt="pan", seed=7, guidance_scale=9) == I2VGenXLOptions()


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"prompt": "pan"}, ("request.not_supported", "prompt")),
        ({"negative_prompt": "blur"}, ("request.not_supported", "negative_prompt")),
        ({"guidance_scale": 1}, ("request.not_supported", "guidance_scale")),
        ({"num_inference_steps": 1}, ("request.not_supported", "num_inference_steps")),
        ({"target_fps": 24}, ("request.not_supported", "target_fps")),
        ({"seed": 0}, ("request.not_supported", "seed")),
        ({"num_frames": 82}, ("request.invalid", "num_frames")),
        ({"fps": 23}, ("request.invalid", "fps")),
        ({"fit": "pad"}, ("request.invalid", "fit")),
        ({"width": 1025, "height": 64}, ("request.invalid", "width")),
        ({"options": {"motion": 0}}, ("request.invalid", "options.motion")),
        ({"options": {"smooth": "perhaps"}}, ("request.invalid", "options.smooth")),
        ({"options": {"motoin": 9}}, ("request.unknown_field", "options.motoin")),
    ],
)
def test_what_it_cannot_do_is_refused_by_its_name(
    fields: dict[str, object], refused: tuple[str, str]
) -> None:
    assert refusal(**fields) == refused


def test_a_prompt_that_is_needed_is_asked_for() -> None:
    assert refusal(I2VGEN_XL) == ("request.missing_field", "prompt")
    assert refusal(I2VGEN_XL, prompt="\u3000") == ("request.blank_prompt", "")


def test_an_engine_without_options_takes_none() -> None:
    none = replace(I2VGEN_XL, options_model=Options)
    assert refusal(none, prompt="pan", options={"zoom": 1}) == ("request.not_supported", "options.zoom")


@pytest.mark.parametrize("options", ["zoom", "[1]", "{", "null"])
def test_options_that_are_no_object_are_refused(options: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        GenerationRequest.parse({"options": options})
    assert (caught.value.code, caught.value.params["field"]) == ("request.invalid", "options")
    assert GenerationRequest.parse({"options": '{"zoom": 1}'}).options == {"zoom": 1}
