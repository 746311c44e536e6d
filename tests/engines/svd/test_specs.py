"""Facts of both models, and what a request becomes with them."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.svd.specs import SVD, SVD_XT
from i2v.pipeline.checks import check_request
from i2v.pipeline.resolve import resolve

WIDE = (1920, 1080)


@pytest.mark.parametrize(("spec", "frames"), [(SVD, 14), (SVD_XT, 25)], ids=["svd", "svd-xt"])
def test_the_standard_clip_is_what_the_model_was_trained_on(spec: object, frames: int) -> None:
    asked = GenerationRequest.parse({"engine": spec.name, "preset": "standard"})
    generation, notices = resolve(asked, spec, load_presets(), WIDE)
    assert (generation.generated_width, generation.generated_height) == (1024, 576)
    assert (generation.num_frames, generation.fps, generation.num_inference_steps) == (frames, 7, 25)
    assert notices == ()


def test_more_pixels_than_that_are_scaled_up() -> None:
    asked = GenerationRequest.parse({"engine": "svd", "preset": "extreme"})
    generation, _ = resolve(asked, SVD, load_presets(), WIDE)
    assert (generation.generated_width, generation.generated_height) == (1024, 576)
    assert generation.width > 1024


def test_other_numbers_of_frames_are_noticed() -> None:
    asked = GenerationRequest.parse({"engine": "svd", "num_frames": 25})
    _, (notice,) = resolve(asked, SVD, load_presets(), WIDE)
    assert notice.message == (
        "Stable Video Diffusion was trained on 14 frames; with 25 frames the motion may drift."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "a cat"),
        ("negative_prompt", "blurry"),
        ("guidance_scale", 3.0),
        ("fps", 31),
        ("num_frames", 51),
    ],
)
def test_what_it_cannot_do_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(GenerationRequest.parse({"engine": "svd", name: value}), SVD)
    assert caught.value.params["field"] == name


def test_auto_never_takes_it_and_its_licence_is_accepted_first() -> None:
    for spec in (SVD, SVD_XT):
        assert spec.rank is None
        (repository,) = spec.published
        assert repository.must_accept
        assert repository.revision in repository.licence_url
        assert len(repository.revision) == 40
