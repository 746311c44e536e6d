"""What a LoRA's file holds, and whether it fits a model: which weights it changes, by names and shapes.

A LoRA adds `strength * alpha / rank * up @ down` to a weight (Hu et al. 2021, arXiv 2106.09685). Its tensors
are named as kohya's trainer or as diffusers and peft name them. Only headers are read here; the values are
the business of `i2v.engines.diffusion.loras`, which goes by the same `layers_of`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.schema import shown
from i2v.weights.architectures import of_lora
from i2v.weights.model_files import Shape
from i2v.weights.parts import stored
from i2v.weights.tensors import Header, header_of

WORDS = 12  # trigger words that are shown

# How kohya's trainer, and how diffusers and peft, begin the names of a part's tensors.
_PREFIXES = {
    "lora_unet_": "unet", "lora_te_": "text_encoder", "lora_transformer_": "transformer",
    "unet.": "unet", "text_encoder.": "text_encoder", "transformer.": "transformer",
    "diffusion_model.": "transformer",
}  # fmt: skip
_ROLES = re.compile(
    r"(?P<module>.+?)(?:\.(?P<kohya>lora_down|lora_up)|\.(?P<peft>lora_A|lora_B)(?:\.default)?"
    r"|(?:[._]lora|\.lora_linear_layer)\.(?P<old>down|up))\.weight|(?P<scaled>.+)\.alpha"
)
_DOWN = ("lora_down", "lora_A", "down")


class DoesNotFit(ValueError):
    """A LoRA's tensor that the model has no weight for, or one of another shape; or of another kind."""


@dataclass(frozen=True)
class LoraFile:
    """A LoRA as an engine gets it. `sha256`: another file of the same name is another LoRA."""

    path: Path
    strength: float
    sha256: str = ""


@dataclass(frozen=True)
class Layer:
    """One weight that a LoRA changes: whose it is, and the names of the file's tensors for it.

    `alpha`: the tensor that the file's strength is in; `peft_alpha`: the same as peft notes it. The rank
    where there is neither.
    """

    part: str
    weight: str
    down: str
    up: str
    alpha: str | None
    peft_alpha: float | None = None


def layers_of(header: Header, weights: Mapping[str, Mapping[str, Shape]]) -> list[Layer]:
    """Return what the file changes. `weights`: the model's, by part and name.

    Raises `DoesNotFit` for a tensor that the model has no weight for, or one of another shape, or that is no
    plain LoRA's, and for a file without any.
    """
    known = {part: {_flat(name): name for name in names} for part, names in weights.items()}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for tensor in header.shapes:
        match = _ROLES.fullmatch(tensor)
        if match is None:
            raise DoesNotFit(tensor)
        role = next(each for each in (*match.group("kohya", "peft", "old"), "alpha") if each)
        part, weight = _weight_of(match["module"] or match["scaled"], known)
        place = "alpha" if role == "alpha" else "down" if role in _DOWN else "up"
        found.setdefault((part, weight), {})[place] = tensor
    layers = []
    for (part, weight), names in found.items():
        if not {"down", "up"} <= names.keys():
            raise DoesNotFit(next(iter(names.values())))
        alpha = _peft_alpha(header.metadata, part, weight)
        layer = Layer(part, weight, names["down"], names["up"], names.get("alpha"), alpha)
        _check_shapes(header, layer, weights[part][weight])
        layers.append(layer)
    if not layers:
        raise DoesNotFit("no tensors")
    return layers


def check_lora(spec: EngineSpec, folder: Path, path: Path, name: str) -> None:
    """Raise `InvalidRequest` where the file is no LoRA for the model in `folder`, saying what it is for."""
    try:
        header = header_of(path)
    except (OSError, ValueError) as error:
        raise InvalidRequest("lora.unreadable", value=shown(name), reason=shown(str(error), 200)) from error
    weights = {part: _weights_of(spec, folder, folders) for part, folders in spec.lora_parts.items()}
    if not all(weights.values()):
        return  # the model is not there, which is said where it is needed
    try:
        layers_of(header, weights)
    except DoesNotFit as error:
        found = of_lora(header.shapes, header.metadata)
        raise InvalidRequest(
            "lora.unfit", value=shown(name), title=spec.title, found=found, tensor=shown(str(error), 120)
        ) from error


