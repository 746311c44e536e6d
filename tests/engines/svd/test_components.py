"""Loading the parts: each in its dtype, where it is at home, and of the right model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from i2v.core.errors import ModelUnavailable
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.svd.components import load_components
from i2v.engines.svd.specs import SVD

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture
def folder(svd_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(svd_folder, tmp_path / "model")


def test_weights_that_are_offloaded_are_loaded_without_touching_the_device(svd_folder: Path) -> None:
    # where there is no CUDA, anything that touches it raises
    components = load_components(SVD, svd_folder, MemoryPlan("cuda", "float16", offload="model"))
    assert (components.device.type, components.home.type) == ("cuda", "cpu")
    for model in (components.unet, components.vae, components.image_encoder):
        tensors = [*model.parameters(), *model.buffers()]
        assert {tensor.device.type for tensor in tensors} == {"cpu"}
        assert {tensor.dtype for tensor in model.parameters()} == {torch.float16}


def test_another_model_and_another_sampler_are_refused(folder: Path) -> None:
    path = folder / "scheduler/scheduler_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"prediction_type": "epsilon"}))
    with pytest.raises(ModelUnavailable, match="prediction_type is epsilon"):
        load_components(SVD, folder, PLAN)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "I2VGenXLPipeline"}))
    with pytest.raises(ModelUnavailable, match="I2VGenXLPipeline instead of StableVideoDiffusionPipeline"):
        load_components(SVD, folder, PLAN)


@pytest.mark.parametrize("name", ["unet/config.json", "image_encoder/model.fp16.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable, match=name.removesuffix(".fp16.safetensors")):
        load_components(SVD, folder, PLAN)
