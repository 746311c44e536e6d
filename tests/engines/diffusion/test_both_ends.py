"""diffusion.both_ends: a clip between two pictures, by models that know only the first one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import Denoised, Inputs, engine_class
from i2v.engines.diffusion.both_ends import blended
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.svd.specs import SVD
from i2v.memory.model import denoising_work, memory_model
from tests.engines.subjects import asked, write_weights

PLAN = MemoryPlan("cpu", "float32")
LAST = [{"role": "last_image"}]


def test_each_prediction_counts_the_more_the_nearer_its_picture_is() -> None:
    forwards = torch.zeros((1, 2, 5, 3, 3))
    backwards = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 2, 5, 3, 3)  # its first frame is the last one
    made = blended(forwards, backwards, axis=2)
    assert made[0, 0, :, 0, 0].tolist() == [0, 0.75, 1, 0.75, 0]
    assert torch.equal(
        blended(forwards.transpose(1, 2), backwards.transpose(1, 2), axis=1), made.transpose(1, 2)
    )


@pytest.mark.parametrize(
    "spec", [pytest.param(I2VGEN_XL, marks=pytest.mark.slow), SVD], ids=lambda spec: spec.name
)
def test_a_clip_ends_with_its_last_picture_which_bears_on_the_frames_before(
    spec: EngineSpec, photo: Image.Image, tmp_path: Path
) -> None:
    engine = engine_class(spec).load(spec, write_weights(spec, tmp_path / "model"), PLAN)
    generation = asked(spec, num_inference_steps=3, inputs=LAST)
    picture = photo.resize((generation.generated_width, generation.generated_height))

    def run(last: Image.Image, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int_]]:
        inputs = Inputs(picture, last_image=last)
        events = engine.generate(replace(generation, seed=seed), inputs)
        # Of latents, since the decoder's norms mix all places.
        return [event.preview() for event in events if isinstance(event, Denoised)][-1].astype(int)

    one, other, else_where = run(picture, 1), run(picture, 2), run(ImageOps.invert(picture), 1)
    assert np.abs(one[-1] - other[-1]).max() <= 1, "it is the picture, whatever the noise"
    assert np.abs(one[-2] - other[-2]).max() > 1
    assert (one[-1] != else_where[-1]).any()
    middle = generation.num_frames // 2
    assert (one[middle] != else_where[middle]).any()


def test_it_is_said_takes_twice_the_work_and_is_not_for_the_demo_model() -> None:
    plain, both = asked(I2VGEN_XL), asked(I2VGEN_XL, inputs=LAST)
    work = denoising_work({I2VGEN_XL.name: I2VGEN_XL})
    assert work(both) == 2 * work(plain)
    for spec in (I2VGEN_XL, SVD):
        estimates = [
            memory_model(spec).estimate(spec, asked(spec, inputs=inputs), PLAN) for inputs in ([], LAST)
        ]
        once, twice = (each.stage(Stage.DENOISE).flops for each in estimates if each is not None)
        assert twice == 2 * once, "the guess for a card that nothing was made on"
    with pytest.raises(InvalidRequest) as caught:
        asked(EMBEDDED, inputs=LAST)
    assert caught.value.code == "request.not_supported"
