"""The published folder of I2VGen-XL as data: parts, files, configurations, tensor names and shapes, sizes.

Knows neither torch nor values: `make_table` makes `TABLE`, `write` makes a folder of it.

Certain, because the sizes of all eight published files follow from it to the last published digit
(`PUBLISHED_SIZES`; tests/test_full_size.py): each part's architecture, the text encoder's 24 layers (23, as
in Stable Diffusion 2, would be 681 MB), the image encoder's projection, fp16 throughout. Also certain: the
class names and the scheduler, which the repository shows, and that diffusers 0.26.0, the release that brought
I2VGen-XL on 31 January 2024, and transformers 4.37.2, of that month, give tensors these names.

Inferred:

- No `position_ids`. transformers keeps them out of files since 4.31 (July 2023, pull request 24505), and the
  image encoder of Stable Video Diffusion, of this class and that winter, has exactly the size of ours
  without them (1,264,217,240 bytes). Older files hold them, and three digits of a size cannot tell.
- The VAE's attention is `to_q`, `to_k`, `to_v` and `to_out.0`, as every diffusers since 0.17 (June 2023)
  writes it. A file copied from an older repository would have `query`, `key`, `value` and `proj_attn`, and
  be 8 bytes larger.
- What no size shows: `num_attention_heads` 64 in the UNet (in truth a head's width; diffusers' default),
  16 heads and `hidden_act` "gelu" in both encoders (OpenCLIP's ViT-H/14, which VGen uses), the VAE's 0.18215
  (Stable Diffusion 2), the special tokens' ids, and `sample_size`, which the engine does not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]  # by tensor's name

TABLE = Path(__file__).parents[2] / "i2v" / "weights" / "i2vgen-xl.tsv"

FILES = {
    "unet": "diffusion_pytorch_model.fp16.safetensors",
    "image_encoder": "model.fp16.safetensors",
    "text_encoder": "model.fp16.safetensors",
    "vae": "diffusion_pytorch_model.fp16.safetensors",
}

# As the hub shows them at revision 39e1979ea27be737b0278c06755e321f2b4360d5: (fp32, fp16).
PUBLISHED_SIZES = {
    "unet": ("5.68 GB", "2.84 GB"),
    "image_encoder": ("2.53 GB", "1.26 GB"),
    "text_encoder": ("1.41 GB", "706 MB"),
    "vae": ("335 MB", "167 MB"),
}

MODEL_INDEX = {
    "_class_name": "I2VGenXLPipeline",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "I2VGenXLUNet"],
    "vae": ["diffusers", "AutoencoderKL"],
}

# By file, as the folder has them.
# OpenCLIP ViT-H/14, as several models have it.
IMAGE_ENCODER: dict[str, object] = {
    "architectures": ["CLIPVisionModelWithProjection"],
    "model_type": "clip_vision_model",
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "image_size": 224,
    "intermediate_size": 5120,
    "layer_norm_eps": 1e-5,
    "num_attention_heads": 16,
    "num_channels": 3,
    "num_hidden_layers": 32,
    "patch_size": 14,
    "projection_dim": 1024,
}

CONFIGS: dict[str, dict[str, object]] = {
    "unet/config.json": {
        "_class_name": "I2VGenXLUNet",
        "sample_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": [
            "CrossAttnDownBlock3D",
            "CrossAttnDownBlock3D",
            "CrossAttnDownBlock3D",
            "DownBlock3D",
        ],
        "up_block_types": ["UpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D"],
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "cross_attention_dim": 1024,
        "num_attention_heads": 64,
    },
    "image_encoder/config.json": {**IMAGE_ENCODER, "torch_dtype": "float16"},
    "text_encoder/config.json": {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "hidden_act": "gelu",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 77,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "pad_token_id": 1,
        "projection_dim": 1024,
        "torch_dtype": "float16",
        "vocab_size": 49408,
    },
    "vae/config.json": {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 3,
        "sample_size": 768,
        "scaling_factor": 0.18215,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
    "scheduler/scheduler_config.json": {
        "_class_name": "DDIMScheduler",
        "beta_end": 0.02,
        "beta_schedule": "squaredcos_cap_v2",
        "beta_start": 0.0001,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "set_alpha_to_one": True,
        "steps_offset": 1,
        "timestep_spacing": "leading",
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


def read_table() -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the shape of every published tensor by part and name."""
    table: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            part, name, shape = line.split("\t")
            table.setdefault(part, {})[name] = tuple(int(side) for side in shape.split(","))
    return table
