"""Wan on the device: tiny models of both layouts against diffusers, and a step of the full size's blocks.

Frames are compared in float32, for every way to offload; those of weights in float8 and in GGUF with frames
of the same weights on the CPU. A block's values are random and of the full
size: the step's time and memory are those of two blocks, beside the estimate.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan, StorageDtype
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.core.stages import Stage
from i2v.engines.base import Decoded, Inputs
from i2v.engines.diffusion.placement import copied
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.facts import facts_of
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from i2v.engines.wan.stock import load_stock, run_stock
from i2v.engines.wan.transformer import predict, use_lean_blocks
from i2v.memory.model import memory_model
from i2v.pipeline.resolve import resolve
from scripts.cuda_check.rows import Figures, Skipped, Task
from scripts.full_size import wan, wan_a14b
from tests.tiny_wan import write_tiny_wan, write_tiny_wan_a14b

MODELS = (
    (WAN_TI2V_5B, write_tiny_wan, wan.CONFIGS["transformer/config.json"]),
    (WAN_I2V_A14B, write_tiny_wan_a14b, wan_a14b.CONFIGS["transformer/config.json"]),
)
LAYERS = 2
PROMPT_TOKENS = 512


def compare(task: Task, spec: EngineSpec, folder: Path, offload: str) -> Figures:
    """Return the largest difference to diffusers' frames, of 255."""
    generation, inputs = _asked(spec)
    plan = MemoryPlan(task.device, "float32", offload=offload)  # type: ignore[arg-type]
    _, expected = run_stock(load_stock(folder).to(task.device), spec, generation, inputs)
    frames = _frames(WanEngine.load(spec, folder, plan), generation, inputs)
    difference = int(np.abs(frames - expected.astype(int)).max())
    if difference > 2:
        raise AssertionError(f"frames differ by up to {difference} of 255")
    return {"most_of_255": difference}


def _asked(spec: EngineSpec) -> tuple[Generation, Inputs]:
    asked = {"prompt": "a cat", "engine": spec.name, "width": 96, "height": 64, "num_frames": 9, "seed": 7}
    request = GenerationRequest.parse({**asked, "num_inference_steps": 4})
    generation, _ = resolve(request, spec, load_presets(), (96, 64))
    image = Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 50).convert("RGB")
    last = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return generation, Inputs(image, last if "last_image" in spec.capabilities.inputs else None)


def _frames(engine: WanEngine, generation: Generation, inputs: Inputs) -> NDArray[np.int_]:
    events = engine.generate(generation, inputs)
    return np.concatenate([each.frames for each in events if isinstance(each, Decoded)]).astype(int)


def compare_packed(task: Task, spec: EngineSpec, folder: Path, storage: str, offload: str) -> Figures:
    """Return the largest difference, of 255, to frames of the same numbers on the CPU."""
    if storage == "gguf" and find_spec("gguf") is None:
        raise Skipped("bash scripts/setup.sh gguf installs what it needs")
    generation, inputs = _asked(spec)
    packed = folder if storage == "float8" else _in_gguf(spec, folder, task.scratch / f"{spec.name}-gguf")
    dtype: StorageDtype = "float8_e4m3fn" if storage == "float8" else "auto"
    plan = MemoryPlan("cpu", "float32", storage_dtype=dtype)
    expected = _frames(WanEngine.load(spec, packed, plan), generation, inputs)
    there = replace(plan, device=task.device, offload=offload)  # type: ignore[arg-type]
    engine = WanEngine.load(spec, packed, there)
    kinds = {type(module).__name__ for module in engine.components.transformer.modules()}
    wanted = "Float8Linear" if storage == "float8" else "GGUFLinear"
    if wanted not in kinds:
        raise AssertionError(f"no layer is a {wanted}")
    difference = int(np.abs(_frames(engine, generation, inputs) - expected).max())
    if difference > 2:
        raise AssertionError(f"frames differ by up to {difference} of 255")
    return {"most_of_255": difference}


