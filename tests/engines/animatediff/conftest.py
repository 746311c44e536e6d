"""A tiny model of this family, loaded once, and a clip of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.base import Inputs
from tests.tiny_animatediff import write_tiny_animatediff, write_tiny_style_model


@pytest.fixture(scope="session")
def animatediff_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("animatediff")
    write_tiny_animatediff(folder)
    return folder


@pytest.fixture(scope="session")
def style_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ip-adapter")
    write_tiny_style_model(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(animatediff_folder: Path) -> AnimateDiffEngine:
    return AnimateDiffEngine.load(ANIMATEDIFF, animatediff_folder, MemoryPlan("cpu", "float32"))


@pytest.fixture
def engine(loaded: AnimateDiffEngine) -> AnimateDiffEngine:
    loaded.adopt(MemoryPlan("cpu", "float32"))
    return loaded


@pytest.fixture(scope="module")
def inputs(photo: Image.Image) -> Inputs:
    return Inputs(photo.resize((64, 48)))


@pytest.fixture
def clip() -> Generation:
    return Generation(
        prompt="the camera pans left", negative_prompt="dark", width=64, height=48, generated_width=64,
        generated_height=48, fit="keep", num_frames=5, fps=8, target_fps=8, num_inference_steps=3,
        guidance_scale=7.5, seed=7, engine="animatediff",
    )  # fmt: skip
