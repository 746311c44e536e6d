"""The two models of this family: 14 frames and 25 frames. Imports no torch.

Published files and sizes: the repositories at the revisions below. The conditioning's defaults and ranges are
those of diffusers' `StableVideoDiffusionPipeline` (0.42.1) and of the paper (arXiv 2311.15127).
"""

from __future__ import annotations

from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts, Preset
from i2v.core.model_spec import Repository
from i2v.engines.svd.options import SVDOptions

# The UNet has no limit of its own, but twice what the larger model was trained on is far out already.
_CAPABILITIES = Capabilities(
    prompt="none",
    inputs=("image", "last_image", "motion_mask"),
    blends_ends=True,
    negative_prompt=False,
    guidance_scale=False,  # each frame has its own: min_guidance_scale to max_guidance_scale
    num_frames=FrameCounts(least=4, most=50),
    fps=(1, 30),
    story=True,
    loop="wrapped",
    holds_frames=True,
)

# Latents are those of Stable Diffusion's VAE, whose encoder was kept: the same linear map to colours, as
# published with ComfyUI (`latent_formats.py`, SD15), scaled to [0, 1].
_PREVIEW = (
    (0.1756, 0.1149, 0.1614),
    (0.1625, 0.2487, 0.1175),
    (-0.1415, 0.0881, 0.1361),
    (-0.1060, -0.1308, -0.3589),
    (0.5, 0.5, 0.5),
)

_FILES = (
    "model_index.json",
    "feature_extractor/preprocessor_config.json",
    "image_encoder/config.json",
    "image_encoder/model.safetensors",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)


def _presets(num_frames: int) -> dict[str, Preset]:
    """Return sizes by area: 768 squared is 576 x 1024, which both models were trained on."""
    numbers = {"quick": (512, 15), "standard": (768, 25), "high": (768, 40), "extreme": (1024, 50)}
    return {
        name: Preset(
            area_side=side, num_frames=num_frames, num_inference_steps=steps, fps=7, guidance_scale=1.0
        )
        for name, (side, steps) in numbers.items()
    }


def _spec(
    name: str, title: str, num_frames: int, repo: str, revision: str, modelscope: tuple[str, ...]
) -> EngineSpec:
    return EngineSpec(
        name=name,
        title=title,
        summary="Moves what is in the picture, by itself: no prompt",
        implementation="i2v.engines.svd.engine:SVDEngine",
        memory="i2v.engines.svd.memory:MEMORY",
        multiple=64,
        native_area_side=768,
        trained_frames=(num_frames, num_frames),
        trained_fps=(3, 30),
        capabilities=_CAPABILITIES,
        options_model=SVDOptions,
        preview_factors=_PREVIEW,
        files=_FILES,
        tensor_table="svd",
        pipelines=("StableVideoDiffusionPipeline",),
        published=(
            Repository(
                repo=f"stabilityai/{repo}",
                revision=revision,
                modelscope=modelscope,
                size=4_510_000_000,
                licence="Stability AI Community License",
                must_accept=True,
                licence_url=f"https://huggingface.co/stabilityai/{repo}/blob/{revision}/LICENSE.md",
            ),
        ),
        presets=_presets(num_frames),
    )


SVD = _spec(
    "svd",
    "Stable Video Diffusion",
    14,
    "stable-video-diffusion-img2vid",
    "9cf024d5bfa8f56622af86c884f26a52f6676f2e",
    ("AI-ModelScope/stable-video-diffusion-img2vid", "AI-ModelScope/stable-video-diffusion-img2vid-fp16"),
)
SVD_XT = _spec(
    "svd-xt",
    "Stable Video Diffusion XT",
    25,
    "stable-video-diffusion-img2vid-xt",
    "9e43909513c6714f1bc78bcb44d96e733cd242aa",
    ("AI-ModelScope/stable-video-diffusion-img2vid-xt",),
)
