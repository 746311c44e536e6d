"""Another base, LoRAs, and the way back, against diffusers' own loaders on the same tiny files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from i2v.core.errors import ModelUnavailable
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.animatediff.stock import load_stock, run_stock
from i2v.engines.animatediff.weights import prepare, read_checkpoint
from i2v.engines.base import Inputs
from i2v.weights.loras import LoraFile
from tests.engines.subjects import frames_of
from tests.tiny_animatediff import write_tiny_animatediff
from tests.tiny_loras import base_layers, write_kohya, write_peft, write_single_file

PLAN = MemoryPlan("cpu", "float32")
AS_STOCK = replace(ANIMATEDIFF, facts=ANIMATEDIFF.stock_facts)
ATTENTION = ("attn1.to_q.weight", "attn2.to_out.0.weight", "q_proj.weight", "out_proj.weight")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another model of the same layout: a base with other weights."""
    folder = tmp_path_factory.mktemp("other")
    write_tiny_animatediff(folder, seed=5)
    return folder


@pytest.fixture
def own_engine(animatediff_folder: Path) -> AnimateDiffEngine:
    return AnimateDiffEngine.load(AS_STOCK, animatediff_folder, PLAN)


def values(engine: AnimateDiffEngine) -> dict[str, torch.Tensor]:
    parts = engine.components
    named = {"unet": parts.unet, "text": parts.text_encoder, "vae": parts.vae}
    return {
        f"{part}.{name}": tensor.clone()
        for part, of in named.items()
        for name, tensor in of.state_dict().items()
    }


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_checkpoint_in_one_file_is_read_as_diffusers_reads_it(
    own_engine: AnimateDiffEngine, other: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ink.safetensors"
    write_single_file(other, path)
    read = read_checkpoint(own_engine.components.source, path)
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        expected = kind.from_single_file(
            str(path), config=str(other), subfolder=part, local_files_only=True
        ).state_dict()
        found = {name: tensor.float() for name, tensor in read[part][1].items()}
        assert found.keys() == expected.keys(), part
        assert all(torch.equal(found[name], expected[name].float()) for name in expected), part


@pytest.mark.parametrize(
    "form",
    ["file", *(pytest.param(form, marks=pytest.mark.slow) for form in ("file without a VAE", "folder"))],
)
def test_another_base_is_as_if_the_model_had_it(
    own_engine: AnimateDiffEngine, other: Path, animatediff_folder: Path, clip: Generation, inputs: Inputs,
    tmp_path: Path, form: str,
) -> None:  # fmt: skip
    path = other
    if form != "folder":
        path = tmp_path / "ink.safetensors"
        write_single_file(other, path, with_vae=form == "file")
    mixed = Path(shutil.copytree(animatediff_folder, tmp_path / "mixed"))
    for part in ("unet", "text_encoder", *(("vae",) if form != "file without a VAE" else ())):
        shutil.rmtree(mixed / part)
        shutil.copytree(other / part, mixed / part)
    plain = values(own_engine)
    prepare(own_engine.components, AS_STOCK, clip, replace(inputs, checkpoint=path))
    assert same(values(own_engine), values(AnimateDiffEngine.load(AS_STOCK, mixed, PLAN)))
    prepare(own_engine.components, AS_STOCK, clip, inputs)
    assert same(values(own_engine), plain), "the model's own again"


def test_a_checkpoint_that_lacks_a_tensor_is_named_and_the_next_clip_is_whole(
    own_engine: AnimateDiffEngine, other: Path, clip: Generation, inputs: Inputs, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    path = tmp_path / "torn.safetensors"
    write_single_file(other, path)
    tensors = load_file(path)
    del tensors["model.diffusion_model.out.2.weight"]
    save_file(tensors, path)
    plain = values(own_engine)
    with pytest.raises(ModelUnavailable) as caught:
        prepare(own_engine.components, AS_STOCK, clip, replace(inputs, checkpoint=path))
    assert caught.value.params["path"] == str(path)
    prepare(own_engine.components, AS_STOCK, clip, inputs)
    assert same(values(own_engine), plain)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")  # diffusers' own, for the second one
def test_loras_of_both_kinds_together_give_diffusers_own_frames(
    own_engine: AnimateDiffEngine, animatediff_folder: Path, clip: Generation, inputs: Inputs, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="diffusers loads LoRAs by peft, which is not installed")
    torch.manual_seed(3)
    layers = base_layers(animatediff_folder, *ATTENTION)
    kohya, peft = tmp_path / "ink.safetensors", tmp_path / "soft.safetensors"
    write_kohya(kohya, layers, alpha=1.0)
    write_peft(peft, {name: tensor for name, tensor in layers.items() if name.startswith("unet.")})
    stock = load_stock(animatediff_folder)
    for path in (kohya, peft):
        stock.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=path.stem)
    stock.set_adapters(["ink", "soft"], [0.8, -0.5])
    given = replace(inputs, loras=(LoraFile(kohya, 0.8), LoraFile(peft, -0.5)))
    torch.manual_seed(1)
    expected = run_stock(stock, clip, inputs)[1]
    torch.manual_seed(1)
    found = frames_of(list(own_engine.generate(clip, given)))
    assert np.abs(found - expected.astype(int)).max() <= 1
    torch.manual_seed(1)
    assert np.abs(found - frames_of(list(own_engine.generate(clip, inputs)))).max() > 5, "they do something"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_was_merged_is_gone_to_the_last_bit(
    animatediff_folder: Path, clip: Generation, inputs: Inputs, tmp_path: Path, dtype: str
) -> None:
    engine = AnimateDiffEngine.load(ANIMATEDIFF, animatediff_folder, replace(PLAN, dtype=dtype))  # type: ignore[arg-type]
    plain, path = values(engine), tmp_path / "ink.safetensors"
    write_kohya(path, base_layers(animatediff_folder, *ATTENTION, "conv1.weight"), alpha=2.0)
    for strength in (0.7, -1.3):
        prepare(engine.components, ANIMATEDIFF, clip, replace(inputs, loras=(LoraFile(path, strength),)))
        assert not same(values(engine), plain)
    prepare(engine.components, ANIMATEDIFF, clip, inputs)
    assert same(values(engine), plain)


def test_a_lora_for_motion_changes_the_motion_module(
    own_engine: AnimateDiffEngine, animatediff_folder: Path, clip: Generation, inputs: Inputs, tmp_path: Path
) -> None:
    names = own_engine.components.unet.state_dict()
    name = next(name for name in names if "motion_modules" in name and name.endswith("attn1.to_q.weight"))
    before = own_engine.components.unet.state_dict()[name].clone()
    path = tmp_path / "zoom.safetensors"
    write_peft(path, {f"unet.{name}": before}, old=True)
    prepare(own_engine.components, AS_STOCK, clip, replace(inputs, loras=(LoraFile(path, 1.0),)))
    assert not torch.equal(own_engine.components.unet.state_dict()[name], before)


def test_loras_stay_with_another_base(
    own_engine: AnimateDiffEngine, other: Path, animatediff_folder: Path, clip: Generation, inputs: Inputs,
    tmp_path: Path,
) -> None:  # fmt: skip
    path = tmp_path / "ink.safetensors"
    write_kohya(path, base_layers(animatediff_folder, *ATTENTION), alpha=2.0)
    plain, loras = values(own_engine), (LoraFile(path, 1.0),)
    prepare(own_engine.components, AS_STOCK, clip, replace(inputs, loras=loras))
    prepare(own_engine.components, AS_STOCK, clip, replace(inputs, loras=loras, checkpoint=other))
    both = values(own_engine)
    prepare(own_engine.components, AS_STOCK, clip, replace(inputs, checkpoint=other))
    alone = values(own_engine)
    assert not same(both, alone)
    prepare(own_engine.components, AS_STOCK, clip, inputs)
    assert same(values(own_engine), plain)
    assert json.dumps(sorted(both)) == json.dumps(sorted(plain))
