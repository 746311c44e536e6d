"""Wan 2.2 TI2V-5B, as data. Imports no torch.

Defaults are those of the model's own repository (github.com/Wan-Video/Wan2.2, `wan_ti2v_5B.py`): 704 x 1280,
121 frames at 24 a second, 50 steps, guidance 5. The files are those of the diffusers layout at the revision
below; where it was seen how large they are, scripts/full_size/wan.py says.
"""

from __future__ import annotations

from i2v.core.engine_spec import Capabilities, Conversion, EngineSpec, FrameCounts, Preset, Repository
from i2v.engines.wan.options import WanOptions

# The VAE makes one latent frame of the first picture, and one of each four that follow. An end frame is
# silently ignored by these weights (diffusers' `expand_timesteps`), so that none is taken.
_CAPABILITIES = Capabilities(
    target_fps=False,  # nothing tells the model how fast frames follow each other
    num_frames=FrameCounts(least=5, most=121, step=4),
    fps=(1, 60),
)

# The linear map of latents to colours, from -1 to 1, as published with ComfyUI (`latent_formats.py`, Wan22).
_COLOURS = (
    (0.0119, 0.0103, 0.0046), (-0.1062, -0.0504, 0.0165), (0.0140, 0.0409, 0.0491),
    (-0.0813, -0.0677, 0.0607), (0.0656, 0.0851, 0.0808), (0.0264, 0.0463, 0.0912),
    (0.0295, 0.0326, 0.0590), (-0.0244, -0.0270, 0.0025), (0.0443, -0.0102, 0.0288),
    (-0.0465, -0.0090, -0.0205), (0.0359, 0.0236, 0.0082), (-0.0776, 0.0854, 0.1048),
    (0.0564, 0.0264, 0.0561), (0.0006, 0.0594, 0.0418), (-0.0319, -0.0542, -0.0637),
    (-0.0268, 0.0024, 0.0260), (0.0539, 0.0265, 0.0358), (-0.0359, -0.0312, -0.0287),
    (-0.0285, -0.1032, -0.1237), (0.1041, 0.0537, 0.0622), (-0.0086, -0.0374, -0.0051),
    (0.0390, 0.0670, 0.2863), (0.0069, 0.0144, 0.0082), (0.0006, -0.0167, 0.0079),
    (0.0313, -0.0574, -0.0232), (-0.1454, -0.0902, -0.0481), (0.0714, 0.0827, 0.0447),
    (-0.0304, -0.0574, -0.0196), (0.0401, 0.0384, 0.0204), (-0.0758, -0.0297, -0.0014),
    (0.0568, 0.1307, 0.1372), (-0.0055, -0.0310, -0.0380), (0.0239, -0.0305, 0.0325),
    (-0.0663, -0.0673, -0.0140), (-0.0416, -0.0047, -0.0023), (0.0166, 0.0112, -0.0093),
    (-0.0211, 0.0011, 0.0331), (0.1833, 0.1466, 0.2250), (-0.0368, 0.0370, 0.0295),
    (-0.3441, -0.3543, -0.2008), (-0.0479, -0.0489, -0.0420), (-0.0660, -0.0153, 0.0800),
    (-0.0101, 0.0068, 0.0156), (-0.0690, -0.0452, -0.0927), (-0.0145, 0.0041, 0.0015),
    (0.0421, 0.0451, 0.0373), (0.0504, -0.0483, -0.0356), (-0.0837, 0.0168, 0.0055),
)  # fmt: skip
_GREY = (0.0317, -0.0878, -0.1388)

# What the model's repository asks to be kept out (`sample_neg_prompt`): garish colours, overexposure,
# stillness, blur, subtitles, style, painting, grey, low quality, deformed hands, faces and limbs, clutter,
# crowds, walking backwards.
_NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走"
)

_FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)


def _preview() -> tuple[tuple[float, float, float], ...]:
    """Return the map to colours from 0 to 1."""
    red, green, blue = _GREY
    rows = ((r / 2, g / 2, b / 2) for r, g, b in _COLOURS)
    return (*rows, (red / 2 + 0.5, green / 2 + 0.5, blue / 2 + 0.5))


def _presets() -> dict[str, Preset]:
    """Return sizes by area: 960 squared is about 704 x 1280."""
    numbers = {"quick": (640, 25), "standard": (832, 40), "high": (960, 50), "extreme": (1088, 60)}
    return {
        name: Preset(area_side=side, num_frames=121, num_inference_steps=steps, fps=24, guidance_scale=5.0)
        for name, (side, steps) in numbers.items()
    }


WAN_TI2V_5B = EngineSpec(
    name="wan-ti2v-5b",
    title="Wan 2.2 TI2V-5B",
    summary="Five seconds as the prompt says, in English or Chinese",
    implementation="i2v.engines.wan.engine:WanEngine",
    memory="i2v.engines.wan.memory:MEMORY",
    multiple=32,
    native_area_side=960,
    trained_frames=(121, 121),
    trained_fps=(24, 24),
    default_negative_prompt=_NEGATIVE_PROMPT,
    capabilities=_CAPABILITIES,
    options_model=WanOptions,
    cuda_dtype="bfloat16",
    storage_dtypes=("float8_e4m3fn",),
    max_prompt_tokens=512,
    languages=("en", "zh-CN"),
    preview_factors=_preview(),
    files=_FILES,
    optional_files=("tokenizer/special_tokens_map.json",),
    gguf_files=("transformer/diffusion_pytorch_model.safetensors",),
    tensor_table="wan-ti2v-5b",
    pipelines=("WanPipeline",),
    text_parts=("text_encoder", "tokenizer"),
    packages=("torch", "diffusers", "transformers", "ftfy"),
    published=(
        Repository(
            repo="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
            revision="b8fff7315c768468a5333511427288870b2e9635",
            modelscope=("Wan-AI/Wan2.2-TI2V-5B-Diffusers",),
            size=34_200_000_000,
            licence="Apache-2.0",
            variant="bf16",  # not there: of the transformer, what i2v makes of it
        ),
    ),
    conversions=(
        Conversion(
            file="transformer/diffusion_pytorch_model.safetensors",
            size=10_100_000_000,
            # what diffusers keeps in float32 in any case
            in_float32=("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3"),
        ),
    ),
    presets=_presets(),
)
