"""AnimateDiff driven by pictures, as data. Imports no torch.

Three repositories form the model: Stable Diffusion 1.5 as its base, AnimateDiff's motion adapter (v3), and
SparseCtrl for RGB pictures. Defaults are those of diffusers' `AnimateDiffSparseControlNetPipeline` (0.42.1).
"""

from __future__ import annotations

from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts, Preset, Repository
from i2v.engines.animatediff.facts import AS_STOCK, Facts
from i2v.engines.animatediff.options import AnimateDiffOptions

# 16 frames are what it was trained on. Positions along time end at 32 (`motion_max_seq_length`).
_WINDOW = 16
_CAPABILITIES = Capabilities(
    target_fps=False,  # nothing tells the model how fast frames follow each other
    inputs=("image", "last_image", "keyframe"),
    num_frames=FrameCounts(least=4, most=32),
    fps=(1, 30),
    checkpoint=True,
    loras=True,
)

# The linear map of Stable Diffusion 1's latents to colours, as published with ComfyUI (`latent_formats.py`,
# SD15), scaled to [0, 1].
_PREVIEW = (
    (0.1756, 0.1149, 0.1614),
    (0.1625, 0.2487, 0.1175),
    (-0.1415, 0.0881, 0.1361),
    (-0.1060, -0.1308, -0.3589),
    (0.5, 0.5, 0.5),
)

# A LoRA of Stable Diffusion 1.5 changes the base; one for motion, the motion module in it.
_LORA_PARTS = {"unet": ("unet", "motion_adapter"), "text_encoder": ("text_encoder",)}

_FILES = (
    "model_index.json",
    "controlnet/config.json",
    "controlnet/diffusion_pytorch_model.safetensors",
    "motion_adapter/config.json",
    "motion_adapter/diffusion_pytorch_model.safetensors",
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

# The base's size is that of its published fp16 files. The others' are what their tensors take in fp16
# (i2v/weights/animatediff.tsv): whether their repositories have an fp16 variant beside the float32 one, of
# twice the size, the hub's list says when it is asked.
_PUBLISHED = (
    Repository(
        repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
        revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        modelscope=("AI-ModelScope/stable-diffusion-v1-5",),
        size=2_134_000_000,
        licence="CreativeML Open RAIL-M",
        must_accept=True,
        licence_url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
    ),
    Repository(
        repo="guoyww/animatediff-motion-adapter-v1-5-3",
        revision="2e8139b1d1269fd8a21deb96ad19455e187692eb",
        modelscope=(),
        size=836_000_000,
        licence="as its page states (AnimateDiff's code is Apache-2.0)",
        folder="motion_adapter",
        must_accept=True,
    ),
    Repository(
        repo="guoyww/animatediff-sparsectrl-rgb",
        revision="b8003d681d813c095e459b9141122894daff2d13",
        modelscope=(),
        size=994_000_000,
        licence="as its page states (AnimateDiff's code is Apache-2.0)",
        folder="controlnet",
        must_accept=True,
    ),
)


def _presets() -> dict[str, Preset]:
    numbers = {"quick": (384, 15), "standard": (512, 25), "high": (512, 40), "extreme": (768, 50)}
    return {
        name: Preset(area_side=side, num_frames=_WINDOW, num_inference_steps=steps, fps=8, guidance_scale=7.5)
        for name, (side, steps) in numbers.items()
    }


ANIMATEDIFF = EngineSpec(
    name="animatediff",
    title="AnimateDiff",
    summary="Moves between photos at chosen frames, as the prompt says",
    implementation="i2v.engines.animatediff.engine:AnimateDiffEngine",
    memory="i2v.engines.animatediff.memory:MEMORY",
    multiple=64,
    native_area_side=512,
    trained_frames=(_WINDOW, _WINDOW),
    trained_fps=(8, 8),
    default_negative_prompt="low quality, worst quality",
    capabilities=_CAPABILITIES,
    options_model=AnimateDiffOptions,
    facts=Facts(),
    stock_facts=AS_STOCK,
    preview_factors=_PREVIEW,
    files=_FILES,
    tensor_table="animatediff",
    lora_parts=_LORA_PARTS,
    pipelines=("StableDiffusionPipeline",),
    published=_PUBLISHED,
    presets=_presets(),
)
