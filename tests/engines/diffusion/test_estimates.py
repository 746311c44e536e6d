"""i2v.engines.diffusion.estimates: how stages become an estimate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.diffusion.estimates import (
    CONTEXT_BYTES,
    STAGES,
    estimated,
    fewer_frames,
    frames_decoded_together,
    interpolated,
    resident_parts,
)

HALF = MemoryPlan("cuda", "float16")
CLIP = Generation(
    prompt="", negative_prompt="", width=512, height=512, generated_width=512, generated_height=512,
    fit="keep", num_frames=16, fps=8, target_fps=8, num_inference_steps=25, guidance_scale=1.0, seed=0,
    engine="",
)  # fmt: skip
WEIGHTS = {"text": 5, "unet": 70, "vae": 20}
FIGURES = {stage: (taken, 1.0) for stage, taken in zip(STAGES, (1, 100, 300), strict=True)}


@pytest.mark.parametrize(
    ("offload", "most", "moved"), [("none", 395, 0), ("encoders", 390, 5), ("model", 320, 95 + 20)]
)
def test_what_is_elsewhere_takes_nothing_of_the_device(offload: str, most: int, moved: int) -> None:
    plan = replace(HALF, offload=offload)  # type: ignore[arg-type]
    found = estimated(FIGURES, resident_parts(plan, ("text",)), ("text",), WEIGHTS, plan, CLIP)
    assert (found.device_bytes - CONTEXT_BYTES, found.moved_bytes) == (most, moved)


def test_every_denoiser_is_there_while_denoising_alone() -> None:
    parts = resident_parts(replace(HALF, offload="model"), ("text",), ("unet", "controlnet"))
    assert parts[Stage.CONDITION] == ("text", "vae")
    assert parts[Stage.DENOISE] == ("unet", "controlnet")


def test_frames_are_decoded_together_as_the_device_likes_it() -> None:
    assert frames_decoded_together(HALF, CLIP) == 16
    assert frames_decoded_together(MemoryPlan("cpu", "float32"), CLIP) == 1
    assert frames_decoded_together(replace(HALF, decode_chunk=3), CLIP) == 3
    assert list(fewer_frames(HALF, CLIP)) == [8, 4, 2, 1]
    assert list(fewer_frames(MemoryPlan("cpu", "float32"), CLIP)) == [1]


def test_lines_go_on_beyond_both_ends() -> None:
    assert [interpolated([2, 4, 8], [10, 20, 30], at) for at in (0, 3, 6, 12)] == [0, 15, 25, 40]
