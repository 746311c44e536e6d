"""Loading the components: each part in its dtype, where it is at home, and of the right model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.i2vgen_xl.components import load_components

PLAN = MemoryPlan("cpu", "float32")
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


def test_every_tensor_is_loaded_in_the_dtype_of_the_plan(tiny_spec: EngineSpec, tiny_folder: Path) -> None:
    components = load_components(tiny_spec, tiny_folder, MemoryPlan("cpu", "bfloat16"))
    for model in (components.unet, components.vae, components.text_encoder, components.image_encoder):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
        assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    file = load_file(tiny_folder / UNET)
    assert torch.equal(components.unet.conv_in.weight, file["conv_in.weight"].bfloat16())


def test_weights_that_are_offloaded_are_loaded_without_touching_the_device(
    tiny_spec: EngineSpec, tiny_folder: Path
) -> None:
    # where there is no CUDA, anything that touches it raises
    components = load_components(tiny_spec, tiny_folder, MemoryPlan("cuda", "float16", offload="model"))
    assert (components.device.type, components.home.type) == ("cuda", "cpu")
    for model in (components.unet, components.vae, components.text_encoder, components.image_encoder):
        assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"cpu"}


def test_image_gain_scales_the_first_frame_and_nothing_else(tiny_spec: EngineSpec, tiny_folder: Path) -> None:
    plain = load_components(tiny_spec, tiny_folder, PLAN).unet.conv_in.weight
    doubled = load_components(
        replace(tiny_spec, facts=replace(tiny_spec.facts, image_gain=2.0)), tiny_folder, PLAN
    ).unet.conv_in.weight
    assert torch.equal(doubled[:, :4], plain[:, :4])
    assert torch.equal(doubled[:, 4:], 2 * plain[:, 4:])


def test_a_folder_of_another_model_is_refused(
    tiny_spec: EngineSpec, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(ModelUnavailable, match="StableDiffusionPipeline instead of I2VGenXLPipeline"):
        load_components(tiny_spec, folder, PLAN)
