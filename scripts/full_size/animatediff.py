"""AnimateDiff with SparseCtrl as it is published, as data: parts, configurations, tensor names and shapes.

    python -m scripts.full_size.animatediff   # i2v/weights/animatediff.tsv, -distilled.tsv, ip-adapter.tsv

The sizes of Stable Diffusion 1.5's three published fp16 files follow from it to the byte (`PUBLISHED_SIZES`;
tests/test_full_size_animatediff.py). The motion adapter is built from its published config.json; SparseCtrl
for RGB pictures from diffusers' defaults, which are those of its paper's model: neither file's size is known
here. The classes are built on the meta device. The names are those of diffusers 0.42.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.full_size.layout import IMAGE_ENCODER
from scripts.full_size.tables import WEIGHTS, write_table

if TYPE_CHECKING:
    from torch import nn

TABLE = WEIGHTS / "animatediff.tsv"
DISTILLED_TABLE = WEIGHTS / "animatediff-distilled.tsv"
STYLE_TABLE = WEIGHTS / "ip-adapter.tsv"
# Bytes of the fp16 motion modules of AnimateDiff-Lightning and AnimateLCM, as the hub's pages have them:
# rounded to a million.
DISTILLED_SIZE = 908_000_000

# Bytes of the fp16 files of stable-diffusion-v1-5/stable-diffusion-v1-5 at revision
# 451f4fe16113bff5a5d2269ed5ad43b0592e9a14.
PUBLISHED_SIZES = {"unet": 1_719_125_304, "vae": 167_335_342, "text_encoder": 246_144_864}

# Bytes of the files of h94/IP-Adapter at revision 018e402774aeeddd60609b4ecdb7e298259dc729: of the image
# encoder, in float32, to the byte; of the adapter, in float16, as the hub's page has it.
STYLE_SIZES = {"models/image_encoder": 2_528_373_448, "models": 44_600_000}

MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.6.0",
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

CONFIGS: dict[str, dict[str, object]] = {
    "unet/config.json": {
        "_class_name": "UNet2DConditionModel",
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "cross_attention_dim": 768,
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "in_channels": 4,
        "layers_per_block": 2,
        "out_channels": 4,
        "sample_size": 64,
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    },
    "motion_adapter/config.json": {
        "_class_name": "MotionAdapter",
        "block_out_channels": [320, 640, 1280, 1280],
        "motion_layers_per_block": 2,
        "motion_max_seq_length": 32,
        "motion_mid_block_layers_per_block": 1,
        "motion_norm_num_groups": 32,
        "motion_num_attention_heads": 8,
        "use_motion_mid_block": False,
    },
    "controlnet/config.json": {
        "_class_name": "SparseControlNetModel",
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "conditioning_channels": 4,
        "cross_attention_dim": 768,
        "down_block_types": [*["CrossAttnDownBlockMotion"] * 3, "DownBlockMotion"],
        "in_channels": 4,
        "layers_per_block": 2,
        "motion_max_seq_length": 32,
        "motion_num_attention_heads": 8,
        "use_simplified_condition_embedding": True,
    },
    "vae/config.json": {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "out_channels": 3,
        "sample_size": 512,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
    "text_encoder/config.json": {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "quick_gelu",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 77,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "projection_dim": 768,
        "vocab_size": 49408,
    },
    "scheduler/scheduler_config.json": {
        "_class_name": "PNDMScheduler",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    },
}

PARTS = ("unet", "motion_adapter", "controlnet", "vae", "text_encoder")


def build(*, distilled: bool = False) -> dict[str, nn.Module]:
    """Return the five parts, made as torch makes tensors where this is called.

    distilled: with the motion modules of Lightning and AnimateLCM, which have one in the middle block too, as
    diffusers' default has and the first versions of AnimateDiff had.
    """
    import diffusers
    import transformers

    configs = {part: CONFIGS[f"{part}/config.json"] for part in PARTS}
    if distilled:
        configs["motion_adapter"] = {**configs["motion_adapter"], "use_motion_mid_block": True}
    return {
        "unet": diffusers.UNet2DConditionModel.from_config(configs["unet"]),
        "motion_adapter": diffusers.MotionAdapter.from_config(configs["motion_adapter"]),
        "controlnet": diffusers.SparseControlNetModel.from_config(configs["controlnet"]),
        "vae": diffusers.AutoencoderKL.from_config(configs["vae"]),
        "text_encoder": transformers.CLIPTextModel(transformers.CLIPTextConfig(**configs["text_encoder"])),
    }


def build_style_model() -> dict[str, nn.Module]:
    """Return IP-Adapter and its image encoder by the folders of their files, as `build` does."""
    import diffusers
    import transformers

    from i2v.engines.animatediff.ip_adapter import Adapter

    parts = build()
    moving = diffusers.UNetMotionModel.from_unet2d(parts["unet"], parts["motion_adapter"], False)
    encoder = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**IMAGE_ENCODER))
    return {"models": Adapter(moving, encoder.config.projection_dim), "models/image_encoder": encoder}


def main() -> None:
    import torch

    with torch.device("meta"):
        write_table(TABLE, build(), "scripts/full_size/animatediff.py")
        write_table(DISTILLED_TABLE, build(distilled=True), "scripts/full_size/animatediff.py")
        write_table(STYLE_TABLE, build_style_model(), "scripts/full_size/animatediff.py")


if __name__ == "__main__":
    main()
