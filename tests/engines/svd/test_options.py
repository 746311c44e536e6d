"""What may be asked for, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from i2v.core.generation import Generation
from i2v.engines.svd.options import SVDOptions, options_of

LARGE = {"generated_width": 1024, "generated_height": 576}


def test_the_defaults_are_diffusers(clip: Generation) -> None:
    assert options_of(clip) == SVDOptions(
        motion_bucket_id=127, noise_aug_strength=0.02, min_guidance_scale=1.0, max_guidance_scale=3.0
    )


@pytest.mark.parametrize(
    "given", [{"motion_bucket_id": 0}, {"motion_bucket_id": 256}, {"noise_aug_strength": 1.5}, {"fps": 7}]
)
def test_what_the_model_does_not_know_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SVDOptions.model_validate(given)


@pytest.mark.parametrize(
    ("given", "size", "codes"),
    [
        ({}, LARGE, []),
        ({"motion_bucket_id": 200}, LARGE, ["svd.strong_motion"]),
        ({}, {"generated_width": 512, "generated_height": 512}, ["svd.small"]),
    ],
)
def test_what_is_likely_to_disappoint_is_said(
    clip: Generation, given: dict[str, object], size: dict[str, int], codes: list[str]
) -> None:
    options = SVDOptions.model_validate(given)
    completed, notices = options.completed(replace(clip, **size))
    assert completed == options
    assert [notice.code for notice in notices] == codes


@pytest.mark.parametrize(("low", "high", "guided"), [(1, 1, False), (1, 3, True), (3, 1, True)])
def test_guidance_of_1_in_every_frame_is_none(low: float, high: float, guided: bool) -> None:
    assert SVDOptions(min_guidance_scale=low, max_guidance_scale=high).is_guided == guided
