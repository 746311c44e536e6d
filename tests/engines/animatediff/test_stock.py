"""i2v.engines.animatediff.stock: diffusers' pipeline as an engine. Parity with ours: `test_engine`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.animatediff.stock import StockEngine, load_stock, run_stock
from i2v.engines.base import Decoded, Inputs


def test_it_makes_what_the_pipeline_makes(animatediff_folder: Path, clip: Generation, inputs: Inputs) -> None:
    asked = replace(clip, num_inference_steps=1)
    engine = StockEngine.load(ANIMATEDIFF, animatediff_folder, MemoryPlan("cpu", "float32", threads=1))
    pipeline = load_stock(animatediff_folder)
    torch.manual_seed(2)  # the pictures' latents are drawn from this one
    (event,) = engine.generate(asked, inputs)
    assert isinstance(event, Decoded)
    torch.manual_seed(2)
    assert np.array_equal(event.frames, run_stock(pipeline, asked, inputs)[1])
