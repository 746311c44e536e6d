"""A tiny random model, a picture for it, and what is asked of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Inputs
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.specs import WAN_TI2V_5B
from tests.tiny_wan import write_tiny_wan, write_tiny_wan_a14b


@pytest.fixture(scope="session")
def wan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wan")
    write_tiny_wan(folder)
    return folder


@pytest.fixture(scope="session")
def a14b_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a14b")
    write_tiny_wan_a14b(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(wan_folder: Path) -> WanEngine:
    return WanEngine.load(WAN_TI2V_5B, wan_folder, MemoryPlan("cpu", "float32"))


@pytest.fixture
def engine(loaded: WanEngine) -> WanEngine:
    loaded.adopt(MemoryPlan("cpu", "float32"))
    return loaded


@pytest.fixture(scope="module")
def image(photo: Image.Image) -> Image.Image:
    return photo.resize((96, 64))


@pytest.fixture
def clip() -> Generation:
    return Generation(
        prompt="the camera pans left", negative_prompt="a cat, 猫", width=96, height=64, generated_width=96,
        generated_height=64, fit="keep", num_frames=9, fps=24, target_fps=24, num_inference_steps=4,
        guidance_scale=4.0, seed=7, engine="wan-ti2v-5b",
    )  # fmt: skip


@pytest.fixture
def small_clip(clip: Generation) -> Generation:
    """Of I2V-A14B, whose VAE has more to do."""
    size = {"width": 64, "height": 48, "generated_width": 64, "generated_height": 48}
    return replace(clip, engine="wan-i2v-a14b", fps=16, target_fps=16, num_frames=5, **size)


@pytest.fixture(scope="module")
def small_inputs(photo: Image.Image) -> Inputs:
    return Inputs(photo.resize((64, 48)))
