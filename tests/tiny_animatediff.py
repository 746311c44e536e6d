"""A tiny random model of AnimateDiff's classes with SparseCtrl, in the layout of its three repositories."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from i2v.engines.animatediff.specs import ANIMATEDIFF_LIGHTNING, ANIMATELCM
from i2v.weights import EMBEDDED_FOLDER
from scripts.full_size.animatediff import CONFIGS, MODEL_INDEX
from tests.tiny_loras import base_layers, write_kohya
from tests.tiny_model import tiny_image_encoder, tiny_text_encoder, tiny_vae

_WIDTHS = (8, 16)


def write_tiny_animatediff(folder: Path, seed: int = 0) -> None:
    """Write random weights under the published names; the tokenizer is the embedded model's."""
    torch.manual_seed(seed)
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX))
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(
        json.dumps(CONFIGS["scheduler/scheduler_config.json"])
    )
    (folder / "tokenizer").mkdir()
    for file in (EMBEDDED_FOLDER / "tokenizer").iterdir():
        (folder / "tokenizer" / file.name).write_bytes(file.read_bytes())
    for part, stem, model in (
        ("text_encoder", "model", tiny_text_encoder()),
        ("vae", "diffusion_pytorch_model", tiny_vae()),
        ("unet", "diffusion_pytorch_model", tiny_unet()),
        ("motion_adapter", "diffusion_pytorch_model", tiny_adapter()),
        ("controlnet", "diffusion_pytorch_model", tiny_controlnet()),
    ):
        if stem == "model":
            (folder / part).mkdir()
            (folder / part / "config.json").write_text(model.config.to_json_string(use_diff=False))
        else:
            model.save_config(folder / part)
        save_file(halves(model), folder / part / f"{stem}.fp16.safetensors", metadata={"format": "pt"})
    _write_distilled(folder)


def _write_distilled(folder: Path) -> None:
    """Write what AnimateDiff-Lightning and AnimateLCM have besides."""
    for _, stem in ANIMATEDIFF_LIGHTNING.facts.motion_files:
        save_file(
            halves(tiny_adapter(use_motion_mid_block=True)), folder / f"motion_adapter/{stem}.safetensors"
        )
    ((lora, _),) = ANIMATELCM.facts.own_loras
    (folder / lora).parent.mkdir()
    layers = base_layers(folder, "attn1.to_q.weight", "attn2.to_out.0.weight", "conv1.weight")
    write_kohya(
        folder / lora, {name: each for name, each in layers.items() if name.startswith("unet.")}, alpha=1.0
    )


def write_tiny_style_model(folder: Path, seed: int = 0) -> None:
    """Write random weights of IP-Adapter for `tiny_unet`, in the layout of its repository."""
    from diffusers import UNetMotionModel

    from i2v.engines.animatediff.ip_adapter import Adapter

    torch.manual_seed(seed)
    encoder = tiny_image_encoder()
    adapter = Adapter(UNetMotionModel.from_unet2d(tiny_unet(), tiny_adapter()), encoder.config.projection_dim)
    place = folder / "models/image_encoder"
    place.mkdir(parents=True)
    (place / "config.json").write_text(encoder.config.to_json_string(use_diff=False))
    save_file(encoder.state_dict(), place / "model.safetensors", metadata={"format": "pt"})
    save_file(halves(adapter), folder / "models/ip-adapter_sd15.safetensors", metadata={"format": "pt"})


def halves(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}


def tiny_unet() -> nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=_WIDTHS,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=2,
    )


def tiny_adapter(*, use_motion_mid_block: bool = False) -> nn.Module:
    from diffusers import MotionAdapter

    return _without_zeros(
        MotionAdapter(
            block_out_channels=_WIDTHS,
            motion_layers_per_block=1,
            motion_norm_num_groups=4,
            motion_num_attention_heads=2,
            motion_max_seq_length=32,
            use_motion_mid_block=use_motion_mid_block,
        )
    )


def tiny_controlnet() -> nn.Module:
    from diffusers import SparseControlNetModel

    return _without_zeros(
        SparseControlNetModel(
            block_out_channels=_WIDTHS,
            down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=16,
            attention_head_dim=2,
            motion_num_attention_heads=2,
        )
    )


def _without_zeros(model: nn.Module) -> nn.Module:
    """Give what training begins at zero, so that nothing is changed by it yet, random values."""
    for parameter in model.parameters():
        if not parameter.any():
            parameter.data = 0.3 * torch.randn(parameter.shape)
    return model
