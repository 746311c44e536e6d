"""LoRAs in the weights of loaded modules or beside them, and taken out again, to the last bit.

Several are added to a weight at once, in float32, and rounded once. What a weight was before is kept in CPU
memory, so that nothing is left of them by adding and subtracting. Beside linear layers, which are nearly all
of a large transformer, they take little memory and leave the weights alone. Which tensor of a file is for
which weight is the business of `i2v.weights.loras`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.engines.diffusion.float8 import Float8Linear
from i2v.engines.diffusion.gguf import GGUFLinear
from i2v.weights.loras import Change, DoesNotFit, Layer, LoraFile, layers_of
from i2v.weights.model_files import Shape, unreadable
from i2v.weights.tensors import Header

_PACKED = (Float8Linear, GGUFLinear)
CHUNK_TOKENS = 2**13  # that `LoraLinear` adds to at a time: what it holds is little next to its result


class LoraLinear(nn.Module):
    """`linear`, and what LoRAs add to its result: `up @ down`, of (out, rank) and (rank, in), or `up`."""

    def __init__(self, linear: nn.Linear, down: torch.Tensor | None, up: torch.Tensor) -> None:
        super().__init__()
        self.linear = linear
        self.down = None if down is None else nn.Parameter(down, requires_grad=False)
        self.up = nn.Parameter(up, requires_grad=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        result: torch.Tensor = self.linear(states)
        given, added = states.flatten(0, -2), result.flatten(0, -2)
        for start in range(0, len(given), CHUNK_TOKENS):
            part = slice(start, start + CHUNK_TOKENS)
            inner = given[part] if self.down is None else given[part] @ self.down.T
            added[part] += inner @ self.up.T
        return result


class AppliedLoras:
    """What is in, or beside, the modules of one loaded model.

    beside: linear layers keep their weights; those that are packed, in float8 or GGUF, get what is added to
    their results in this type, in which they compute.
    """

    def __init__(self, *, beside: torch.dtype | None = None) -> None:
        self._beside = beside
        self._now: tuple[LoraFile, ...] | None = ()  # None: in between
        self._before: list[tuple[nn.Module, str, torch.Tensor | nn.Linear]] = []

    @torch.no_grad()
    def use(self, spec: EngineSpec, modules: Mapping[str, nn.Module], files: Sequence[LoraFile]) -> None:
        """Have exactly `files` on the modules, which are named as `EngineSpec.lora_parts` does.

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
            for part, weight, piece in _read(spec, file, modules):
                pieces.setdefault((part, weight), []).append(piece)
        linear = list[tuple[nn.Module, str, list[_Piece]]]()
        for (part, name), added in pieces.items():
            owner, _, attribute = name.rpartition(".")
            module = modules[part].get_submodule(owner)
            is_linear = isinstance(module, nn.Linear) and attribute == "weight"
            is_small = isinstance(module, _PACKED) or all(piece.down is not None for piece in added)
            if self._beside is not None and is_linear and is_small:
                above, _, own_name = owner.rpartition(".")
                linear.append((modules[part].get_submodule(above), own_name, added))
            else:
                self._merge(module, attribute, added)
        for module, name, added in linear:  # last: the names of what is inside change with it
            self._put_beside(module, name, added)
        self._now = wanted

    def _merge(self, module: nn.Module, attribute: str, added: Sequence[_Piece]) -> None:
        weight: torch.Tensor = getattr(module, attribute).data
        merged = weight.float()
        for piece in added:
            merged = merged + piece.scale * piece.change(weight.device).reshape(weight.shape)
        self._before.append((module, attribute, weight.cpu()))
        setattr(module, attribute, nn.Parameter(merged.to(weight.dtype), requires_grad=False))

    def _put_beside(self, module: nn.Module, name: str, added: Sequence[_Piece]) -> None:
        linear = getattr(module, name)
        device = linear.weight.device
        dtype = self._beside if isinstance(linear, _PACKED) else linear.weight.dtype
        downs = [piece.down.float() for piece in added if piece.down is not None]
        if len(downs) == len(added):
            down = torch.cat(downs).to(device, dtype)
            up = torch.cat([piece.scale * piece.up.float() for piece in added], dim=1)
        else:  # a packed weight cannot be added to
            down, up = None, sum((piece.scale * piece.change(device) for piece in added), torch.zeros(()))
        self._before.append((module, name, linear))
        setattr(module, name, LoraLinear(linear, down, up.to(device, dtype)))

    @torch.no_grad()
    def undo(self) -> None:
        """Have the weights as they were before."""
        while self._before:
            module, name, before = self._before[-1]
            if isinstance(before, torch.Tensor):
                device = getattr(module, name).device
                before = nn.Parameter(before.to(device), requires_grad=False)
            setattr(module, name, before)
            self._before.pop()
        self._now = ()


@dataclass(frozen=True)
class _Piece:
    """What a LoRA adds to a weight: `scale * up @ down`, of (out, rank) and (rank, in), or `scale * up`."""

    up: torch.Tensor
    scale: float
    down: torch.Tensor | None = None

    def change(self, device: torch.device) -> torch.Tensor:
        up = self.up.to(device).float()
        return up if self.down is None else up @ self.down.to(device).float()


def _read(
    spec: EngineSpec, file: LoraFile, modules: Mapping[str, nn.Module]
) -> Iterator[tuple[str, str, _Piece]]:
    """Yield part, weight, and what is added; raises `ModelUnavailable`: it was another file at the check."""
    weights = {
        part: {name: _shape_of(module, name, tensor) for name, tensor in module.state_dict().items()}
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
        if isinstance(layer, Change):
            yield layer.part, layer.weight, _Piece(tensors[layer.tensor], file.strength)
        else:
            yield layer.part, layer.weight, _piece_of(layer, tensors, file.strength)


def _shape_of(module: nn.Module, name: str, tensor: torch.Tensor) -> Shape:
    """Return the shape of a tensor of `module`, that of the numbers where it is packed."""
    owner, _, attribute = name.rpartition(".")
    layer = module.get_submodule(owner)
    if isinstance(layer, GGUFLinear) and attribute == "weight":
        return (layer.out_features, layer.in_features)
    return tuple(tensor.shape)


def _piece_of(layer: Layer, tensors: Mapping[str, torch.Tensor], strength: float) -> _Piece:
    down, up = tensors[layer.down].flatten(1), tensors[layer.up].flatten(1)
    alpha = layer.peft_alpha if layer.alpha is None else float(tensors[layer.alpha])
    rank = down.shape[0]
    return _Piece(up, strength * (rank if alpha is None else alpha) / rank, down)
