"""The one model of this family, as an installed package would list it under the entry point group."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from i2v.core.engine_spec import Capabilities, EngineSpec, FrameCounts, Preset
from i2v.engines.registry import GROUP
from tests.fake_family.options import FakeOptions

CHANNELS = 16
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"

FAKE = EngineSpec(
    name="fake",
    title="The fake family",
    implementation="tests.fake_family.engine:FakeEngine",
    memory="tests.fake_family.memory:MEMORY",
    multiple=32,
    trained_frames=(5, 81),
    trained_fps=(16, 16),
    capabilities=Capabilities(
        prompt="none",
        negative_prompt=False,
        guidance_scale=False,
        target_fps=False,
        inputs=("image", "last_image"),
        num_frames=FrameCounts(least=5, most=81, step=4),
        fps=(8, 30),
        largest_side=1024,
        sound=True,
    ),
    options_model=FakeOptions,
    cuda_dtype="bfloat16",
    packages=("torch",),
    preview_factors=(*((0.02 * row, 0.1, 0.05) for row in range(CHANNELS)), (0.5, 0.5, 0.5)),
    files=("model_index.json", "transformer/model.safetensors"),
    pipelines=("FakePipeline",),
    presets={
        name: Preset(area_side=side, num_frames=frames, num_inference_steps=4, fps=16, guidance_scale=1.0)
        for name, side, frames in (
            ("quick", 64, 5), ("standard", 128, 17), ("high", 256, 33), ("extreme", 512, 81)
        )
    },
)  # fmt: skip

ENTRY = EntryPoint(name="fake", value="tests.fake_family.specs:FAKE", group=GROUP)
