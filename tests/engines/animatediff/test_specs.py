"""Facts of the model, and what a request becomes with them."""

from __future__ import annotations

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.animatediff.specs import ANIMATEDIFF, ANIMATEDIFF_LIGHTNING, ANIMATELCM, IP_ADAPTER
from i2v.pipeline.resolve import resolve
from i2v.weights.parts import needed_files, part_of

SQUARE = (1024, 1024)


def resolved(**fields: object) -> tuple[object, tuple[str, ...]]:
    asked = GenerationRequest.parse({"engine": "animatediff", "prompt": "zoom in", **fields})
    generation, notices = resolve(asked, ANIMATEDIFF, load_presets(), SQUARE)
    return generation, tuple(notice.message for notice in notices)


def test_the_standard_clip_is_what_the_model_was_trained_on() -> None:
    generation, notices = resolved()
    assert (generation.generated_width, generation.generated_height) == (512, 512)
    assert (generation.num_frames, generation.fps, generation.num_inference_steps) == (16, 8, 25)
    assert (generation.guidance_scale, generation.options) == (7.5, {"controlnet_conditioning_scale": 1.0})
    assert notices == ()


def test_sixteen_frames_are_its_window_and_its_positions_end_at_32() -> None:
    _, (notice,) = resolved(num_frames=24)
    assert notice == "AnimateDiff was trained on 16 frames; with 24 frames the motion may drift."
    with pytest.raises(InvalidRequest) as caught:
        resolved(num_frames=33)
    assert caught.value.params["field"] == "num_frames"


def test_a_keyframe_is_within_the_clip_and_not_its_last_image() -> None:
    keyframe, last = {"role": "keyframe", "frame": 15}, {"role": "last_image"}
    resolved(inputs=[keyframe])
    for wrong in ([keyframe, last], [{"role": "keyframe", "frame": 16}], [keyframe, keyframe]):
        with pytest.raises(InvalidRequest) as caught:
            resolved(inputs=wrong)
        assert caught.value.params["field"] == "inputs.frame"


def test_three_repositories_form_the_model_and_every_licence_is_accepted_first() -> None:
    assert ANIMATEDIFF.rank is None, "auto never takes it"
    base, adapter, sparse = ANIMATEDIFF.published
    assert part_of(ANIMATEDIFF, ANIMATEDIFF.files[0]) == base
    for part in (adapter, sparse):
        assert needed_files(ANIMATEDIFF, part) == ["config.json", "diffusion_pytorch_model.safetensors"]
    assert "model_index.json" in needed_files(ANIMATEDIFF, base)
    assert base.licence == "CreativeML Open RAIL-M"
    for part in ANIMATEDIFF.published:
        assert part.must_accept
        assert len(part.revision) == 40


def test_one_ip_adapter_reads_the_style_pictures_of_all_three() -> None:
    for spec in (ANIMATEDIFF, ANIMATEDIFF_LIGHTNING, ANIMATELCM):
        assert "style_image" in spec.capabilities.inputs
        assert spec.input_models == {"style_image": IP_ADAPTER}
    (repository,) = IP_ADAPTER.published
    assert needed_files(IP_ADAPTER, repository) == list(IP_ADAPTER.files)
    assert (repository.licence, repository.must_accept, len(repository.revision)) == ("Apache-2.0", False, 40)
