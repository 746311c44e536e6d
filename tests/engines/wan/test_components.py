"""Loading the parts: each in its dtype, where it is at home, and of the right model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import UMT5EncoderModel

from i2v.core.errors import ModelUnavailable
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.float8 import Float8Linear
from i2v.engines.wan.components import Components, load_components
from i2v.engines.wan.specs import WAN_TI2V_5B

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture
def folder(wan_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(wan_folder, tmp_path / "model")


def filled(components: Components) -> UMT5EncoderModel:
    """Return the text encoder with its weights, as its first use brings them."""
    components.text_weights.ensure(components.encoders_home)
    return components.text_encoder


def test_the_text_encoder_is_loaded_where_it_is_at_home_by_then(wan_folder: Path) -> None:
    components = load_components(WAN_TI2V_5B, wan_folder, PLAN)
    assert components.text_encoder.shared.weight.is_meta
    with components.on_device(components.vae):
        assert components.text_encoder.shared.weight.is_meta
    with components.on_device(components.text_encoder):
        assert components.text_encoder.shared.weight.device.type == "cpu"
    assert not any(tensor.is_meta for tensor in components.text_encoder.state_dict().values())
    assert not any(tensor.is_inference() for tensor in components.text_encoder.parameters())


def test_weights_that_are_offloaded_are_loaded_without_touching_the_device(wan_folder: Path) -> None:
    # where there is no CUDA, anything that touches it raises
    components = load_components(WAN_TI2V_5B, wan_folder, MemoryPlan("cuda", "bfloat16", offload="model"))
    assert (components.device.type, components.home.type) == ("cuda", "cpu")
    for model, dtypes in (
        (components.transformer, {torch.bfloat16, torch.float32}),
        (filled(components), {torch.bfloat16}),
        (components.vae, {torch.float32}),
    ):
        tensors = [*model.parameters(), *model.buffers()]
        assert {tensor.device.type for tensor in tensors} == {"cpu"}
        assert {tensor.dtype for tensor in model.parameters()} == dtypes
    encoder = components.text_encoder
    assert encoder.encoder.embed_tokens is encoder.shared


def test_another_model_and_another_sampler_are_refused(folder: Path) -> None:
    path = folder / "scheduler/scheduler_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"solver_order": 3}))
    with pytest.raises(ModelUnavailable, match="solver_order is 3"):
        load_components(WAN_TI2V_5B, folder, PLAN)
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"expand_timesteps": False}))
    with pytest.raises(ModelUnavailable, match="another Wan model"):
        load_components(WAN_TI2V_5B, folder, PLAN)
    index.write_text(json.dumps({"_class_name": "I2VGenXLPipeline"}))
    with pytest.raises(ModelUnavailable, match="I2VGenXLPipeline instead of WanPipeline"):
        load_components(WAN_TI2V_5B, folder, PLAN)


@pytest.mark.parametrize(
    "name",
    ["transformer/config.json", "tokenizer/tokenizer.json", "text_encoder/model-00002-of-00002.safetensors"],
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable, match=name):
        load_components(WAN_TI2V_5B, folder, PLAN)


def test_in_float16_what_overflows_stays_in_float32(wan_folder: Path) -> None:
    encoder = filled(load_components(WAN_TI2V_5B, wan_folder, MemoryPlan("cpu", "float16")))
    names = {name for name, tensor in encoder.named_parameters() if tensor.dtype == torch.float32}
    assert names == {f"encoder.block.{index}.layer.1.DenseReluDense.wo.weight" for index in range(2)}
    assert encoder(torch.ones(1, 3, dtype=torch.int64)).last_hidden_state.isfinite().all()


def test_in_float8_the_large_layers_take_a_byte_a_number_and_the_rest_stays(wan_folder: Path) -> None:
    plan = MemoryPlan("cpu", "bfloat16", storage_dtype="float8_e4m3fn")
    components = load_components(WAN_TI2V_5B, wan_folder, plan)
    encoder, block = filled(components), components.transformer.blocks[0]
    attention = encoder.encoder.block[0].layer[0].SelfAttention
    for layer in (block.attn1.to_q, block.attn2.to_out[0], block.ffn.net[2], attention.q):
        assert isinstance(layer, Float8Linear)
        assert (layer.weight.dtype, layer.scale.dtype) == (torch.int8, torch.float32)
    assert not isinstance(components.transformer.proj_out, Float8Linear)
    assert block.scale_shift_table.dtype == torch.float32
    assert encoder.shared.weight.dtype == torch.bfloat16
