"""Wan 2.2 TI2V-5B as it is published, as data: parts, configurations, tensor names and shapes, sizes.

    python -m scripts.full_size.wan         # makes i2v/weights/wan-ti2v-5b.tsv

The classes are built on the meta device, which takes seconds and no memory; names are those of diffusers
0.42.1 and transformers 5. Held to the published files: the sizes of the VAE's, in float32, and of the text
encoder's three shards, in bfloat16, which follow from the table (`PUBLISHED_SIZES`;
tests/test_full_size_wan.py). The transformer's five shards, in float32, were not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

TABLE = Path(__file__).parents[2] / "i2v" / "weights" / "wan-ti2v-5b.tsv"

FILES = {
    "transformer": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}

# Bytes at revision b8fff7315c768468a5333511427288870b2e9635: of one file, and of three shards.
PUBLISHED_SIZES = {
    "text_encoder": (4_935_812_536, 4_983_103_192, 1_442_935_480),
    "vae": (2_818_777_808,),
}

MODEL_INDEX = {
    "_class_name": "WanPipeline",
    "boundary_ratio": None,
    "expand_timesteps": True,
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": [None, None],
    "vae": ["diffusers", "AutoencoderKLWan"],
}

CONFIGS: dict[str, dict[str, object]] = {
    "transformer/config.json": {
        "_class_name": "WanTransformer3DModel",
        "added_kv_proj_dim": None,
        "attention_head_dim": 128,
        "cross_attn_norm": True,
        "eps": 1e-6,
        "ffn_dim": 14336,
        "freq_dim": 256,
        "image_dim": None,
        "in_channels": 48,
        "num_attention_heads": 24,
        "num_layers": 30,
        "out_channels": 48,
        "patch_size": [1, 2, 2],
        "pos_embed_seq_len": None,
        "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 1024,
        "text_dim": 4096,
    },
    "text_encoder/config.json": {
        "architectures": ["UMT5EncoderModel"],
        "model_type": "umt5",
        "d_ff": 10240,
        "d_kv": 64,
        "d_model": 4096,
        "decoder_start_token_id": 0,
        "dense_act_fn": "gelu_new",
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "is_gated_act": True,
        "layer_norm_epsilon": 1e-6,
        "num_decoder_layers": 24,
        "num_heads": 64,
        "num_layers": 24,
        "pad_token_id": 0,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "scalable_attention": True,
        "tie_word_embeddings": False,
        "vocab_size": 256384,
    },
    "vae/config.json": {
        "_class_name": "AutoencoderKLWan",
        "attn_scales": [],
        "base_dim": 160,
        "decoder_base_dim": 256,
        "dim_mult": [1, 2, 4, 4],
        "dropout": 0.0,
        "in_channels": 12,
        "is_residual": True,
        "latents_mean": [
            -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813,
            0.0891, 0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108,
            -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313,
            -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944,
            0.3573, -0.0548, -0.1681, -0.0667,
        ],
        "latents_std": [
            0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
            0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
            0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
            0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
        ],
        "num_res_blocks": 2,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "scale_factor_temporal": 4,
        "temperal_downsample": [False, True, True],
        "z_dim": 48,
    },
    "scheduler/scheduler_config.json": {
        "_class_name": "UniPCMultistepScheduler",
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "beta_start": 0.0001,
        "disable_corrector": [],
        "dynamic_thresholding_ratio": 0.995,
        "final_sigmas_type": "zero",
        "flow_shift": 5.0,
        "lower_order_final": True,
        "num_train_timesteps": 1000,
        "predict_x0": True,
        "prediction_type": "flow_prediction",
        "rescale_betas_zero_snr": False,
        "sample_max_value": 1.0,
        "solver_order": 2,
        "solver_p": None,
        "solver_type": "bh2",
        "steps_offset": 0,
        "thresholding": False,
        "time_shift_type": "exponential",
        "timestep_spacing": "linspace",
        "trained_betas": None,
        "use_beta_sigmas": False,
        "use_dynamic_shifting": False,
        "use_exponential_sigmas": False,
        "use_flow_sigmas": True,
        "use_karras_sigmas": False,
    },
}  # fmt: skip


def build(configs: Mapping[str, Mapping[str, Any]] = CONFIGS) -> dict[str, nn.Module]:
    """Return the parts with weights, made as torch makes tensors where this is called."""
    import diffusers
    import transformers

    makers = {
        "UMT5EncoderModel": lambda config: transformers.UMT5EncoderModel(transformers.UMT5Config(**config)),
        "WanTransformer3DModel": diffusers.WanTransformer3DModel.from_config,
        "AutoencoderKLWan": diffusers.AutoencoderKLWan.from_config,
    }
    parts = {}
    for name, config in configs.items():
        part, _, file = name.partition("/")
        if file == "config.json":
            kind = config.get("_class_name") or config["architectures"][0]
            parts[part] = makers[kind](config)
    # `shared` again: the files have it once
    parts["text_encoder"].encoder.embed_tokens = None
    return parts


def write_table(path: Path, script: str, build_parts: Callable[[], dict[str, nn.Module]]) -> None:
    import diffusers
    import torch
    import transformers

    versions = f"diffusers {diffusers.__version__} and transformers {transformers.__version__}"
    lines = [f"# Made by {script} with {versions}: part, tensor, shape."]
    with torch.device("meta"):
        parts = build_parts()
    for part, model in parts.items():
        lines += [
            f"{part}\t{name}\t{','.join(map(str, tensor.shape))}"
            for name, tensor in sorted(model.state_dict().items())
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {len(lines) - 1} tensors")


if __name__ == "__main__":
    write_table(TABLE, "scripts/full_size/wan.py", build)
