"""i2v.engines.i2vgen_xl.finite: what the engine makes, and a stop at the first number that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Decoded, Denoised, Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.finite import FiniteEngine

PLAN = MemoryPlan("cpu", "float32", threads=1)


def test_its_clip_is_the_engines(
    tiny_spec: EngineSpec, tiny_folder: Path, generation: Generation, photo: Image.Image
) -> None:
    clips = [
        list(kind.load(tiny_spec, tiny_folder, PLAN).generate(generation, Inputs(photo)))
        for kind in (I2VGenXLEngine, FiniteEngine)
    ]
    ours, watched = (
        np.concatenate([each.frames for each in clip if isinstance(each, Decoded)]) for clip in clips
    )
    np.testing.assert_array_equal(ours, watched)
    assert [type(event) for event in clips[1]] == [type(event) for event in clips[0]]


@pytest.mark.parametrize(
    ("part", "what", "step"), [("unet", "latents", 1), ("text_encoder", "prompt", 0), ("vae", "picture", 0)]
)
def test_a_number_that_is_none_is_reported_with_its_place(
    tiny_spec: EngineSpec,
    tiny_folder: Path,
    generation: Generation,
    photo: Image.Image,
    part: str,
    what: str,
    step: int,
) -> None:
    engine = FiniteEngine.load(tiny_spec, tiny_folder, PLAN)
    with torch.no_grad():
        for weight in getattr(engine.components, part).parameters():
            weight.fill_(torch.nan)
    seen = []
    with pytest.raises(I2VError) as caught:
        seen.extend(engine.generate(generation, Inputs(photo)))
    assert (caught.value.code, caught.value.params["what"], caught.value.params["step"]) == (
        "bench.not_finite",
        what,
        step,
    )
    assert not any(isinstance(event, Denoised) for event in seen)
