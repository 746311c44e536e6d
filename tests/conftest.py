"""Fixtures that several files share: a picture, and a tiny random model in the published layout."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# One thread: the suite's tensors are tiny, and thread counts must not change what determinism tests compare.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The suite starts hundreds of processes, which need not compile i2v each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Generation
from i2v.engines.i2vgen_xl.facts import AS_STOCK, Facts
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.weights import EMBEDDED as EMBEDDED_FOLDER

VISION_SIDE = 16


@pytest.fixture(scope="session", autouse=True)
def malloc_stays_as_it_is() -> Iterator[None]:
    """Leave malloc as Python has it: set up for clips it gives nothing back, and peaks are measured here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("i2v.memory.allocator.configure", lambda: None)
        yield


@pytest.fixture(scope="module", autouse=True)
def libraries_are_no_garbage() -> None:
    """Spare the garbage collector what earlier modules have imported.

    i2v collects garbage after each job. With all libraries of the suite in one process, hundreds of thousands
    of objects that stay are gone through each time, which takes longer than such a job.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A 96 x 64 picture with edges and gradients, the same every time."""
    y, x = np.mgrid[0:64, 0:96]
    waves = 127 + 80 * np.sin(x / 7) * np.cos(y / 5)
    return Image.fromarray(np.stack([waves, x * 2.5, y * 3.5], axis=-1).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of I2VGen-XL's classes with random fp16 weights, a few hundred kilobytes."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_spec() -> EngineSpec:
    return EngineSpec(
        name="tiny",
        title="Tiny",
        implementation="i2v.engines.i2vgen_xl.engine:I2VGenXLEngine",
        multiple=16,
        memory="i2v.engines.i2vgen_xl.memory:MEMORY",
        facts=Facts(),
        stock_facts=AS_STOCK,
        trained_frames=(4, 8),
        trained_fps=(8, 8),
        default_negative_prompt="blurry",
        preview_factors=((0.2, 0.2, 0.2),) * 4 + ((0.5, 0.5, 0.5),),
        files=I2VGEN_XL.files,
        optional_files=I2VGEN_XL.optional_files,
    )


@pytest.fixture
def generation() -> Generation:
    return Generation(
        prompt="the camera pans left",
        negative_prompt="blurry",
        width=96,
        height=64,
        generated_width=96,
        generated_height=64,
        fit="keep",
        num_frames=4,
        fps=8,
        target_fps=8,
        num_inference_steps=3,
        guidance_scale=4.0,
        seed=7,
        engine="tiny",
    )


def write_tiny_model(folder: Path, seed: int = 0) -> None:
    """Write random weights under the published names. The tokenizer is the embedded model's."""
    torch.manual_seed(seed)
    write_tiny_settings(folder)
    for part, stem, model in (
        ("text_encoder", "model", tiny_text_encoder()),
        ("image_encoder", "model", tiny_image_encoder()),
        ("vae", "diffusion_pytorch_model", tiny_vae()),
        ("unet", "diffusion_pytorch_model", tiny_unet()),
    ):
        state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
        if part == "text_encoder":  # the names that the published files have
            state = {
                f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()
            }
        if stem == "model":
            (folder / part).mkdir()
            (folder / part / "config.json").write_text(model.config.to_json_string(use_diff=False))
        else:
            model.save_config(folder / part)
        save_file(state, folder / part / f"{stem}.fp16.safetensors", metadata={"format": "pt"})


def write_tiny_settings(folder: Path) -> None:
    """Write all that is no weights: the embedded model's, for pictures of `VISION_SIDE`."""
    for name in ("tokenizer", "scheduler"):
        (folder / name).mkdir()
        for file in (EMBEDDED_FOLDER / name).iterdir():
            (folder / name / file.name).write_bytes(file.read_bytes())
    (folder / "model_index.json").write_text(json.dumps(embedded_settings("model_index.json")))
    extractor = embedded_settings("feature_extractor/preprocessor_config.json")
    extractor["crop_size"] = {"height": VISION_SIDE, "width": VISION_SIDE}
    (folder / "feature_extractor").mkdir()
    (folder / "feature_extractor/preprocessor_config.json").write_text(json.dumps(extractor))


def embedded_settings(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((EMBEDDED_FOLDER / name).read_text())
    return settings


def tiny_text_encoder() -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    tokens = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")
    config = embedded_settings("text_encoder/config.json")
    return CLIPTextModel(
        CLIPTextConfig(
            **{name: config[name] for name in tokens},
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
        )
    )


def tiny_image_encoder() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=VISION_SIDE,
            patch_size=8,
            projection_dim=16,
        )
    )


def tiny_vae() -> nn.Module:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
    )


def tiny_unet() -> nn.Module:
    from diffusers import I2VGenXLUNet

    return I2VGenXLUNet(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=4,
        num_attention_heads=4,
    )