def trigger_words(path: Path) -> tuple[str, ...]:
    """Return the words that the LoRA's author, or its trainer, has noted; none where there are none.

    That is `modelspec.trigger_phrase` (https://github.com/Stability-AI/ModelSpec), else the most frequent
    tags of the pictures it was trained on (kohya's `ss_tag_frequency`).
    """
    try:
        metadata = header_of(path).metadata
    except (OSError, ValueError):
        return ()
    if phrase := metadata.get("modelspec.trigger_phrase", "").strip():
        return (phrase[:200],)
    counts: dict[str, int] = {}
    with suppress(ValueError, AttributeError, TypeError):  # what cannot be read says nothing
        for tags in json.loads(metadata.get("ss_tag_frequency", "{}")).values():
            for tag, count in tags.items():
                counts[str(tag).strip()] = counts.get(str(tag).strip(), 0) + int(count)
    most = sorted((tag for tag in counts if tag), key=lambda tag: -counts[tag])[:WORDS]
    return tuple(tag[:60] for tag in most)


def describe(path: Path) -> str:
    """Return what the file says, or looks like, it is for: "Stable Diffusion 1.5"; "" where it is no LoRA."""
    try:
        header = header_of(path)
    except (OSError, ValueError):
        return ""
    return of_lora(header.shapes, header.metadata)


def _weights_of(spec: EngineSpec, folder: Path, folders: Iterable[str]) -> dict[str, Shape]:
    """Return the shapes of all weights that the folders hold; nothing where one is missing."""
    shapes: dict[str, Shape] = {}
    for name in spec.files:
        if name.rpartition("/")[0] in folders and name.endswith(".safetensors"):
            found = stored(spec, folder, name)
            if found.missing is not None:
                return {}
            for path in found.files:
                if path.suffix == ".safetensors":
                    with suppress(OSError, ValueError):  # loading says what is wrong with the model itself
                        shapes |= header_of(path).shapes
    return shapes


def _check_shapes(header: Header, layer: Layer, weight: Shape) -> None:
    down, up = header.shapes[layer.down], header.shapes[layer.up]
    is_matrix = len(down) >= 2 and len(up) >= 2
    fits = is_matrix and down[0] == up[1] and math.prod(up[2:]) == 1
    fits = fits and (up[0], math.prod(down[1:])) == (weight[0], math.prod(weight[1:]))
    if not fits:
        raise DoesNotFit(f"{layer.weight} {weight}: {down} x {up}")


def _weight_of(module: str, known: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """Return part and weight that the file means by `module`."""
    name = module.removeprefix("base_model.model.")
    begun = next((each for each in _PREFIXES if name.startswith(each)), None)
    part = next(iter(known)) if begun is None else _PREFIXES[begun]
    flat = _flat(name.removeprefix(begun or "").replace(".processor.", ".") + ".weight")
    for candidate in (flat, flat.removesuffix("_weight") + "_0_weight"):  # to_out was a list of its own
        if candidate in known.get(part, {}):
            return part, known[part][candidate]
    raise DoesNotFit(module)


def _flat(name: str) -> str:
    """Return a weight's name as kohya writes it; transformers 4 and 5 differ by the prefix."""
    return name.removeprefix("text_model.").replace(".", "_").removeprefix("text_model_")


def _peft_alpha(metadata: Mapping[str, str], part: str, weight: str) -> float | None:
    """Return the alpha that peft's settings in the file have for the weight (`lora_adapter_metadata`)."""
    with suppress(ValueError, AttributeError, TypeError):
        settings = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        module = weight.removesuffix(".weight")
        for name, alpha in (settings.get(f"{part}.alpha_pattern") or {}).items():
            if module == name or module.endswith(f".{name}"):
                return float(alpha)
        alpha = settings.get(f"{part}.lora_alpha")
        return None if alpha is None else float(alpha)
    return None
