"""What only this family can be asked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from i2v.core.schema import Generation
from i2v.engines.animatediff.options import AnimateDiffOptions, options_of


def test_the_strength_is_bounded_and_usually_diffusers_own(clip: Generation) -> None:
    assert options_of(clip).controlnet_conditioning_scale == 1.0
    for wrong in (-0.1, 2.1, "much"):
        with pytest.raises(ValidationError):
            AnimateDiffOptions.model_validate({"controlnet_conditioning_scale": wrong})
