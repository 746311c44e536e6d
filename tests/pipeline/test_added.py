"""i2v.pipeline.added: LoRAs and a checkpoint when a job is run, which may be long after it was submitted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from i2v.core.errors import InvalidRequest, ModelUnavailable
from i2v.core.generation import Generation
from i2v.core.inputs import StyleImage
from i2v.core.loras import Lora
from i2v.core.memory_plan import DeviceInfo
from i2v.core.schema import GenerationRequest
from i2v.core.settings import Settings
from i2v.core.settings_sources import load_settings
from i2v.engines.animatediff.specs import ANIMATEDIFF, IP_ADAPTER
from i2v.engines.wan.specs import WAN_I2V_A14B
from i2v.pipeline import added
from i2v.pipeline.added import NOTHING_ADDED, find_files
from i2v.pipeline.plan import ClipPlanner
from i2v.weights.records import weights_digest
from tests.tiny_animatediff import write_tiny_animatediff
from tests.tiny_loras import base_layers, write_kohya, write_single_file
from tests.tiny_wan import tiny_expert
from tests.tiny_wan_loras import write_lightx2v

CPU = DeviceInfo("cpu", "CPU", 2**34, 2**33, 2**33)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    for folder in ("animatediff", "loras", "checkpoints"):
        (models / folder).mkdir(parents=True)
    write_tiny_animatediff(models / "animatediff")
    write_kohya(models / "loras/ink.safetensors", base_layers(models / "animatediff", "attn2.to_k.weight"), 1)
    write_single_file(models / "animatediff", models / "checkpoints/film.safetensors")
    return load_settings(flags={"models.directory": models, "models.search_paths": []})


def submitted(settings: Settings) -> Generation:
    request = GenerationRequest.parse(
        {"prompt": "x", "engine": "animatediff", "checkpoint": "film", "loras": "ink:0.8", "seed": 1}
    )
    return ClipPlanner(settings, {"animatediff": ANIMATEDIFF}).plan_clip(request, (64, 64), CPU).generation


def test_the_lora_of_a_style_is_applied_where_it_is_there(settings: Settings) -> None:
    models = settings.models.directory
    layers = base_layers(models / "animatediff", "attn2.to_k.weight")
    write_kohya(models / "loras/style-oil.safetensors", layers, 1)
    planner = ClipPlanner(settings, {"animatediff": ANIMATEDIFF})
    for fields, loras, codes in (
        ({"style": "oil"}, (Lora("style-oil", 0.8),), ["style.lora"]),
        ({"style": "oil", "loras": "style-oil:0.3"}, (Lora("style-oil", 0.3),), []),
        ({"style": "anime"}, (), []),
    ):
        request = GenerationRequest.parse({"prompt": "x", "engine": "animatediff", **fields})
        plan = planner.plan_clip(request, (64, 64), CPU)
        assert plan.generation.loras == loras
        assert [each.code for each in plan.notices if each.code.startswith("style.")] == codes


def remove(path: Path) -> None:
    path.unlink()


def replace_by_another(path: Path) -> None:
    save_file({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": torch.zeros(1)}, path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def test_files_come_with_their_digests(settings: Settings) -> None:
    found = find_files(submitted(settings), ANIMATEDIFF, settings.models)
    lora, film = (
        settings.models.directory / name for name in ("loras/ink.safetensors", "checkpoints/film.safetensors")
    )
    assert [(each.path, each.strength) for each in found.loras] == [(lora, 0.8)]
    assert found.loras[0].sha256 == hashlib.sha256(lora.read_bytes()).hexdigest()
    assert (found.checkpoint, found.checkpoint_sha256) == (
        film,
        hashlib.sha256(film.read_bytes()).hexdigest(),
    )


def test_without_any_nothing_is_looked_for(settings: Settings) -> None:
    without = replace(submitted(settings), checkpoint="", loras=())
    assert find_files(without, ANIMATEDIFF, settings.models) is NOTHING_ADDED


def test_the_model_of_a_style_picture_is_required_and_comes_with_its_digest(settings: Settings) -> None:
    planner = ClipPlanner(settings, {"animatediff": ANIMATEDIFF})
    fields = {"prompt": "x", "engine": "animatediff", "inputs": [{"role": "style_image"}]}
    request = GenerationRequest.parse(fields)
    with pytest.raises(
        ModelUnavailable, match=r"style pictures.* is not installed.*i2v models download ip-adapter"
    ):
        planner.plan_clip(request, (64, 64), CPU)
    folder = settings.models.directory / "ip-adapter"
    for name in IP_ADAPTER.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    generation = planner.plan_clip(request, (64, 64), CPU).generation
    assert generation.inputs == (StyleImage("style_image"),)
    found = find_files(generation, ANIMATEDIFF, settings.models)
    assert found.style_model == folder
    assert found.style_model_sha256 == weights_digest(IP_ADAPTER, folder)
    (folder / IP_ADAPTER.files[1]).unlink()
    with pytest.raises(ModelUnavailable, match=r"image_encoder/config\.json"):
        find_files(generation, ANIMATEDIFF, settings.models)


@pytest.mark.parametrize(
    ("name", "happened", "code"),
    [
        ("loras/ink.safetensors", remove, "added.no_loras"),
        ("loras/ink.safetensors", replace_by_another, "lora.unfit"),
        ("loras/ink.safetensors", cut_short, "lora.unreadable"),
        ("checkpoints/film.safetensors", remove, "added.no_checkpoints"),
        ("checkpoints/film.safetensors", replace_by_another, "checkpoint.unfit"),
        ("checkpoints/film.safetensors", cut_short, "checkpoint.unreadable"),
    ],
)
def test_what_became_of_a_file_since_the_job_was_submitted_is_said(
    settings: Settings, name: str, happened: Callable[[Path], None], code: str
) -> None:
    generation = submitted(settings)
    happened(settings.models.directory / name)
    with pytest.raises(InvalidRequest) as caught:
        find_files(generation, ANIMATEDIFF, settings.models)
    assert (caught.value.code, caught.value.params["value"]) == (code, name.partition("/")[2].split(".")[0])


def test_a_lora_that_cannot_be_read_is_named_and_not_the_checkpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = submitted(settings)
    assert generation.loras == (Lora("ink", 0.8),)

    def refuse(path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(added, "hash_file", refuse)
    with pytest.raises(InvalidRequest) as caught:
        find_files(generation, ANIMATEDIFF, settings.models)
    assert (caught.value.code, caught.value.params["value"]) == ("lora.unreadable", "ink")


def test_a_preset_is_offered_and_made_only_where_its_loras_are(tmp_path: Path) -> None:
    settings = load_settings(flags={"models.directory": tmp_path, "models.search_paths": []})
    assert added.with_presets_there(WAN_I2V_A14B, settings.models).offered == ("standard", "high", "extreme")
    assert added.with_presets_there(ANIMATEDIFF, settings.models) is ANIMATEDIFF
    planner = ClipPlanner(settings, {"wan-i2v-a14b": WAN_I2V_A14B})
    asked = GenerationRequest.parse({"prompt": "x", "engine": "wan-i2v-a14b", "preset": "quick"})
    with pytest.raises(InvalidRequest) as caught:
        planner.plan_clip(asked, (64, 64), CPU)
    assert (caught.value.code, caught.value.params["value"]) == ("preset.missing_loras", "quick")
    names = [lora.name for lora in WAN_I2V_A14B.presets["quick"].loras]
    assert all(f"{name}.safetensors" in str(caught.value.params["files"]) for name in names)
    assert planner.plan_clip(asked, (64, 64), CPU, with_files=False).generation.num_inference_steps == 4
    (tmp_path / "loras").mkdir()
    for name in names:
        write_lightx2v(tmp_path / f"loras/{name}.safetensors", tiny_expert())
    assert added.with_presets_there(WAN_I2V_A14B, settings.models) is WAN_I2V_A14B
    assert planner.plan_clip(asked, (64, 64), CPU).generation.loras == WAN_I2V_A14B.presets["quick"].loras
