"""Wan 2.2 TI2V-5B and I2V-A14B, as data. Imports no torch.

Defaults are those of the models' own repository (github.com/Wan-Video/Wan2.2). By `wan_ti2v_5B.py`:
704 x 1280, 121 frames at 24 a second, 50 steps, guidance 5. By `wan_i2v_A14B.py`: 720 x 1280, 81 frames at 16
a second, 40 steps, guidance 3.5 of both experts, boundary 0.9, shift 5. The files are those of the diffusers
layout at the revisions below; where it was seen how large they are, scripts/full_size/wan.py and wan_a14b.py
say.
"""

from __future__ import annotations

from dataclasses import replace

from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts, Preset
from i2v.core.loras import Lora
from i2v.core.model_spec import Conversion, Repository
from i2v.engines.wan.facts import Facts
from i2v.engines.wan.options import WanExpertOptions, WanOptions

Colour = tuple[float, float, float]

# The VAE makes one latent frame of the first picture, and one of each four that follow. An end frame is
# silently ignored by these weights (diffusers' `expand_timesteps`), so that none is taken.
_CAPABILITIES = Capabilities(
    target_fps=False,  # nothing tells the model how fast frames follow each other
    num_frames=FrameCounts(least=5, most=121, step=4),
    fps=(1, 60),
    story=True,
    loop="back",
    loras=True,
    inputs=("image", "motion_mask"),
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

# The same of Wan 2.1's VAE, which I2V-A14B has (`latent_formats.py`, Wan21).
_COLOURS_21 = (
    (-0.1299, -0.1692, 0.2932), (0.0671, 0.0406, 0.0442), (0.3568, 0.2548, 0.1747),
    (0.0372, 0.2344, 0.1420), (0.0313, 0.0189, -0.0328), (0.0296, -0.0956, -0.0665),
    (-0.3477, -0.4059, -0.2925), (0.0166, 0.1902, 0.1975), (-0.0412, 0.0267, -0.1364),
    (-0.1293, 0.0740, 0.1636), (0.0680, 0.3019, 0.1128), (0.0032, 0.0581, 0.0639),
    (-0.1251, 0.0927, 0.1699), (0.0060, -0.0633, 0.0005), (0.3477, 0.2275, 0.2950),
    (0.1984, 0.0913, 0.1861),
)  # fmt: skip
_GREY_21 = (-0.1835, -0.0868, -0.3360)

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


def _preview(colours: tuple[Colour, ...], grey: Colour) -> tuple[Colour, ...]:
    """Return the map to colours from 0 to 1."""
    red, green, blue = grey
    rows = ((r / 2, g / 2, b / 2) for r, g, b in colours)
    return (*rows, (red / 2 + 0.5, green / 2 + 0.5, blue / 2 + 0.5))


def _presets() -> dict[str, Preset]:
    """Return sizes by area: 960 squared is about 704 x 1280."""
    numbers = {"quick": (640, 25), "standard": (832, 40), "high": (960, 50), "extreme": (1088, 60)}
    return {
        name: Preset(area_side=side, num_frames=121, num_inference_steps=steps, fps=24, guidance_scale=5.0)
        for name, (side, steps) in numbers.items()
    }


def _in_bfloat16(part: str, size: int) -> Conversion:
    return Conversion(
        file=f"{part}/diffusion_pytorch_model.safetensors",
        size=size,
        # what diffusers keeps in float32 in any case
        in_float32=("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3"),
    )


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
    facts=Facts("WanPipeline", ("transformer",), expand_timesteps=True),
    cuda_dtype="bfloat16",
    storage_dtypes=("float8_e4m3fn",),
    max_prompt_tokens=512,
    languages=("en", "zh-CN"),
    preview_factors=_preview(_COLOURS, _GREY),
    files=_FILES,
    optional_files=("tokenizer/special_tokens_map.json",),
    gguf_files=("transformer/diffusion_pytorch_model.safetensors",),
    tensor_table="wan-ti2v-5b",
    lora_parts={"transformer": ("transformer",)},
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
    conversions=(_in_bfloat16("transformer", 10_100_000_000),),
    presets=_presets(),
)

_EXPERT_FILES = (
    "transformer_2/config.json",
    "transformer_2/diffusion_pytorch_model.safetensors",
)


# LoRAs that were distilled for 4 steps without guidance, one for each expert, as published at `lora_source`
# (Apache-2.0). Its card: Euler's method at shift 5, which has two steps on each side of the boundary.
_DISTILLED = tuple(
    Lora(f"wan2.2_i2v_A14b_{noise}_noise_lora_rank64_lightx2v_4step_1022", *strengths)
    for noise, strengths in (("high", (1.0, 0.0)), ("low", (0.0, 1.0)))
)


def _expert_presets() -> dict[str, Preset]:
    """Return sizes by area: 632 squared is about 480 x 832, 960 squared 720 x 1280."""
    numbers = {"standard": (632, 20), "high": (960, 40), "extreme": (1088, 40)}
    plain = {
        name: Preset(area_side=side, num_frames=81, num_inference_steps=steps, fps=16, guidance_scale=3.5)
        for name, (side, steps) in numbers.items()
    }
    quick = replace(
        plain["standard"],
        num_inference_steps=4,
        guidance_scale=1.0,
        loras=_DISTILLED,
        options={"solver": "euler"},
    )
    return {"quick": quick, **plain}


WAN_I2V_A14B = replace(
    WAN_TI2V_5B,
    name="wan-i2v-a14b",
    title="Wan 2.2 I2V-A14B",
    summary="Five seconds from a first to a last picture, by two large experts",
    memory="i2v.engines.wan.memory:MEMORY_A14B",
    multiple=16,
    trained_frames=(81, 81),
    trained_fps=(16, 16),
    capabilities=replace(
        _CAPABILITIES,
        inputs=("image", "last_image", "motion_mask"),
        num_frames=FrameCounts(least=5, most=81, step=4),
        step_counts=FrameCounts(1, 100),
    ),
    options_model=WanExpertOptions,
    facts=Facts("WanImageToVideoPipeline", ("transformer", "transformer_2"), False, boundary_ratio=0.9),
    preview_factors=_preview(_COLOURS_21, _GREY_21),
    files=(*_FILES, *_EXPERT_FILES),
    gguf_files=tuple(  # that of high noise first
        f"{part}/diffusion_pytorch_model.safetensors" for part in ("transformer", "transformer_2")
    ),
    tensor_table="wan-i2v-a14b",
    lora_parts={part: (part,) for part in ("transformer", "transformer_2")},
    lora_source="https://huggingface.co/lightx2v/Wan2.2-Distill-Loras",
    pipelines=("WanImageToVideoPipeline",),
    published=(
        Repository(
            repo="Wan-AI/Wan2.2-I2V-A14B-Diffusers",
            revision="596658fd9ca6b7b71d5057529bbf319ecbc61d74",
            modelscope=("Wan-AI/Wan2.2-I2V-A14B-Diffusers",),
            size=126_200_000_000,
            licence="Apache-2.0",
            variant="bf16",  # not there: of the experts, what i2v makes of them
        ),
    ),
    conversions=tuple(_in_bfloat16(part, 28_700_000_000) for part in ("transformer", "transformer_2")),
    presets=_expert_presets(),
)