def _in_gguf(spec: EngineSpec, folder: Path, copy: Path) -> Path:
    """Return a copy of the model whose transformers are in Q8_0."""
    if copy.exists():
        return copy
    shutil.copytree(folder, copy)
    for part in facts_of(spec).transformers:
        (weights,) = (copy / part).glob("*.safetensors")
        _write_gguf(copy / part / "Q8_0.gguf", load_file(weights))
        weights.unlink()
    return copy


def _write_gguf(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write the tensors, those of linear layers in blocks of Q8_0 where their rows are whole ones."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    writer = GGUFWriter(path, "wan")
    for name, tensor in tensors.items():
        values, kind = tensor.float().numpy(), None
        if name.startswith("blocks") and values.ndim == 2 and values.shape[1] % 32 == 0:
            values, kind = quants.quantize(values, GGMLQuantizationType.Q8_0), GGMLQuantizationType.Q8_0
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.inference_mode()
def step(task: Task, spec: EngineSpec, published: Mapping[str, object], preset: str) -> Figures:
    """Return seconds and memory of one row of a step in two blocks, and the memory by the estimate."""
    if task.is_tiny:
        raise Skipped("the full size needs a card")
    from diffusers import WanTransformer3DModel

    transformer = WanTransformer3DModel.from_config({**published, "num_layers": LAYERS})
    transformer = transformer.to(task.device, torch.bfloat16).eval()
    use_lean_blocks(transformer)
    request = GenerationRequest.parse({"prompt": "a", "engine": spec.name, "preset": preset})
    generation, _ = resolve(request, spec, load_presets(), (1280, 720))
    scale, channels = (16, 48) if facts_of(spec).expand_timesteps else (8, 36)
    shape = (generation.generated_height // scale, generation.generated_width // scale)
    latents = torch.randn(1, channels, (generation.num_frames - 1) // 4 + 1, *shape, device=task.device)
    text = torch.randn(1, PROMPT_TOKENS, 4096, device=task.device, dtype=torch.bfloat16)
    still, now = facts_of(spec).expand_timesteps, torch.tensor(900, device=task.device)
    run = partial(predict, transformer, latents, now, text, first_is_still=still)
    run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, start = torch.cuda.memory_allocated(), time.monotonic()
    run()
    torch.cuda.synchronize()
    seconds, held = time.monotonic() - start, torch.cuda.max_memory_allocated() - before
    plan = MemoryPlan("cuda", "bfloat16", cfg_passes=2, offload="model")
    figures = memory_model(spec).estimate(spec, generation, plan)
    estimate = None if figures is None else figures.stage(Stage.DENOISE)
    layers = int(str(published["num_layers"]))
    block = transformer.blocks[0].to("cpu")
    start = time.monotonic()
    with copied(block, torch.device(task.device)):
        torch.cuda.synchronize()
        copying = time.monotonic() - start
    return {
        "seconds_two_blocks": round(seconds, 4),
        "seconds_a_row_by_these": round(seconds * layers / LAYERS, 2),
        "seconds_copying_a_block": round(copying, 4),
        "bytes": held,
        "estimated_bytes": None if estimate is None else estimate.activations,
    }


def main() -> None:
    task = Task.from_json(sys.argv[1])
    for spec, write, published in MODELS:
        folder = task.scratch / spec.name
        folder.mkdir()
        write(folder)
        for offload in ("none", "encoders", "model") if task.device == "cuda" else ("none",):
            task.attempt(f"{spec.name}, {offload} offloaded", partial(compare, task, spec, folder, offload))
            for storage in ("float8", "gguf"):
                packed = partial(compare_packed, task, spec, folder, storage, offload)
                task.attempt(f"{spec.name} in {storage}, {offload} offloaded", packed)
        for preset in ("standard", "high"):
            task.attempt(f"{spec.name}, a step of {preset}", partial(step, task, spec, published, preset))


if __name__ == "__main__":
    main()
