"""The models of this family: the published weights, and the demo model inside i2v. Imports no torch."""

from __future__ import annotations

from dataclasses import replace

from i2v.core.engine_spec import Capabilities, EngineSpec, Preset
from i2v.core.model_spec import Repository
from i2v.engines.i2vgen_xl.facts import AS_STOCK, Facts
from i2v.engines.i2vgen_xl.options import DemoOptions, I2VGenXLOptions

_CAPABILITIES = Capabilities(
    speed=True, story=True, loop="wrapped", holds_frames=True, inputs=("image", "motion_mask")
)
_MEMORY = "i2v.engines.i2vgen_xl.memory:MEMORY"

# Linear map from latents of Stable Diffusion's VAE to colours, as published with ComfyUI
# (`latent_formats.py`, SD15), scaled to [0, 1].
_SD_PREVIEW = (
    (0.1756, 0.1149, 0.1614),
    (0.1625, 0.2487, 0.1175),
    (-0.1415, 0.0881, 0.1361),
    (-0.1060, -0.1308, -0.3589),
    (0.5, 0.5, 0.5),
)

# The Hugging Face layout of diffusers' pipeline.
_PIPELINES = ("I2VGenXLPipeline",)
_FILES = (
    "model_index.json",
    "feature_extractor/preprocessor_config.json",
    "image_encoder/config.json",
    "image_encoder/model.safetensors",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)

_OPTIONAL_FILES = (
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
)

I2VGEN_XL = EngineSpec(
    name="i2vgen-xl",
    title="I2VGen-XL",
    summary="Moves what is in the picture, as the prompt says",
    implementation="i2v.engines.i2vgen_xl.engine:I2VGenXLEngine",
    multiple=64,
    trained_frames=(16, 32),
    trained_fps=(8, 16),
    # not of the demo model, whose frames dissolve between the two (docs/measurements.md)
    capabilities=replace(_CAPABILITIES, inputs=("image", "last_image", "motion_mask"), blends_ends=True),
    memory=_MEMORY,
    options_model=I2VGenXLOptions,
    facts=Facts(image_gain=2.0),
    stock_facts=AS_STOCK,
    rank=10,
    needs_cuda=True,
    default_negative_prompt=(
        "Distorted, discontinuous, Ugly, blurry, low resolution, motionless, static, disfigured,"
        " disconnected limbs, Ugly faces, incomplete arms"
    ),
    preview_factors=_SD_PREVIEW,
    files=_FILES,
    optional_files=_OPTIONAL_FILES,
    pipelines=_PIPELINES,
    published=(
        Repository(
            repo="ali-vilab/i2vgen-xl",
            revision="39e1979ea27be737b0278c06755e321f2b4360d5",
            modelscope=("AI-ModelScope/i2vgen-xl", "damo/I2VGen-XL"),
            size=4_980_000_000,
            licence="MIT",
        ),
    ),
)

# Least-squares map from the embedded VAE's latents to colours in [0, 1] (scripts/train_embedded/export.py
# prints it).
_EMBEDDED_PREVIEW = (
    (0.1798, 0.1965, 0.1945),
    (0.1821, 0.0080, -0.1352),
    (-0.0155, 0.0653, -0.0077),
    (-0.0004, 0.0111, 0.0049),
    (0.4896, 0.4570, 0.4117),
)

# The phrasings of scripts/train_embedded/motions.py, and their like.
_EMBEDDED_MOTIONS = (
    r"\b(pan|tilt)(s|ning|ing)?\b.*\b(left|right|up|down)|\b(left|right|up|down)ward (pan|tilt)"
    r"|\b(camera|view|shot) (moves?|moving|slides?|sliding|drifts?|sweeps?|comes closer|backs away)\b"
    r"|\bmov(e|es|ing) (left|right|up|down|closer|away)\b"
    r"|\bzoom(s|ing)?\b|\b(push|dolly)(es|ing)? (in|out)\b|\bpull(s|ing)? back\b"
    r"|\b(counter-?|anti-?)?clockwise\b"
    r"|[向往][左右上下][边方]?(平移|移|摇|横移|抬|压)|[左右上下][移摇]|上升|下降|[拉推][近远开]|推进|向后拉"
    r"|[推拉]镜|镜头[前后]?[推拉]|放大|缩小|靠近|远离|前进|后退|[顺逆]时针"
    r"|\b(still|static|motionless|fixed camera|locked-off|(does not|doesn't|nothing) moves?)\b"
    r"|\b(no|without any) camera (movement|motion)\b|静止|固定|不动|没有运动"
)

_EMBEDDED_KINDS = (
    r"\bpan(s|ning)?\b|[左右][边方]?(平移|移|摇)|[左右][移摇]",
    r"\btilt|\b(camera|view|shot) (moves?|rises?) (up|down)|[上下][边方]?(平移|移|摇|抬|压)|上升|下降",
    r"\bzoom|\b(push|dolly)(es|ing)? (in|out)\b|\bpull(s|ing)? back\b|closer"
    r"|[推拉]镜|[拉推][近远开]|放大|缩小",
    r"clockwise|时针",
)

# Numbers measured on held-out photographs: see scripts/train_embedded/README.md.
EMBEDDED = EngineSpec(
    name="embedded",
    title="Demo model",
    summary="Small, short clips of camera moves, to try i2v",
    implementation="i2v.engines.i2vgen_xl.engine:I2VGenXLEngine",
    multiple=16,
    native_area_side=160,
    trained_frames=(8, 8),
    trained_fps=(8, 8),
    capabilities=_CAPABILITIES,
    memory=_MEMORY,
    options_model=DemoOptions,
    # Measured with `quick`: 推镜头 by itself does not push in, 镜头推近 does.
    facts=Facts(synonyms=(("推镜头", "镜头推近"), ("拉镜头", "镜头拉远"))),
    stock_facts=AS_STOCK,
    rank=0,
    embedded=True,
    languages=("en", "zh-CN"),
    motions=(
        "the camera pans left",
        "the camera pans right",
        "the camera tilts up",
        "the camera tilts down",
        "the camera zooms in",
        "the camera zooms out",
        "the picture rotates clockwise",
        "the picture rotates counterclockwise",
        "the camera stays still",
    ),
    motion_words=_EMBEDDED_MOTIONS,
    motion_kinds=_EMBEDDED_KINDS,
    max_guidance=1,
    default_negative_prompt="",
    preview_factors=_EMBEDDED_PREVIEW,
    files=_FILES,
    optional_files=_OPTIONAL_FILES,
    pipelines=_PIPELINES,
    # "high" and "extreme" enlarge what "standard" makes: at its size they are the same clip to 38 dB PSNR
    # (docs/measurements.md), for as much time or more.
    offered=("quick", "standard"),
    presets={
        "quick": Preset(area_side=128, num_frames=8, num_inference_steps=10, fps=8, guidance_scale=1.0),
        "standard": Preset(area_side=160, num_frames=8, num_inference_steps=25, fps=8, guidance_scale=1.0),
        "high": Preset(area_side=256, num_frames=8, num_inference_steps=50, fps=8, guidance_scale=1.0),
        "extreme": Preset(area_side=512, num_frames=8, num_inference_steps=100, fps=8, guidance_scale=1.0),
    },
)
