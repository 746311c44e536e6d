"""i2v.engines.svd.stock: diffusers' pipeline as an engine. Parity with ours: `test_engine`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Decoded, Inputs
from i2v.engines.svd.specs import SVD
from i2v.engines.svd.stock import StockEngine, load_stock, run_stock


def test_it_makes_what_the_pipeline_makes_when_a_person_calls_it(
    svd_folder: Path, clip: Generation, image: Image.Image
) -> None:
    asked = replace(clip, num_inference_steps=1)
    engine = StockEngine.load(SVD, svd_folder, MemoryPlan("cpu", "float32", decode_chunk=2, threads=1))
    (event,) = engine.generate(asked, Inputs(image))
    assert isinstance(event, Decoded)
    pipeline = load_stock(svd_folder)
    assert np.array_equal(event.frames, run_stock(pipeline, asked, image, 2)[1])
    whole = pipeline(
        image, 48, 64, 5, num_inference_steps=1, generator=_seeded(asked), output_type="np", return_dict=False
    )[0]
    assert np.abs(whole - run_stock(pipeline, asked, image)[1] / 255).max() <= 0.6 / 255, "its defaults"


def _seeded(asked: Generation) -> object:
    import torch

    return torch.Generator("cpu").manual_seed(asked.seed)
