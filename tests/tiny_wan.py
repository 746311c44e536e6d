"""A tiny random model of Wan's classes, in the published layout: the text encoder in shards."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from scripts.full_size.wan import CONFIGS, MODEL_INDEX

WORDS = ("the", "a", "camera", "cat", "pans", "left", "turns", "its", "head", "镜头", "向", "左", "猫")
TEXT_WIDTH = 16


def write_tiny_wan(folder: Path, seed: int = 0) -> None:
    """Write random weights under the published names; settings are the published ones."""
    torch.manual_seed(seed)
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX))
    (folder / "scheduler").mkdir()
    scheduler = CONFIGS["scheduler/scheduler_config.json"]
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    tiny_tokenizer().save_pretrained(folder / "tokenizer")
    for part, model in (("transformer", tiny_transformer()), ("vae", tiny_vae())):
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


def tiny_transformer() -> nn.Module:
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=48,
        out_channels=48,
        text_dim=TEXT_WIDTH, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=64,
    )  # fmt: skip


def tiny_vae() -> nn.Module:
    from diffusers import AutoencoderKLWan

    published = CONFIGS["vae/config.json"]
    return AutoencoderKLWan(
        base_dim=8, decoder_base_dim=8, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
        temperal_downsample=[False, True, True], is_residual=True, in_channels=12, out_channels=12,
        patch_size=2, scale_factor_spatial=16, scale_factor_temporal=4,
        latents_mean=published["latents_mean"], latents_std=published["latents_std"],
    )  # fmt: skip
