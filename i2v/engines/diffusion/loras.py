"""LoRAs merged into the weights of loaded modules, and taken out again, to the last bit.

Several are added to a weight at once, in float32, and rounded once. What a weight was before is kept in CPU
memory, so that nothing is left of them by adding and subtracting. Which tensor of a file is for which weight
is the business of `i2v.weights.loras`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.engines.diffusion.float8 import Float8Linear, pack
from i2v.weights.loras import DoesNotFit, Layer, LoraFile, layers_of
from i2v.weights.model_files import unreadable
from i2v.weights.tensors import Header


class MergedLoras:
    """What is merged into the modules of one loaded model."""

    def __init__(self) -> None:
        self._now: tuple[LoraFile, ...] | None = ()  # None: in between
        self._before: list[tuple[nn.Module, str, torch.Tensor]] = []

    @torch.no_grad()
    def use(self, spec: EngineSpec, modules: Mapping[str, nn.Module], files: Sequence[LoraFile]) -> None:
        """Have exactly `files` merged into the modules, which are named as `EngineSpec.lora_parts` does.

        Where it ends early, for want of memory or of a file, the next call begins from the model's own
        weights. Raises `ModelUnavailable`.
        """
        wanted = tuple(files)
        if wanted == self._now:
            return
        self.undo()
        self._now = None
        pieces: dict[tuple[str, str], list[_Piece]] = {}
        for file in wanted:
            for layer, piece in _read(spec, file, modules):
                pieces.setdefault((layer.part, layer.weight), []).append(piece)
        for (part, name), added in pieces.items():
            owner, _, attribute = name.rpartition(".")
            module = modules[part].get_submodule(owner)
            weight: torch.Tensor = getattr(module, attribute).data
            merged = module.plain(torch.float32) if isinstance(module, Float8Linear) else weight.float()
            for down, up, scale in added:
                change = up.to(weight.device).float() @ down.to(weight.device).float()
                merged = merged + scale * change.reshape(weight.shape)
            self._before.append((module, attribute, weight.cpu()))
            if isinstance(module, Float8Linear):
                self._before.append((module, "scale", module.scale.data.cpu()))
                module.take(pack(merged))
                continue
            setattr(module, attribute, nn.Parameter(merged.to(weight.dtype), requires_grad=False))
        self._now = wanted

    @torch.no_grad()
    def undo(self) -> None:
        """Have the weights as they were before."""
        while self._before:
            module, attribute, weight = self._before[-1]
            device = getattr(module, attribute).device
            setattr(module, attribute, nn.Parameter(weight.to(device), requires_grad=False))
            self._before.pop()
        self._now = ()


class _Piece(NamedTuple):
    """`scale * up @ down`, of (out, rank) and (rank, in), is what a LoRA adds to a weight."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float


def _read(
    spec: EngineSpec, file: LoraFile, modules: Mapping[str, nn.Module]
) -> Iterator[tuple[Layer, _Piece]]:
    """Yield what the file has for each weight; raises `ModelUnavailable`: it was another at the check."""
    weights = {
        part: {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        for part, module in modules.items()
    }
    try:
        with safe_open(str(file.path), framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
            header = Header(
                {name: tuple(each.shape) for name, each in tensors.items()}, opened.metadata() or {}
            )
        layers = layers_of(header, weights)
    except (OSError, SafetensorError, DoesNotFit) as error:
        raise unreadable(spec, file.path, f"{type(error).__name__}: {error}") from error
    for layer in layers:
        down, up = tensors[layer.down].flatten(1), tensors[layer.up].flatten(1)
        alpha = layer.peft_alpha if layer.alpha is None else float(tensors[layer.alpha])
        rank = down.shape[0]
        yield layer, _Piece(down, up, file.strength * (rank if alpha is None else alpha) / rank)
