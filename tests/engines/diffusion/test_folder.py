"""Reading a folder: both versions' names load, and whatever is wrong with a file is named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.folder import assign
from i2v.engines.i2vgen_xl.components import load_components

PLAN = MemoryPlan("cpu", "float32")
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
TEXT = "text_encoder/model.fp16.safetensors"
VAE = "vae/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may break."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def test_the_full_precision_file_is_read_where_there_is_no_fp16_variant(
    tiny_spec: EngineSpec, folder: Path
) -> None:
    (folder / UNET).rename(folder / UNET.replace(".fp16", ""))
    assert load_components(tiny_spec, folder, PLAN).unet is not None


@pytest.mark.parametrize("prefix", ["text_model.", ""], ids=["transformers 4", "transformers 5"])
def test_text_encoder_names_of_both_transformers_load(
    tiny_spec: EngineSpec, folder: Path, prefix: str
) -> None:
    state = load_file(folder / TEXT)
    renamed = {prefix + name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    save_file(renamed, folder / TEXT)
    loaded = load_components(tiny_spec, folder, PLAN).text_encoder.state_dict()
    assert torch.equal(
        loaded["embeddings.token_embedding.weight"],
        state["text_model.embeddings.token_embedding.weight"].float(),
    )


def test_the_vaes_attention_loads_under_its_old_names_too(
    tiny_spec: EngineSpec, folder: Path, tiny_folder: Path
) -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(folder / VAE)
    pattern = re.compile(r"(?<=attentions\.0\.)(to_[qkv]|to_out\.0)(?=\.)")
    renamed = {pattern.sub(lambda new: old[new[0]], name): tensor for name, tensor in state.items()}
    assert sum(name not in state for name in renamed) == 16, "weights and biases, in encoder and decoder"
    save_file(renamed, folder / VAE)
    loaded = load_components(tiny_spec, folder, PLAN).vae.state_dict()
    expected = load_components(tiny_spec, tiny_folder, PLAN).vae.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


def test_position_ids_that_transformers_4_saved_are_ignored(tiny_spec: EngineSpec, folder: Path) -> None:
    state = load_file(folder / TEXT)
    save_file({**state, "text_model.embeddings.position_ids": torch.arange(77)[None]}, folder / TEXT)
    load_components(tiny_spec, folder, PLAN)


@pytest.mark.parametrize(
    "name",
    [
        "model_index.json",
        UNET,
        TEXT,
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/merges.txt",
        "feature_extractor/preprocessor_config.json",
    ],
)
def test_a_missing_file_is_named(tiny_spec: EngineSpec, folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable) as caught:
        load_components(tiny_spec, folder, PLAN)
    assert caught.value.code == "weights.missing_file"
    assert str(folder / name).removesuffix(".safetensors").removesuffix(".fp16") in caught.value.message


def test_a_missing_tensor_is_named(tiny_spec: EngineSpec, folder: Path) -> None:
    state = load_file(folder / UNET)
    del state["conv_out.bias"]
    save_file(state, folder / UNET)
    with pytest.raises(ModelUnavailable, match=r"conv_out\.bias is missing"):
        load_components(tiny_spec, folder, PLAN)


def test_an_unexpected_tensor_is_named(tiny_spec: EngineSpec, folder: Path) -> None:
    save_file({**load_file(folder / UNET), "lora.up.weight": torch.zeros(1)}, folder / UNET)
    with pytest.raises(ModelUnavailable, match=r"unexpected tensor lora\.up\.weight"):
        load_components(tiny_spec, folder, PLAN)


def test_a_misshapen_tensor_is_named_with_both_shapes(tiny_spec: EngineSpec, folder: Path) -> None:
    save_file({**load_file(folder / UNET), "conv_out.bias": torch.zeros(5)}, folder / UNET)
    with pytest.raises(ModelUnavailable, match=r"conv_out\.bias has shape \(5,\) instead of \(4,\)"):
        load_components(tiny_spec, folder, PLAN)


@pytest.mark.parametrize("keep", [0, 100, 5000], ids=lambda size: f"{size} bytes")
def test_a_truncated_file_is_named(tiny_spec: EngineSpec, folder: Path, keep: int) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:keep])
    with pytest.raises(ModelUnavailable) as caught:
        load_components(tiny_spec, folder, PLAN)
    assert caught.value.code == "weights.unreadable"
    assert str(folder / UNET) in caught.value.message


@pytest.mark.parametrize("content", ["", "[]", "not json", "\ufffd\0"])
def test_a_broken_configuration_is_named(tiny_spec: EngineSpec, folder: Path, content: str) -> None:
    (folder / "unet/config.json").write_text(content)
    with pytest.raises(ModelUnavailable, match=r"cannot read .*unet/config\.json"):
        load_components(tiny_spec, folder, PLAN)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prediction_type", "flow"),
        ("timestep_spacing", "trailing"),
        ("clip_sample", True),
        ("thresholding", True),
        ("beta_schedule", "unheard of"),
    ],
)
def test_a_noise_schedule_that_is_not_known_is_refused(
    tiny_spec: EngineSpec, folder: Path, key: str, value: object
) -> None:
    path = folder / "scheduler/scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelUnavailable, match=f"scheduler_config.json cannot be read.*{key}|{value}"):
        load_components(tiny_spec, folder, PLAN)


def test_a_pickle_is_never_read(tiny_spec: EngineSpec, folder: Path) -> None:
    torch.save(load_file(folder / UNET), folder / "unet/diffusion_pytorch_model.bin")
    (folder / UNET).unlink()
    with pytest.raises(ModelUnavailable, match="missing"):
        load_components(tiny_spec, folder, PLAN)


def test_chosen_modules_are_filled_in_float32_and_constants_that_have_a_value_keep_it(tmp_path: Path) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.layer = nn.Linear(1, 1), nn.Linear(1, 1)
            self.register_buffer("angles", torch.zeros(2), persistent=False)

    tensors = {name: torch.ones(1, 1) if "weight" in name else torch.ones(1) for name in Model().state_dict()}
    with torch.device("meta"):
        model = Model()
    with pytest.raises(TypeError, match="angles has no value"):
        assign(model, tmp_path, tensors, torch.device("cpu"), torch.bfloat16)
    model.angles = torch.tensor([1.0, 2.0])
    assign(model, tmp_path, tensors, torch.device("cpu"), torch.bfloat16, ["norm"])
    assert (model.norm.weight.dtype, model.layer.weight.dtype) == (torch.float32, torch.bfloat16)
    assert model.angles.tolist() == [1.0, 2.0]
