"""Random LoRAs of tiny Wan transformers, as lightx2v, kohya's trainer and diffusers write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

RANK = 2
# Wan's own names of a block's linear layers, and diffusers'.
NAMES = {
    **{f"self_attn.{each}": f"attn1.to_{each}" for each in "qkv"}, "self_attn.o": "attn1.to_out.0",
    **{f"cross_attn.{each}": f"attn2.to_{each}" for each in "qkv"}, "cross_attn.o": "attn2.to_out.0",
    "ffn.0": "ffn.net.0.proj", "ffn.2": "ffn.net.2",
}  # fmt: skip


def pairs(transformer: nn.Module) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return down and up of every linear layer of the blocks, by Wan's own names."""
    found = {}
    for number, block in enumerate(transformer.get_submodule("blocks").children()):
        for own, name in NAMES.items():
            out, given = block.get_submodule(name).weight.shape  # type: ignore[union-attr]
            found[f"blocks.{number}.{own}"] = (0.3 * torch.randn(RANK, given), 0.3 * torch.randn(out, RANK))
    return found


def write_lightx2v(path: Path, transformer: nn.Module, *, whole: bool = True) -> None:
    """Write one as lightx2v's of Wan 2.2: with whole changes, and what only Wan 2.1 has."""
    tensors = {}
    for name, (down, up) in pairs(transformer).items():
        stem = f"diffusion_model.{name}"
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        if whole:
            tensors[f"{stem}.diff_b"] = 0.1 * torch.randn(len(up))
    if whole:
        width = transformer.get_parameter("proj_out.weight").shape[1]
        for number in range(len(transformer.get_submodule("blocks"))):  # type: ignore[arg-type]
            stem = f"diffusion_model.blocks.{number}"
            for each in ("k_img", "v_img"):
                tensors[f"{stem}.cross_attn.{each}.lora_down.weight"] = torch.randn(RANK, width)
                tensors[f"{stem}.cross_attn.{each}.lora_up.weight"] = torch.randn(width, RANK)
            tensors[f"{stem}.cross_attn.norm_k_img.diff"] = torch.randn(width)
            tensors[f"{stem}.norm3.diff"] = torch.zeros(width)
            tensors[f"{stem}.diff_m"] = torch.zeros(1, 6, width)
    save_file(tensors, path, metadata={"format": "pt"})


def write_kohya(path: Path, transformer: nn.Module, alpha: float) -> None:
    """Write one as musubi-tuner does."""
    tensors = {}
    for name, (down, up) in pairs(transformer).items():
        stem = f"lora_unet_{name.replace('.', '_')}"
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path, metadata={"format": "pt", "ss_base_model_version": "wan"})


def write_diffusers(path: Path, transformer: nn.Module, settings: Mapping[str, object] | None = None) -> None:
    """Write one as diffusers' trainers do."""
    tensors = {}
    for name, (down, up) in pairs(transformer).items():
        block, number, own = name.split(".", 2)
        stem = f"transformer.{block}.{number}.{NAMES[own]}"
        tensors |= {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
    metadata = {"format": "pt"}
    if settings:
        metadata["lora_adapter_metadata"] = json.dumps(dict(settings))
    save_file(tensors, path, metadata=metadata)
