"""Wan's transformer from a GGUF file: the clip of its unpacked numbers, wherever the weights are."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from gguf import GGMLQuantizationType, quants
from PIL import Image
from safetensors.torch import save_file

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Inputs
from i2v.engines.diffusion.gguf import GGUFLinear, unpacked
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from i2v.pipeline.choice import as_stored
from i2v.weights.converted import converted_files
from i2v.weights.folders import locate
from i2v.weights.loras import LoraFile
from tests.engines.diffusion.test_gguf import write
from tests.engines.subjects import frames_of
from tests.models import models_in
from tests.second_device import DEVICE, second_device
from tests.tiny_wan import TEXT_WIDTH
from tests.tiny_wan_loras import write_lightx2v

PLAN = MemoryPlan("cpu", "float32")
KIND = GGMLQuantizationType.Q8_0
WEIGHTS = "diffusion_pytorch_model.safetensors"
# diffusers' names as Wan's own code has them; the first that fits counts
ORIGINAL = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("attn1.to_out.0", "self_attn.o"), ("attn2.to_out.0", "cross_attn.o"),
    ("attn1.to_", "self_attn."), ("attn2.to_", "cross_attn."),
    ("attn1.", "self_attn."), ("attn2.", "cross_attn."),
    ("ffn.net.0.proj", "ffn.0"), ("ffn.net.2", "ffn.2"),
    ("norm2", "norm3"), ("proj_out", "head.head"),
)  # fmt: skip


def original(name: str) -> str:
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in ORIGINAL:
        if ours in name:
            return name.replace(ours, theirs)
    return name.replace("scale_shift_table", "modulation")


@pytest.fixture(scope="module")
def folders(wan_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder with GGUF alone, and one with the numbers that come out of it."""
    torch.manual_seed(1)
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=48, out_channels=48,
        text_dim=TEXT_WIDTH, freq_dim=16, ffn_dim=64, num_layers=2, rope_max_seq_len=64,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("gguf")
    for kind in ("quantized", "plain"):
        shutil.copytree(wan_folder, folder / kind / WAN_TI2V_5B.name)
    both = folder / "quantized", folder / "plain"
    put_into(*(each / WAN_TI2V_5B.name / "transformer" for each in both), model, "Wan2.2-TI2V-5B-Q8_0")
    return both


def put_into(quantized: Path, plain: Path, model: WanTransformer3DModel, name: str) -> None:
    """Put the model's weights into one folder in GGUF, and the numbers that come out of it into the other."""
    packed, unpacked_again = {}, {}
    for tensor_name, tensor in model.state_dict().items():
        values = tensor.numpy()
        unpacked_again[tensor_name], packed[original(tensor_name)] = tensor.contiguous(), (values, None)
        if tensor_name.startswith("blocks") and tensor_name.endswith(".weight") and values.ndim == 2:
            rows = quants.quantize(values, KIND)
            packed[original(tensor_name)] = (rows, KIND)
            unpacked_again[tensor_name] = unpacked(torch.from_numpy(rows), int(KIND)).float()
    for folder in (quantized, plain):
        model.save_config(folder)
        (folder / WEIGHTS).unlink()
    write(quantized / f"{name}.gguf", packed)
    save_file(unpacked_again, plain / WEIGHTS)


def made(
    folder: Path, plan: MemoryPlan, clip: Generation, image: Image.Image, spec: EngineSpec = WAN_TI2V_5B
) -> np.ndarray:
    engine = WanEngine.load(spec, folder / spec.name, plan)
    return frames_of(list(engine.generate(clip, Inputs(image)))).astype(int)


def test_each_of_two_experts_is_read_from_its_own_file(
    a14b_folder: Path, tmp_path: Path, small_clip: Generation, small_inputs: Inputs
) -> None:
    folders = tmp_path / "quantized", tmp_path / "plain"
    for folder in folders:
        shutil.copytree(a14b_folder, folder / WAN_I2V_A14B.name)
    torch.manual_seed(4)
    for part, name in (("transformer", "HighNoise"), ("transformer_2", "LowNoise")):
        model = WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=36,
            out_channels=16, text_dim=TEXT_WIDTH, freq_dim=16, ffn_dim=64, num_layers=2, rope_max_seq_len=64,
        )  # fmt: skip
        put_into(*(folder / WAN_I2V_A14B.name / part for folder in folders), model, name)
    spec = as_stored(WAN_I2V_A14B, models_in(folders[0]))
    assert list(spec.stored_bytes) == ["transformer", "transformer_2"]
    found, expected = (made(folder, PLAN, small_clip, small_inputs.image, spec) for folder in folders)
    assert np.abs(found - expected).max() <= 1


def test_the_clip_is_that_of_the_numbers_in_the_file(
    folders: tuple[Path, Path], clip: Generation, image: Image.Image
) -> None:
    quantized, plain = folders
    expected = made(plain, PLAN, clip, image)
    assert np.abs(made(quantized, PLAN, clip, image) - expected).max() <= 1
    with second_device():
        away = replace(PLAN, device=DEVICE.type, offload="model")  # type: ignore[arg-type]
        assert np.abs(made(quantized, away, clip, image) - expected).max() <= 1


@pytest.mark.slow
def test_loras_stay_beside_weights_in_blocks(
    folders: tuple[Path, Path], clip: Generation, image: Image.Image, tmp_path: Path
) -> None:
    quantized, plain = (WanEngine.load(WAN_TI2V_5B, folder / WAN_TI2V_5B.name, PLAN) for folder in folders)
    torch.manual_seed(2)
    write_lightx2v(tmp_path / "lora.safetensors", plain.components.transformer)
    inputs = Inputs(image, loras=(LoraFile(tmp_path / "lora.safetensors", 0.8),))
    before = frames_of(list(quantized.generate(clip, Inputs(image))))
    found, expected = (
        frames_of(list(each.generate(clip, inputs))).astype(int) for each in (quantized, plain)
    )
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found - before).max() > 5, "it does something"
    assert np.array_equal(frames_of(list(quantized.generate(clip, Inputs(image)))), before)


def test_layers_stay_in_blocks_and_the_file_is_all_that_there_must_be(folders: tuple[Path, Path]) -> None:
    models = models_in(folders[0])
    found = locate(WAN_TI2V_5B, models)
    assert found.missing is None
    (file,) = (path for path in found.files if path.suffix == ".gguf")
    assert converted_files(WAN_TI2V_5B, models) == {f"transformer/{WEIGHTS}": file.stat().st_size}
    spec = as_stored(WAN_TI2V_5B, models)
    assert spec.stored_bytes == {"transformer": file.stat().st_size}
    engine = WanEngine.load(spec, found.path, replace(PLAN, storage_dtype="float8_e4m3fn"))
    blocks = engine.components.transformer.blocks
    assert isinstance(blocks[0].ffn.net[2], GGUFLinear)
    assert as_stored(WAN_TI2V_5B, models_in(folders[1])) == WAN_TI2V_5B
