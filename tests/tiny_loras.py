"""Random LoRAs and checkpoints of the tiny AnimateDiff's base, as programs other than ours write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

RANK = 2


def write_kohya(path: Path, layers: Mapping[str, torch.Tensor], alpha: float, **metadata: object) -> None:
    """Write a LoRA as kohya's trainer does. `layers`: weights that it changes, as "PART.NAME"."""
    tensors = {}
    for name, weight in layers.items():
        part, _, module = name.removesuffix(".weight").partition(".")
        begun = {"unet": "lora_unet", "text_encoder": "lora_te"}[part]
        stem = f"{begun}_{module.replace('.', '_')}"
        down, up = _pair(weight)
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(alpha)
    noted = {key.replace("__", "."): value for key, value in metadata.items()}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in noted.items()}
    save_file(tensors, path, metadata={"format": "pt", **texts})


def write_peft(path: Path, layers: Mapping[str, torch.Tensor], *, old: bool = False) -> None:
    """Write a LoRA as diffusers' trainers do with peft, or did before."""
    tensors = {}
    for name, weight in layers.items():
        stem, (down, up) = name.removesuffix(".weight"), _pair(weight)
        if old:
            owner, _, layer = stem.rpartition(".")
            stem = f"{owner}.processor.{layer}_lora"
        names = ("down", "up") if old else ("lora_A", "lora_B")
        tensors |= {f"{stem}.{names[0]}.weight": down, f"{stem}.{names[1]}.weight": up}
    save_file(tensors, path, metadata={"format": "pt"})


def _pair(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    out, *rest = weight.shape
    ones = [1] * (len(rest) - 1)
    return 0.3 * torch.randn(RANK, *rest), 0.3 * torch.randn(out, RANK, *ones)


def base_layers(folder: Path, *endings: str) -> dict[str, torch.Tensor]:
    """Return the tiny base's weights whose names end so, as "unet.NAME" and "text_encoder.NAME"."""
    found = {}
    for part in ("unet", "text_encoder"):
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        for name, tensor in load_file(folder / part / f"{stem}.fp16.safetensors").items():
            if name.endswith(endings):
                found[f"{part}.{name}"] = tensor.float()
    return found


def write_single_file(folder: Path, path: Path, *, with_vae: bool = True) -> None:
    """Write the tiny base of `folder` as Stable Diffusion's own code names its tensors, in one file."""
    unet = load_file(folder / "unet/diffusion_pytorch_model.fp16.safetensors")
    text = load_file(folder / "text_encoder/model.fp16.safetensors")
    tensors = {f"model.diffusion_model.{_unet_name(name)}": tensor for name, tensor in unet.items()}
    for name, tensor in text.items():
        tensors[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    if with_vae:
        vae = load_file(folder / "vae/diffusion_pytorch_model.fp16.safetensors")
        tensors |= {f"first_stage_model.{_vae_name(name)}": tensor for name, tensor in vae.items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip


def _unet_name(name: str) -> str:
    """Two blocks of one layer: attention in the first going down and the last going up."""
    module, _, kind = name.rpartition(".")
    if module in _UNET_ENDS:
        return f"{_UNET_ENDS[module]}.{kind}"
    words = name.split(".")
    if words[0] == "mid_block":
        place = f"middle_block.{2 * int(words[2]) if words[1] == 'resnets' else 1}"
        rest = words[3:]
    else:
        block, kind_of, layer, rest = int(words[1]), words[2], int(words[3]), words[4:]
        if kind_of == "downsamplers":
            return f"input_blocks.{2 * block + 2}.0.op.{rest[-1]}"
        number = 1 + 2 * block + layer if words[0] == "down_blocks" else 2 * block + layer
        if kind_of == "upsamplers":
            has_attention = block > 0
            return f"output_blocks.{2 * block + 1}.{2 if has_attention else 1}.conv.{rest[-1]}"
        where = "input_blocks" if words[0] == "down_blocks" else "output_blocks"
        place = f"{where}.{number}.{0 if kind_of == 'resnets' else 1}"
    if rest[0] in _RESNET and "attentions" not in words:
        rest = [_RESNET[rest[0]], *rest[1:]]
    return ".".join([place, *rest])


_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def _vae_name(name: str) -> str:
    words = name.split(".")
    if words[0] in ("quant_conv", "post_quant_conv") or words[1] in ("conv_in", "conv_out"):
        return name
    if words[1] == "conv_norm_out":
        return f"{words[0]}.norm_out.{words[-1]}"
    rest = ".".join(words[4:-1])
    kind = words[-1]
    if words[1] == "mid_block":
        if words[2] == "resnets":
            return f"{words[0]}.mid.block_{int(words[3]) + 1}.{rest}.{kind}"
        return f"{words[0]}.mid.attn_1.{_VAE_ATTENTION[rest]}.{kind}"
    way = "down" if words[0] == "encoder" else "up"
    number = int(words[2]) if way == "down" else 1 - int(words[2])
    if words[3] in ("downsamplers", "upsamplers"):
        return f"{words[0]}.{way}.{number}.{way}sample.conv.{kind}"
    inner = ".".join(words[5:-1]).replace("conv_shortcut", "nin_shortcut")
    return f"{words[0]}.{way}.{number}.block.{words[4]}.{inner}.{kind}"
