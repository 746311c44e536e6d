"""The ways to make one evaluation of the network: ours plain, fused, as a CUDA graph, compiled; and stock's.

All take the same latents and conditions on the same weights. A way that this tree or this machine has not
raises `Skipped`. The graph is captured here: it tells what replaying is worth, not how the engine does it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from diffusers import I2VGenXLUNet

from benchmarks.forward import conditions, stock_prediction
from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import MemoryPlan
from i2v.engines.i2vgen_xl.components import load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning
from i2v.engines.i2vgen_xl.unet import UNet
from scripts.cuda_check.rows import Skipped, Task
from scripts.cuda_check.subjects import Size, spec_of

DType = Literal["float32", "float16", "bfloat16"]
Evaluation = Callable[[], torch.Tensor]
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
TIMESTEP = 481
LATENT_SCALE = 8  # pixels a latent, of the full-size model and of the embedded one


@dataclass(frozen=True)
class Pair:
    """Our network and stock's, the same weights, on the task's device."""

    ours: UNet
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
        ours = load_components(self.spec, self.folder, MemoryPlan(self.device, dtype)).unet
        return Pair(ours, self.load_stock(dtype), torch.device(self.device), TYPES[dtype])

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
    return _ours(pair, inputs, {})


def fused_side(pair: Pair, inputs: Inputs) -> Evaluation:
    """Raise `Skipped` where the tree has no kernels, or the card gets none."""
    try:
        from i2v.engines.kernels.choice import operations_for
    except ModuleNotFoundError:
        raise Skipped("this tree has no fused kernels") from None
    if pair.device.type != "cuda":
        raise Skipped("no NVIDIA card")
    operations = operations_for(pair.device, pair.dtype)
    if failure := getattr(operations, "failure", None):
        raise Skipped(failure.message)
    return _ours(pair, inputs, {"operations": operations})


def best_side(pair: Pair, inputs: Inputs) -> Evaluation:
    """Return the fused way where there is one, else the plain one."""
    try:
        return fused_side(pair, inputs)
    except Skipped:
        return plain_side(pair, inputs)


def graph_side(pair: Pair, inputs: Inputs) -> Evaluation:
    """Return the best way as a CUDA graph."""
    if pair.device.type != "cuda":
        raise Skipped("no NVIDIA card")
    work = best_side(pair, inputs)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):  # kernels are chosen and compiled before anything is captured
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        result = work()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay


def compiled_side(pair: Pair, inputs: Inputs) -> Evaluation:
    """Return ours through `torch.compile`, the whole forward at once."""
    return _ours(pair, inputs, {}, torch.compile(UNet.forward, dynamic=False))


def compiled_stock_side(pair: Pair, inputs: Inputs) -> Evaluation:
    moved, unet = inputs.to(pair.device, pair.dtype), torch.compile(pair.stock, dynamic=False)
    arguments = moved.given

    def evaluate() -> torch.Tensor:
        prediction: torch.Tensor = unet(
            torch.cat([moved.latents] * 2),
            torch.tensor(TIMESTEP, device=pair.device),
            fps=arguments.fps,
            image_latents=arguments.image_latents,
            image_embeddings=arguments.image_embeddings,
            encoder_hidden_states=arguments.prompt_embeds,
            return_dict=False,
        )[0]
        return prediction

    return evaluate


def _ours(
    pair: Pair,
    inputs: Inputs,
    more: dict[str, object],
    forward: Callable[..., torch.Tensor] = UNet.forward,
) -> Evaluation:
    if not more.keys() <= inspect.signature(UNet.forward).parameters.keys():
        raise Skipped(f"this tree's forward takes no {', '.join(more)}")
    moved = inputs.to(pair.device, pair.dtype)
    with torch.inference_mode():
        clip = pair.ours.encode_context(moved.given)
        timestep = torch.tensor(TIMESTEP, device=pair.device)
    return lambda: forward(pair.ours, moved.latents, timestep, clip, 0, **more)


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
