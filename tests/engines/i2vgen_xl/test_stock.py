"""i2v.engines.i2vgen_xl.stock: diffusers' pipeline as an engine. Parity with ours: `test_engine`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Decoded, Inputs
from i2v.engines.i2vgen_xl.stock import StockEngine, load_stock, run_stock


@pytest.mark.slow
def test_it_makes_what_the_pipeline_makes_when_a_person_calls_it(
    tiny_spec: EngineSpec, tiny_folder: Path, generation: Generation, photo: Image.Image
) -> None:
    engine = StockEngine.load(tiny_spec, tiny_folder, MemoryPlan("cpu", "float32", threads=1))
    torch.manual_seed(0)  # of the first frame, which has no generator
    (event,) = engine.generate(generation, Inputs(photo))
    assert isinstance(event, Decoded)
    torch.manual_seed(0)
    _, frames = run_stock(load_stock(tiny_folder), generation, photo, decode_chunk_size=1)
    assert event.frames.shape == (generation.num_frames, 64, 96, 3)
    np.testing.assert_array_equal(event.frames, frames)


def test_a_dtype_is_taken_as_the_plan_has_it(tiny_spec: EngineSpec, tiny_folder: Path) -> None:
    engine = StockEngine.load(tiny_spec, tiny_folder, MemoryPlan("cpu", "bfloat16", threads=1))
    assert engine.pipeline.unet.dtype == torch.bfloat16
