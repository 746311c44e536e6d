"""What only this family can be asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from i2v.core.generation import Generation
from i2v.core.inputs import StyleImage
from i2v.engines.animatediff.options import AnimateDiffOptions, options_of


def test_the_strength_is_bounded_and_usually_diffusers_own(clip: Generation) -> None:
    assert options_of(clip).controlnet_conditioning_scale == 1.0
    for wrong in (-0.1, 2.1, "much"):
        with pytest.raises(ValidationError):
            AnimateDiffOptions.model_validate({"controlnet_conditioning_scale": wrong})


@pytest.mark.parametrize(("asked", "settled"), [(None, 0.6), (0.0, 0.0), (1.2, 1.2)])
def test_a_style_picture_has_a_strength_and_a_clip_without_one_says_nothing_of_it(
    clip: Generation, asked: float | None, settled: float
) -> None:
    options = AnimateDiffOptions(ip_adapter_scale=asked)
    styled = replace(clip, inputs=(StyleImage("style_image"),))
    assert options.completed(styled)[0].ip_adapter_scale == settled
    assert options.completed(clip)[0].ip_adapter_scale is None
