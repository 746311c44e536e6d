"""Wan 2.2 I2V-A14B as it is published, as data: what it has otherwise than TI2V-5B (`wan`).

    python -m scripts.full_size.wan_a14b    # makes i2v/weights/wan-i2v-a14b.tsv

Two transformers of the same shapes, of which one denoises the steps of high noise and the other the rest, and
Wan 2.1's VAE. Names are those of diffusers 0.42.1. Held to the published files: the size of the VAE's, and
the sums of the text encoder's shards (tests/test_full_size_wan.py). Of each transformer's twelve shards, in
float32, only rounded sizes were seen, which the table's sum agrees with.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.full_size import wan

TABLE = Path(__file__).parents[2] / "i2v" / "weights" / "wan-i2v-a14b.tsv"
BOUNDARY_RATIO = 0.9

# Bytes at revision 596658fd9ca6b7b71d5057529bbf319ecbc61d74; the text encoder's are TI2V-5B's.
PUBLISHED_SIZES = {**wan.PUBLISHED_SIZES, "vae": (507_591_892,)}

MODEL_INDEX = {
    "_class_name": "WanImageToVideoPipeline",
    "boundary_ratio": BOUNDARY_RATIO,
    "expand_timesteps": False,
    "image_encoder": [None, None],
    "image_processor": [None, None],
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}

_TRANSFORMER: dict[str, object] = {
    **wan.CONFIGS["transformer/config.json"],
    "ffn_dim": 13824,
    "in_channels": 36,  # latents, the mask of what is given, and what is given
    "num_attention_heads": 40,
    "num_layers": 40,
    "out_channels": 16,
}

CONFIGS: dict[str, dict[str, object]] = {
    "transformer/config.json": _TRANSFORMER,
    "transformer_2/config.json": _TRANSFORMER,
    "text_encoder/config.json": wan.CONFIGS["text_encoder/config.json"],
    "vae/config.json": {
        "_class_name": "AutoencoderKLWan",
        "attn_scales": [],
        "base_dim": 96,
        "dim_mult": [1, 2, 4, 4],
        "dropout": 0.0,
        "latents_mean": [
            -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517,
            -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
        ],
        "latents_std": [
            2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579,
            1.6382, 1.1253, 2.8251, 1.9160,
        ],
        "num_res_blocks": 2,
        "temperal_downsample": [False, True, True],
        "z_dim": 16,
    },
    "scheduler/scheduler_config.json": wan.CONFIGS["scheduler/scheduler_config.json"],
}  # fmt: skip

build = partial(wan.build, CONFIGS)

if __name__ == "__main__":
    wan.write_table(TABLE, "scripts/full_size/wan_a14b.py", build)
