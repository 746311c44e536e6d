"""LoRAs and checkpoints: what is found (`added_files`), whether it fits, and what it is told to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from i2v.core.errors import InvalidRequest
from i2v.core.settings import ModelSettings
from i2v.core.settings_sources import load_settings
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.weights.added_files import added_files, describe_added, find_added
from i2v.weights.checkpoints import check_checkpoint
from i2v.weights.loras import check_lora
from tests.tiny_animatediff import write_tiny_animatediff
from tests.tiny_loras import base_layers, write_kohya, write_peft, write_single_file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("animatediff")
    write_tiny_animatediff(folder)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> ModelSettings:
    (tmp_path / "models").mkdir()
    comfy = tmp_path / "ComfyUI"
    return load_settings(
        flags={"models.directory": tmp_path / "models", "models.search_paths": [str(comfy)]}
    ).models


def put(path: Path, **tensors: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name.replace("__", "."): tensor for name, tensor in tensors.items()}, path)
    return path


ONE = torch.zeros(1)


def test_files_are_named_by_their_place_and_the_models_folder_goes_first(models: ModelSettings) -> None:
    own, comfy = models.directory, models.search_paths[0] / "models"
    ink = put(own / "loras/styles/ink.safetensors", a=ONE)
    put(comfy / "loras/styles/ink.safetensors", a=ONE)
    soft = put(comfy / "loras/Soft.v2.safetensors", a=ONE)
    put(own / "loras/.hidden/x.safetensors", a=ONE)
    (own / "loras/notes.txt").write_text("no LoRA")
    assert added_files("loras", models) == {"Soft.v2": soft, "styles/ink": ink}
    assert find_added("loras", "Soft.v2.safetensors", models) == soft
    assert added_files("checkpoints", models) == {}


def test_a_folder_in_the_diffusers_layout_is_one_checkpoint(models: ModelSettings) -> None:
    place = models.search_paths[0] / "models/checkpoints"
    put(place / "dream/unet/diffusion_pytorch_model.safetensors", a=ONE)
    (place / "dream/model_index.json").write_text("{}")
    file = put(place / "film.safetensors", a=ONE)
    assert added_files("checkpoints", models) == {"dream": place / "dream", "film": file}


@pytest.mark.parametrize("name", ["inc", "../../secret", "/etc/passwd", "styles", "\x1b[31m", ""])
def test_a_name_that_is_not_there_is_refused_with_those_that_are(models: ModelSettings, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        find_added("loras", name, models)
    assert caught.value.code == "added.no_loras"
    put(models.directory / "loras/styles/ink.safetensors", a=ONE)
    with pytest.raises(InvalidRequest) as caught:
        find_added("loras", name, models)
    assert (caught.value.code, caught.value.params["allowed"]) == ("added.unknown_loras", "styles/ink")


def refused(path: Path, model: Path, check: object = check_lora) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        check(ANIMATEDIFF, model, path, path.stem)  # type: ignore[operator]
    params = caught.value.params
    return caught.value.code, str(params.get("found", params.get("reason")))


def test_loras_of_each_way_of_naming_fit(model: Path, tmp_path: Path) -> None:
    layers = base_layers(model, "attn2.to_k.weight", "ff.net.0.proj.weight", "conv1.weight", "fc1.weight")
    unet = {name: tensor for name, tensor in layers.items() if name.startswith("unet.")}
    attention = {name: tensor for name, tensor in unet.items() if ".attn2." in name}
    write_kohya(tmp_path / "kohya.safetensors", layers, alpha=1)
    write_peft(tmp_path / "peft.safetensors", unet)
    write_peft(tmp_path / "old.safetensors", attention, old=True)
    for name in ("kohya", "peft", "old"):
        check_lora(ANIMATEDIFF, model, tmp_path / f"{name}.safetensors", name)


def kohya(path: Path, context: int, **more: torch.Tensor) -> Path:
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{stem}.lora_down.weight": torch.zeros(2, context),
        f"{stem}.lora_up.weight": torch.zeros(8, 2),
    }
    save_file({**tensors, **more}, path)
    return path


@pytest.mark.parametrize(
    ("context", "title"),
    [(768, "Stable Diffusion 1.5"), (1024, "Stable Diffusion 2"), (2048, "Stable Diffusion XL")],
)
def test_a_lora_of_another_model_is_refused_with_what_it_is_for(
    model: Path, tmp_path: Path, context: int, title: str
) -> None:
    assert refused(kohya(tmp_path / "other.safetensors", context), model) == ("lora.unfit", title)


def test_what_is_no_plain_lora_is_refused(model: Path, tmp_path: Path) -> None:
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    dora = kohya(tmp_path / "dora.safetensors", 16, **{f"{stem}.dora_scale": ONE})
    flux = put(tmp_path / "flux.safetensors", lora_unet_double_blocks_0_img_attn_qkv__lora_down__weight=ONE)
    empty, torn = put(tmp_path / "empty.safetensors"), tmp_path / "torn.safetensors"
    torn.write_bytes(dora.read_bytes()[:-3])
    assert refused(dora, model)[0] == "lora.unfit"
    assert refused(flux, model) == ("lora.unfit", "FLUX")
    assert refused(empty, model)[0] == "lora.unfit"
    assert refused(torn, model)[0] == "lora.unreadable"


def test_trigger_words_come_from_the_author_or_from_the_trainer(models: ModelSettings, model: Path) -> None:
    folder = models.directory / "loras"
    folder.mkdir()
    layers = base_layers(model, "attn2.to_k.weight")
    counts = {"first": {"ink style": 20, "a cat": 3}, "second": {"ink style": 5, "a cat": 30, " ": 99}}
    write_kohya(folder / "a.safetensors", layers, 1, modelspec__trigger_phrase="inkwash")
    write_kohya(folder / "b.safetensors", layers, 1, ss_tag_frequency=counts, ss_base_model_version="sd_v1")
    write_kohya(folder / "c.safetensors", layers, 1, ss_tag_frequency="[not, a table")
    a, b, c = describe_added("loras", models)
    assert (a.trigger_words, b.trigger_words, c.trigger_words) == (("inkwash",), ("a cat", "ink style"), ())
    assert (b.made_for, c.made_for) == ("Stable Diffusion 1.5", "another model")
    assert b.size == (folder / "b.safetensors").stat().st_size


def ldm(path: Path, channels: int, context: int | None) -> Path:
    tensors = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, channels, 3, 3)}
    if context is not None:
        stem = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
        tensors[stem] = torch.zeros(8, context)
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(
    ("channels", "context", "title"),
    [
        (4, 2048, "Stable Diffusion XL"), (4, 1024, "Stable Diffusion 2"),
        (9, 768, "an inpainting model (Stable Diffusion 1.5)"),
        (8, 768, "an InstructPix2Pix model (Stable Diffusion 1.5)"), (4, 99, "another model"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_kind_is_refused_with_what_it_is(
    model: Path, tmp_path: Path, channels: int, context: int, title: str
) -> None:
    path = ldm(tmp_path / "other.safetensors", channels, context)
    assert refused(path, model, check_checkpoint) == ("checkpoint.unfit", title)


def test_a_checkpoint_of_the_same_kind_fits_as_a_file_and_as_a_folder(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    write_single_file(model, path)
    check_checkpoint(ANIMATEDIFF, model, path, "ink")
    check_checkpoint(ANIMATEDIFF, model, model, "folder")


def test_a_folder_that_predicts_otherwise_or_lacks_a_part_is_refused(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "velocity"
    (folder / "unet").mkdir(parents=True)
    assert refused(folder, model, check_checkpoint)[0] == "checkpoint.unreadable"
    for part in ("unet", "vae", "text_encoder"):
        (folder / part).mkdir(exist_ok=True)
        for file in (model / part).glob("*.safetensors"):
            (folder / part / file.name).write_bytes(file.read_bytes())
    check_checkpoint(ANIMATEDIFF, model, folder, "velocity")
    (folder / "scheduler").mkdir()
    config = folder / "scheduler/scheduler_config.json"
    config.write_text(json.dumps({"prediction_type": "v_prediction"}))
    assert refused(folder, model, check_checkpoint) == ("checkpoint.unfit", "one that predicts v_prediction")
