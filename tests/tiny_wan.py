"""Tiny random models of Wan's classes, in the published layouts: the text encoder in shards."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from scripts.full_size import wan, wan_a14b

WORDS = ("the", "a", "camera", "cat", "pans", "left", "turns", "its", "head", "镜头", "向", "左", "猫")
TEXT_WIDTH = 16


def write_tiny_wan(folder: Path, seed: int = 0) -> None:
    """Write TI2V-5B's parts under the published names; settings are the published ones."""
    torch.manual_seed(seed)
    _write(folder, wan.MODEL_INDEX, {"transformer": tiny_transformer(), "vae": tiny_vae()})


def write_tiny_wan_a14b(folder: Path, seed: int = 0) -> None:
    """Write I2V-A14B's parts likewise."""
    torch.manual_seed(seed)
    experts = {part: tiny_expert() for part in ("transformer", "transformer_2")}
    _write(folder, wan_a14b.MODEL_INDEX, {**experts, "vae": tiny_vae_21()})


def _write(folder: Path, model_index: dict[str, object], parts: dict[str, nn.Module]) -> None:
    (folder / "model_index.json").write_text(json.dumps(model_index))
    (folder / "scheduler").mkdir()
    scheduler = wan.CONFIGS["scheduler/scheduler_config.json"]
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    tiny_tokenizer().save_pretrained(folder / "tokenizer")
    for part, model in parts.items():
        model.save_config(folder / part)
        _save(model, folder / part / "diffusion_pytorch_model.safetensors")
    text_encoder = tiny_text_encoder()
    (folder / "text_encoder").mkdir()
    config = text_encoder.config.to_json_string(use_diff=False)
    (folder / "text_encoder/config.json").write_text(config)
    text_encoder.encoder.embed_tokens = None  # as in the published files, which have it once
    _save_shards(text_encoder, folder / "text_encoder")


def _save(model: nn.Module, path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})


def _save_shards(model: nn.Module, folder: Path, count: int = 2) -> None:
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    shard_of = {
        name: f"model-{index % count + 1:05}-of-{count:05}.safetensors" for index, name in enumerate(state)
    }
    for shard in sorted(set(shard_of.values())):
        held = {name: state[name] for name, owner in shard_of.items() if owner == shard}
        save_file(held, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": shard_of}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def tiny_tokenizer() -> object:
    from transformers import T5Tokenizer

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [("▁", -2.0), *((f"▁{word}", -3.0) for word in WORDS)]
    letters = [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyz,.!"]
    return T5Tokenizer(vocab=[*special, *pieces, *letters], extra_ids=0)


def tiny_text_encoder() -> nn.Module:
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=64, d_model=TEXT_WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
            feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        )
    )  # fmt: skip


def tiny_transformer(in_channels: int = 48, out_channels: int = 48) -> nn.Module:
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=in_channels,
        out_channels=out_channels,
        text_dim=TEXT_WIDTH, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=64,
    )  # fmt: skip


def tiny_expert() -> nn.Module:
    return tiny_transformer(in_channels=36, out_channels=16)


def tiny_vae_21() -> nn.Module:
    from diffusers import AutoencoderKLWan

    published = wan_a14b.CONFIGS["vae/config.json"]
    return AutoencoderKLWan(
        base_dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=published["latents_mean"], latents_std=published["latents_std"],
    )  # fmt: skip


def tiny_vae() -> nn.Module:
    from diffusers import AutoencoderKLWan

    published = wan.CONFIGS["vae/config.json"]
    return AutoencoderKLWan(
        base_dim=8, decoder_base_dim=8, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
        temperal_downsample=[False, True, True], is_residual=True, in_channels=12, out_channels=12,
        patch_size=2, scale_factor_spatial=16, scale_factor_temporal=4,
        latents_mean=published["latents_mean"], latents_std=published["latents_std"],
    )  # fmt: skip
