"""A tiny random model of I2VGen-XL's classes, in the published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from i2v.weights import EMBEDDED_FOLDER

VISION_SIDE = 16


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
