"""Pictures at their frames, and prompts that are too long."""

from __future__ import annotations

from dataclasses import replace

import torch
from PIL import ImageOps

from i2v.core.generation import Generation
from i2v.engines.animatediff.conditioning import condition, pictures_by_frame
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.base import Inputs


def test_pictures_stand_at_their_frames_with_zeros_between(
    engine: AnimateDiffEngine, clip: Generation, inputs: Inputs
) -> None:
    other = ImageOps.invert(inputs.image)
    given = replace(inputs, keyframes={2: other}, last_image=inputs.image)
    made, notices = condition(engine.components, ANIMATEDIFF, clip, given)
    assert notices == ()
    assert made.pictures.shape == (1, 4, 5, 24, 32)
    assert made.mask[0, 0, :, 0, 0].tolist() == [1, 0, 1, 0, 1]
    assert (made.mask.sum((3, 4)) % (24 * 32) == 0).all()
    assert not made.pictures[:, :, [1, 3]].any()
    assert torch.equal(made.pictures[:, :, 0], made.pictures[:, :, 4])
    assert not torch.equal(made.pictures[:, :, 0], made.pictures[:, :, 2])
    assert len(made.prompt_embeds) == 2
    assert [len(rows.prompt_embeds) for rows in made.split(2)] == [1, 1]


def test_frames_are_in_order_and_the_last_image_is_the_last(inputs: Inputs) -> None:
    given = replace(inputs, keyframes={9: inputs.image, 3: inputs.image}, last_image=inputs.image)
    assert list(pictures_by_frame(given, 16)) == [0, 3, 9, 15]


def test_what_is_cut_off_the_prompts_is_said(
    engine: AnimateDiffEngine, clip: Generation, inputs: Inputs
) -> None:
    long = replace(clip, prompt="a cat " * 60, negative_prompt="a dog " * 60)
    _, notices = condition(engine.components, ANIMATEDIFF, long, inputs)
    assert [notice.code for notice in notices] == ["prompt.negative_truncated", "prompt.truncated"]
    _, notices = condition(engine.components, ANIMATEDIFF, replace(long, guidance_scale=1.0), inputs)
    assert [notice.code for notice in notices] == ["prompt.truncated"]
