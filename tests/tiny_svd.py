"""A tiny random model of Stable Video Diffusion's classes, in the published layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from scripts.full_size.svd import CONFIGS, MODEL_INDEX

SIDE = 224  # of the picture that CLIP sees: diffusers' pipeline has no other


def write_tiny_svd(folder: Path, seed: int = 0) -> None:
    """Write random weights under the published names; settings are the published ones."""
    torch.manual_seed(seed)
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX))
    for name in ("scheduler/scheduler_config.json", "feature_extractor/preprocessor_config.json"):
        (folder / name).parent.mkdir()
        (folder / name).write_text(json.dumps(CONFIGS[name]))
    for part, stem, model in (
        ("image_encoder", "model", tiny_image_encoder()),
        ("vae", "diffusion_pytorch_model", tiny_vae()),
        ("unet", "diffusion_pytorch_model", tiny_unet()),
    ):
        if stem == "model":
            (folder / part).mkdir()
            (folder / part / "config.json").write_text(model.config.to_json_string(use_diff=False))
        else:
            model.save_config(folder / part)
        state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
        save_file(state, folder / part / f"{stem}.fp16.safetensors", metadata={"format": "pt"})


def tiny_image_encoder() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=56,
            projection_dim=16,
        )
    )


def tiny_vae() -> nn.Module:
    """Norms have 32 groups, which no setting changes: 32 channels are the fewest."""
    from diffusers import AutoencoderKLTemporalDecoder

    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        latent_channels=4,
        layers_per_block=2,
    )
    _mix(vae)
    return vae


def tiny_unet() -> nn.Module:
    from diffusers import UNetSpatioTemporalConditionModel

    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        layers_per_block=1,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        cross_attention_dim=16,
        num_attention_heads=2,
    )
    _mix(unet)
    return unet


def _mix(model: nn.Module) -> None:
    """Draw how much of space and of time is mixed, which starts alike everywhere."""
    for name, parameter in model.named_parameters():
        if name.endswith("mix_factor"):
            nn.init.normal_(parameter)
