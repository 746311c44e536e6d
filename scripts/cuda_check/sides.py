"""The ways to make one evaluation of the network: ours plain, fused, as a CUDA graph, compiled; and stock's.

All take the same latents and conditions on the same weights. Ours are the engine's own, under the settings
that `i2v` has for them (`engine.kernels`, `cuda_graph`, `compile`). A way that this machine has not raises
`Skipped`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from diffusers import I2VGenXLUNet

from benchmarks.forward import conditions, stock_prediction
from i2v.core.engine_spec import EngineSpec
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from scripts.cuda_check.rows import Skipped, Task
from scripts.cuda_check.subjects import Size, spec_of

DType = Literal["float32", "float16", "bfloat16"]
Evaluation = Callable[[], torch.Tensor]
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
TIMESTEP = 481
LATENT_SCALE = 8  # pixels a latent, of the full-size model and of the embedded one


@dataclass(frozen=True)
class Pair:
    """Our engine and stock's network, the same weights, on the task's device."""

    engine: I2VGenXLEngine
    stock: I2VGenXLUNet
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Subject:
    """A model, and the device to have it on."""

    spec: EngineSpec
    folder: Path
    device: Literal["cuda", "cpu"]

    @classmethod
    def of(cls, task: Task) -> Subject:
        return cls(spec_of(task), task.folder, task.device)

    def load_pair(self, dtype: DType) -> Pair:
        engine = I2VGenXLEngine.load(self.spec, self.folder, MemoryPlan(self.device, dtype))
        return Pair(engine, self.load_stock(dtype), torch.device(self.device), TYPES[dtype])

    def load_stock(self, dtype: DType) -> I2VGenXLUNet:
        unet = I2VGenXLUNet.from_pretrained(self.folder / "unet", variant="fp16", dtype=TYPES[dtype])
        return unet.eval().to(self.device)


@dataclass(frozen=True)
class Inputs:
    """Latents (1, 4, F, h, w) and conditions of two rows, as a guided step has them."""

    latents: torch.Tensor
    given: Conditioning

    def to(self, device: torch.device, dtype: torch.dtype) -> Inputs:
        names = ("prompt_embeds", "image_embeddings", "image_latents")
        moved = {name: getattr(self.given, name).to(device, dtype) for name in names}
        return Inputs(
            self.latents.to(device, dtype), replace(self.given, **moved, fps=self.given.fps.to(device))
        )


def make_inputs(stock: I2VGenXLUNet, size: Size) -> Inputs:
    """Return the same random inputs every time, in float32 on the CPU."""
    torch.manual_seed(0)
    side = size.side // LATENT_SCALE
    shape = (stock.config.in_channels, size.num_frames, side, side)
    given = conditions(stock, 2, shape)
    # what a picture is encoded to is small beside noise
    return Inputs(torch.randn(1, *shape), replace(given, image_embeddings=given.image_embeddings / 10))


def stock_side(pair: Pair, inputs: Inputs) -> Evaluation:
    moved = inputs.to(pair.device, pair.dtype)
    return lambda: stock_prediction(pair.stock, moved.latents, moved.given)


def plain_side(pair: Pair, inputs: Inputs) -> Evaluation:
    return _ours(pair, inputs, kernels="off", cuda_graph="off")


def fused_side(pair: Pair, inputs: Inputs) -> Evaluation:
    """Raise `Skipped` where there is no card, or it gets no kernels."""
    if pair.device.type != "cuda":
        raise Skipped("no NVIDIA card")
    evaluate = _ours(pair, inputs, cuda_graph="off")
    if failure := pair.engine.operations.failure:
        raise Skipped(failure.message)
    return evaluate


def graph_side(pair: Pair, inputs: Inputs) -> Evaluation:
    """Return what a clip's steps do on a card: the second evaluation is captured, later ones replay it."""
    if pair.device.type != "cuda":
        raise Skipped("no NVIDIA card")
    return _ours(pair, inputs)


def best_side(pair: Pair, inputs: Inputs) -> Evaluation:
    """Return the fused way where there is one, else the plain one."""
    try:
        return fused_side(pair, inputs)
    except Skipped:
        return plain_side(pair, inputs)


def compiled_side(pair: Pair, inputs: Inputs) -> Evaluation:
    return _ours(pair, inputs, compile=True, cuda_graph="off")


def compiled_stock_side(pair: Pair, inputs: Inputs) -> Evaluation:
    moved, unet = inputs.to(pair.device, pair.dtype), torch.compile(pair.stock, dynamic=False)
    timestep = torch.tensor(TIMESTEP, device=pair.device)
    return lambda: stock_prediction(unet, moved.latents, moved.given, timestep)


def _ours(pair: Pair, inputs: Inputs, **options: object) -> Evaluation:
    """Return the engine's own forward under a plan with these options; what fails in it is raised."""
    moved, unet = inputs.to(pair.device, pair.dtype), pair.engine.components.unet
    plan = replace(pair.engine.plan, **{**_BY_ITSELF, **options})  # type: ignore[arg-type]
    pair.engine.adopt(plan)
    clip_long = ExitStack()  # ends with the evaluation that has it, and gives a graph's memory back
    forward = clip_long.enter_context(pair.engine.forward(plan))
    with torch.inference_mode():
        clip = unet.encode_context(moved.given)
        timestep = torch.tensor(TIMESTEP, device=pair.device)

    def evaluate(clip_long: ExitStack = clip_long) -> torch.Tensor:
        prediction = forward(unet, moved.latents, timestep, clip, 0)
        if forward.failures:
            raise RuntimeError(forward.failures[0].message)
        return prediction

    return evaluate


_BY_ITSELF = {"kernels": "auto", "cuda_graph": "auto", "compile": False}

SIDES: dict[str, Callable[[Pair, Inputs], Evaluation]] = {
    "stock": stock_side,
    "plain": plain_side,
    "fused": fused_side,
    "graph": graph_side,
}
COMPILED: dict[str, Callable[[Pair, Inputs], Evaluation]] = {
    "compiled": compiled_side,
    "stock compiled": compiled_stock_side,
}
