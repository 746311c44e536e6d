"""i2v.engines.wan.stock: diffusers' pipeline as an engine. Parity with ours: `test_engine`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Decoded, Inputs
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.engines.wan.stock import StockEngine, load_stock


def test_it_makes_what_the_pipeline_makes_when_a_person_calls_it(
    wan_folder: Path, clip: Generation, image: Image.Image
) -> None:
    asked = replace(clip, num_inference_steps=1)
    engine = StockEngine.load(WAN_TI2V_5B, wan_folder, MemoryPlan("cpu", "float32", threads=1))
    (event,) = engine.generate(asked, Inputs(image))
    assert isinstance(event, Decoded)
    whole = load_stock(wan_folder)(
        image, asked.prompt, asked.negative_prompt, 64, 96, 9, num_inference_steps=1, guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(asked.seed), output_type="np", return_dict=False,
    )[0]  # fmt: skip
    assert np.abs(whole[0] - event.frames / 255).max() <= 0.6 / 255
