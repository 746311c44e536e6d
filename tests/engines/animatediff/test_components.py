"""Loading: a UNet of two repositories, and what is wrong with a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from safetensors.torch import load_file, save_file

from i2v.core.errors import ModelUnavailable
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.animatediff.components import load_components
from i2v.engines.animatediff.specs import ANIMATEDIFF

PLAN = MemoryPlan("cpu", "float32")
WEIGHTS = "diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def folder(animatediff_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(animatediff_folder, tmp_path / "model"))


def test_the_unet_is_the_bases_with_the_motion_adapter_in_it(animatediff_folder: Path) -> None:
    unet = load_components(ANIMATEDIFF, animatediff_folder, PLAN).unet
    halves = {"variant": "fp16", "dtype": torch.float32}
    expected = UNetMotionModel.from_unet2d(
        UNet2DConditionModel.from_pretrained(animatediff_folder / "unet", **halves),
        MotionAdapter.from_pretrained(animatediff_folder / "motion_adapter", **halves),
    ).state_dict()
    found = unet.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_noise_is_the_motion_adapters_and_the_rest_the_bases(animatediff_folder: Path) -> None:
    config = load_components(ANIMATEDIFF, animatediff_folder, PLAN).scheduler().config
    assert (config.beta_schedule, config.beta_start, config.steps_offset) == ("linear", 0.00085, 1)
    assert not config.set_alpha_to_one


@pytest.mark.parametrize("part", ["unet", "motion_adapter", "controlnet"])
def test_a_missing_tensor_is_named_with_its_file(folder: Path, part: str) -> None:
    path = folder / part / WEIGHTS
    tensors = load_file(path)
    gone = min(tensors)
    save_file({name: tensor for name, tensor in tensors.items() if name != gone}, path)
    with pytest.raises(ModelUnavailable) as caught:
        load_components(ANIMATEDIFF, folder, PLAN)
    assert (caught.value.params["tensor"], caught.value.params["path"]) == (gone, str(path))


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("motion_adapter", {"block_out_channels": [8, 16, 16]}),
        ("controlnet", {"use_simplified_condition_embedding": False}),
    ],
)
def test_parts_that_do_not_go_together_are_refused(
    folder: Path, part: str, changes: dict[str, object]
) -> None:
    path = folder / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ModelUnavailable) as caught:
        load_components(ANIMATEDIFF, folder, PLAN)
    assert caught.value.params["path"] == str(path)
