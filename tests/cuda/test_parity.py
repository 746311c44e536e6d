"""The embedded model in every type: one evaluation and whole clips, held to stock's in float32."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Decoded, Engine, Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.i2vgen_xl.stock import StockEngine
from i2v.media.image import fit_picture
from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.cuda_check.evaluation import errors, float32_reference, true_float32
from scripts.cuda_check.sides import DType, Subject
from scripts.cuda_check.subjects import Size
from tests.cuda.devices import DEVICES, DTYPES

SMALL = Size(96, 5, 1)
LEAST_LEVELS = 0.5  # of 255, on average: frames in another order of sums
NEAR = 1.5  # ours may be so many times as far off as stock


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
def test_one_evaluation_is_as_near_to_float32_as_stocks_by_every_way(device: str, dtype: DType) -> None:
    subject = Subject(EMBEDDED, FOLDER, device)  # type: ignore[arg-type]
    inputs, reference = float32_reference(subject, SMALL)
    found = errors(subject.load_pair(dtype), inputs, reference)
    assert {"stock", "plain"} <= found.keys()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
def test_frames_are_as_near_to_float32_as_stocks(
    device: str, dtype: str, generation: Generation, photo: Image.Image
) -> None:
    asked = replace(generation, generated_width=128, generated_height=96, engine=EMBEDDED.name)
    image = fit_picture(photo, 128, 96, "crop").image
    spec = replace(EMBEDDED, facts=replace(EMBEDDED.stock_facts, sample_posterior=False))  # type: ignore[type-var]
    plan = MemoryPlan(device, dtype)  # type: ignore[arg-type]
    exact = frames_of(StockEngine.load(spec, FOLDER, replace(plan, dtype="float32")), asked, image)
    theirs = apart(frames_of(StockEngine.load(spec, FOLDER, plan), asked, image), exact)
    ours = apart(frames_of(load_ours(spec, plan), asked, image), exact)
    assert exact.std() > 10, "a blank clip proves nothing"
    assert ours <= max(NEAR * theirs, LEAST_LEVELS)


def load_ours(spec: EngineSpec, plan: MemoryPlan) -> I2VGenXLEngine:
    return I2VGenXLEngine.load(spec, FOLDER, plan)


def frames_of(engine: Engine, asked: Generation, image: Image.Image) -> NDArray[np.uint8]:
    """Return the clip's frames. The first one is the posterior's mean: what is drawn differs by type."""
    mean = mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    with mean, true_float32(), torch.inference_mode(False):
        events = list(engine.generate(asked, Inputs(image)))
    return np.concatenate([event.frames for event in events if isinstance(event, Decoded)])


def apart(ones: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Return the mean difference in levels of 255."""
    return float(np.abs(ones.astype(int) - others).mean())
