"""A tiny random model, a picture for it, and what is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.svd.engine import SVDEngine
from i2v.engines.svd.specs import SVD
from tests.tiny_svd import write_tiny_svd


@pytest.fixture(scope="session")
def svd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("svd")
    write_tiny_svd(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(svd_folder: Path) -> SVDEngine:
    return SVDEngine.load(SVD, svd_folder, MemoryPlan("cpu", "float32"))


@pytest.fixture
def engine(loaded: SVDEngine) -> SVDEngine:
    loaded.adopt(MemoryPlan("cpu", "float32"))
    return loaded


@pytest.fixture(scope="module")
def image(photo: Image.Image) -> Image.Image:
    return photo.resize((64, 48))


@pytest.fixture
def clip() -> Generation:
    return Generation(
        prompt="", negative_prompt="", width=64, height=48, generated_width=64, generated_height=48,
        fit="keep", num_frames=5, fps=7, target_fps=7, num_inference_steps=3, guidance_scale=1.0, seed=7,
        engine="svd",
    )  # fmt: skip
