"""What is known of camera moves before one is made. Imports no torch."""

from __future__ import annotations

from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts, Preset
from i2v.engines.camera_move.options import CameraMoveOptions

MAX_SIDE = 4096  # pixels: 4K, in either of its widths
FPS = (24, 60)
FRAMES = (FPS[0], 60 * FPS[1])  # one second to sixty


def _preset(area_side: int, seconds: int, fps: int) -> Preset:
    return Preset(area_side, num_frames=seconds * fps, num_inference_steps=0, fps=fps, guidance_scale=1.0)


CAMERA_MOVE = EngineSpec(
    name="camera-move",
    title="Camera move, no AI",
    summary="Pans, zooms and turns the photo itself, sharp at any size",
    implementation="i2v.engines.camera_move.engine:CameraMoveEngine",
    multiple=2,
    trained_frames=FRAMES,
    trained_fps=FPS,
    capabilities=Capabilities(
        prompt="optional",
        negative_prompt=False,
        guidance_scale=False,
        num_inference_steps=False,
        target_fps=False,
        seed=False,
        fits=("keep", "crop"),
        num_frames=FrameCounts(*FRAMES),
        fps=FPS,
        largest_side=MAX_SIDE,
        own_size=True,
        whole_picture=True,
        loop="own",
    ),
    options_model=CameraMoveOptions,
    is_generative=False,
    packages=("numpy", "pillow"),
    max_prompt_tokens=2000,
    languages=("en", "zh-CN"),
    presets={  # areas of 720p, 1080p, 1440p and 4K, where the photograph has as many pixels
        "quick": _preset(960, seconds=4, fps=24),
        "standard": _preset(1440, seconds=5, fps=30),
        "high": _preset(1920, seconds=6, fps=30),
        "extreme": _preset(2880, seconds=8, fps=60),
    },
)
