"""Stable Video Diffusion as it is published, as data: parts, configurations, tensor names and shapes, sizes.

    python -m scripts.full_size.svd         # makes i2v/weights/svd.tsv

Both models have the same parts: SVD-XT is SVD, trained on with 25 frames. Certain, because the sizes of the
three published files follow from it to the byte (`PUBLISHED_SIZES`; tests/test_full_size_svd.py): each part's
architecture, fp16 throughout, and names of these lengths. The classes are built on the meta device, which
takes seconds and no memory. The names are those of diffusers 0.42.1; transformers 5 gives the image encoder
those that 4 gave I2VGen-XL's, which has the same size to the byte.

What no size shows: `num_attention_heads`, `hidden_act`, and the scheduler's numbers, which are those that
diffusers' conversion script and the paper (arXiv 2311.15127) give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.full_size.layout import IMAGE_ENCODER
from scripts.full_size.tables import WEIGHTS, write_table

if TYPE_CHECKING:
    from torch import nn

TABLE = WEIGHTS / "svd.tsv"

FILES = {
    "unet": "diffusion_pytorch_model.fp16.safetensors",
    "image_encoder": "model.fp16.safetensors",
    "vae": "diffusion_pytorch_model.fp16.safetensors",
}

# Bytes of SVD-XT's files at revision 9e43909513c6714f1bc78bcb44d96e733cd242aa.
PUBLISHED_SIZES = {"unet": 3_049_435_868, "image_encoder": 1_264_217_240, "vae": 195_531_910}

MODEL_INDEX = {
    "_class_name": "StableVideoDiffusionPipeline",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
    "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
}

CONFIGS: dict[str, dict[str, object]] = {
    "unet/config.json": {
        "_class_name": "UNetSpatioTemporalConditionModel",
        "addition_time_embed_dim": 256,
        "block_out_channels": [320, 640, 1280, 1280],
        "cross_attention_dim": 1024,
        "down_block_types": [*["CrossAttnDownBlockSpatioTemporal"] * 3, "DownBlockSpatioTemporal"],
        "in_channels": 8,
        "layers_per_block": 2,
        "num_attention_heads": [5, 10, 20, 20],
        "num_frames": 25,
        "out_channels": 4,
        "projection_class_embeddings_input_dim": 768,
        "sample_size": 96,
        "transformer_layers_per_block": 1,
        "up_block_types": ["UpBlockSpatioTemporal", *["CrossAttnUpBlockSpatioTemporal"] * 3],
    },
    "image_encoder/config.json": {**IMAGE_ENCODER, "torch_dtype": "float16"},
    "vae/config.json": {
        "_class_name": "AutoencoderKLTemporalDecoder",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "force_upcast": True,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "out_channels": 3,
        "sample_size": 768,
        "scaling_factor": 0.18215,
    },
    "scheduler/scheduler_config.json": {
        "_class_name": "EulerDiscreteScheduler",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "interpolation_type": "linear",
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction",
        "sigma_max": 700.0,
        "sigma_min": 0.002,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "timestep_type": "continuous",
        "use_karras_sigmas": True,
    },
    "feature_extractor/preprocessor_config.json": {
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "CLIPImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": 224},
    },
}


def build() -> dict[str, nn.Module]:
    """Return the three parts, made as torch makes tensors where this is called."""
    import diffusers
    import transformers

    configs = {part: CONFIGS[f"{part}/config.json"] for part in FILES}
    return {
        "unet": diffusers.UNetSpatioTemporalConditionModel.from_config(configs["unet"]),
        "image_encoder": transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(**configs["image_encoder"])
        ),
        "vae": diffusers.AutoencoderKLTemporalDecoder.from_config(configs["vae"]),
    }


def main() -> None:
    import torch

    with torch.device("meta"):
        write_table(TABLE, build(), "scripts/full_size/svd.py")


if __name__ == "__main__":
    main()
