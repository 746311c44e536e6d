"""AnimateDiff driven by pictures, as data, and its two distilled relatives. Imports no torch.

Three repositories form a model: Stable Diffusion 1.5 as its base, AnimateDiff's motion adapter (v3), or one
that was distilled for few steps, and SparseCtrl for RGB pictures. Defaults are those of diffusers'
`AnimateDiffSparseControlNetPipeline` (0.42.1), or of the distilled weights' cards.
"""

from __future__ import annotations

from dataclasses import replace

from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts, Preset
from i2v.core.model_spec import ModelSpec, Repository
from i2v.engines.animatediff.facts import AS_STOCK, Facts
from i2v.engines.animatediff.options import AnimateDiffOptions

# 16 frames are what it was trained on. Positions along time end at 32 (`motion_max_seq_length`).
_WINDOW = 16
_CAPABILITIES = Capabilities(
    target_fps=False,  # nothing tells the model how fast frames follow each other
    inputs=("image", "last_image", "keyframe", "motion_mask", "style_image"),
    num_frames=FrameCounts(least=4, most=32),
    fps=(1, 30),
    checkpoint=True,
    loras=True,
    story=True,
    loop="wrapped",
    holds_frames=True,
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

_MOTION = (
    "motion_adapter/config.json",
    "motion_adapter/diffusion_pytorch_model.safetensors",
)
_FILES = (
    "model_index.json",
    "controlnet/config.json",
    "controlnet/diffusion_pytorch_model.safetensors",
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
_BASE = Repository(
    repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
    revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
    modelscope=("AI-ModelScope/stable-diffusion-v1-5",),
    size=2_134_000_000,
    licence="CreativeML Open RAIL-M",
    must_accept=True,
    licence_url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
)
_ADAPTER = Repository(
    repo="guoyww/animatediff-motion-adapter-v1-5-3",
    revision="2e8139b1d1269fd8a21deb96ad19455e187692eb",
    modelscope=(),
    size=836_000_000,
    licence="see its page",
    folder="motion_adapter",
    must_accept=True,
)
_SPARSE = Repository(
    repo="guoyww/animatediff-sparsectrl-rgb",
    revision="b8003d681d813c095e459b9141122894daff2d13",
    modelscope=(),
    size=994_000_000,
    licence="see its page",
    folder="controlnet",
    must_accept=True,
)

# Motion modules that were distilled for few steps, in the place of AnimateDiff's own. Sizes are those of the
# hub's pages. Neither was published with SparseCtrl, which is AnimateDiff's.
_LIGHTNING_STEPS = (4, 8)
_LIGHTNING_FILES = tuple(
    (steps, f"animatediff_lightning_{steps}step_diffusers") for steps in _LIGHTNING_STEPS
)
_LIGHTNING = Repository(
    repo="ByteDance/AnimateDiff-Lightning",
    revision="a46b38ddc318de3ec80c5c769b76b1e6b215df58",
    modelscope=(),
    size=1_816_000_000,
    licence="CreativeML Open RAIL-M",
    folder="motion_adapter",
    variant="",
    must_accept=True,
)
_LCM = Repository(
    repo="wangfuyun/AnimateLCM",
    revision="3d4d00fc113225e1040f4d3bec504b6ec750c10c",
    modelscope=(),
    size=908_000_000,
    licence="see its page",
    folder="motion_adapter",
    must_accept=True,
)
_LCM_LORA = replace(_LCM, size=135_000_000, folder="lora", variant="")
_LCM_LORA_FILE = "lora/AnimateLCM_sd15_t2v_lora.safetensors"

# What reads style pictures, one for all three. Its image encoder is OpenCLIP's ViT-H/14, in float32.
IP_ADAPTER = ModelSpec(
    name="ip-adapter",
    title="IP-Adapter (style pictures)",
    files=(
        "models/ip-adapter_sd15.safetensors",
        "models/image_encoder/config.json",
        "models/image_encoder/model.safetensors",
    ),
    published=(
        Repository(
            repo="h94/IP-Adapter",
            revision="018e402774aeeddd60609b4ecdb7e298259dc729",
            modelscope=(),
            size=2_573_000_000,
            licence="Apache-2.0",
            variant="",
        ),
    ),
)


def _presets(numbers: dict[str, tuple[int, int]], guidance_scale: float) -> dict[str, Preset]:
    """`numbers`: side and steps of each."""
    return {
        name: Preset(
            side, num_frames=_WINDOW, num_inference_steps=steps, fps=8, guidance_scale=guidance_scale
        )
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
    files=(*_FILES, *_MOTION),
    tensor_table="animatediff",
    lora_parts=_LORA_PARTS,
    pipelines=("StableDiffusionPipeline",),
    input_models={"style_image": IP_ADAPTER},
    published=(_BASE, _ADAPTER, _SPARSE),
    presets=_presets(
        {"quick": (384, 15), "standard": (512, 25), "high": (512, 40), "extreme": (768, 50)}, 7.5
    ),
)

# Its card: guidance 1, so that no negative prompt is read, and as many steps as the file is for.
_LIGHTNING_FACTS = Facts(sampler="trailing", motion_files=_LIGHTNING_FILES)
ANIMATEDIFF_LIGHTNING = replace(
    ANIMATEDIFF,
    name="animatediff-lightning",
    title="AnimateDiff-Lightning",
    summary="AnimateDiff in 4 or 8 steps",
    default_negative_prompt="",
    capabilities=replace(
        _CAPABILITIES,
        negative_prompt=False,
        guidance_scale=False,
        step_counts=FrameCounts(only=_LIGHTNING_STEPS),
    ),
    facts=_LIGHTNING_FACTS,
    stock_facts=replace(_LIGHTNING_FACTS, sample_posterior=True),
    files=(*_FILES, *(f"motion_adapter/{name}.safetensors" for _, name in _LIGHTNING_FILES)),
    tensor_table="animatediff-distilled",
    published=(_BASE, _LIGHTNING, _SPARSE),
    presets=_presets({"quick": (512, 4), "standard": (512, 8), "high": (512, 8), "extreme": (768, 8)}, 1.0),
    offered=("quick", "standard", "extreme"),
)

# Its card: guidance 2, 6 steps, the LoRA at 0.8. `LCMScheduler` has no more steps than it was distilled at.
_LCM_FACTS = Facts(sampler="consistency", own_loras=((_LCM_LORA_FILE, 0.8),))
ANIMATELCM = replace(
    ANIMATEDIFF,
    name="animatelcm",
    title="AnimateLCM",
    summary="AnimateDiff in 4 to 8 steps, with a negative prompt",
    capabilities=replace(_CAPABILITIES, step_counts=FrameCounts(1, 50)),
    facts=_LCM_FACTS,
    stock_facts=replace(_LCM_FACTS, sample_posterior=True),
    files=(*_FILES, *_MOTION, _LCM_LORA_FILE),
    tensor_table="animatediff-distilled",
    published=(_BASE, _LCM, _LCM_LORA, _SPARSE),
    max_guidance=2,
    presets=_presets({"quick": (512, 4), "standard": (512, 6), "high": (512, 8), "extreme": (768, 8)}, 2.0),
)
