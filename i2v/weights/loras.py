"""What a LoRA's file holds, and whether it fits a model: which weights it changes, by names and shapes.

A LoRA adds `strength * alpha / rank * up @ down` to a weight (Hu et al. 2021, arXiv 2106.09685). Its tensors
are named as kohya's trainers or as diffusers and peft name them; modules of Wan as diffusers or as its own
code does, which is lightx2v's and ComfyUI's way too. Such files may have whole changes of small weights
("diff"). Only headers are read here; the values are the business of `i2v.engines.diffusion.loras`, which goes
by the same `layers_of`.
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
from i2v.core.fields import shown
from i2v.weights.architectures import of_lora
from i2v.weights.model_files import Shape
from i2v.weights.parts import stored
from i2v.weights.tensors import Header, header_of

WORDS = 12  # trigger words that are shown
_TRANSFORMER = "transformer"

# How kohya's trainer, and how diffusers and peft, begin the names of a part's tensors.
_PREFIXES = {
    "lora_unet_": "unet", "lora_te_": "text_encoder", "lora_transformer_": "transformer",
    "unet.": "unet", "text_encoder.": "text_encoder", "transformer.": "transformer",
    "diffusion_model.": "transformer",
}  # fmt: skip
_ROLES = re.compile(
    r"(?P<module>.+?)(?:\.(?P<kohya>lora_down|lora_up)|\.(?P<peft>lora_A|lora_B)(?:\.default)?"
    r"|(?:[._]lora|\.lora_linear_layer)\.(?P<old>down|up))\.weight|(?P<scaled>.+)\.alpha"
    r"|(?P<changed>.+)\.(?P<diff>diff|diff_b|diff_m)"
)
_DOWN = ("lora_down", "lora_A", "down")
_DIFFS = {"diff": ".weight", "diff_b": ".bias", "diff_m": ".modulation"}

# Wan's own names, flat, and diffusers' for them (`_convert_non_diffusers_wan_lora_to_diffusers` in its
# loaders/lora_conversion_utils.py, and scripts/convert_wan_to_diffusers.py).
_OF_WAN = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^(blocks_\d+)_self_attn_", r"\1_attn1_"), (r"^(blocks_\d+)_cross_attn_", r"\1_attn2_"),
        (r"_attn([12])_([qkv])_(weight|bias)$", r"_attn\1_to_\2_\3"),
        (r"_attn([12])_o_(weight|bias)$", r"_attn\1_to_out_0_\2"),
        (r"^(blocks_\d+)_ffn_0_", r"\1_ffn_net_0_proj_"), (r"^(blocks_\d+)_ffn_2_", r"\1_ffn_net_2_"),
        (r"^(blocks_\d+)_norm3_", r"\1_norm2_"), (r"^head_head_", "proj_out_"),
        (r"^(text|time)_embedding_0_", r"condition_embedder_\1_embedder_linear_1_"),
        (r"^(text|time)_embedding_2_", r"condition_embedder_\1_embedder_linear_2_"),
        (r"^time_projection_1_", "condition_embedder_time_proj_"),
        (r"^(?:head_)?((?:blocks_\d+_)?)modulation$", r"\1scale_shift_table"),
    )
)  # fmt: skip
# What Wan 2.1 reads pictures with and Wan 2.2 lacks. LoRAs of 2.1 serve 2.2 without it, and lightx2v's of 2.2
# have it too, where it does nothing (https://github.com/ModelTC/LightX2V/issues/417).
_OF_PICTURES = re.compile(r"(?:^|_)(?:(?:norm_)?[kv]_img|img_emb|add_[kv]_proj|norm_added_k|image_embedder)_")


class DoesNotFit(ValueError):
    """A LoRA's tensor that the model has no weight for, or one of another shape; or of another kind."""


@dataclass(frozen=True)
class LoraFile:
    """A LoRA as an engine gets it. `sha256`: another file of the same name is another LoRA.

    `strength_2`: that in the second of two experts.
    """

    path: Path
    strength: float
    sha256: str = ""
    strength_2: float | None = None


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


@dataclass(frozen=True)
class Change:
    """A file's `tensor`, of the weight's own shape, which is added to it as it is."""

    part: str
    weight: str
    tensor: str


def layers_of(header: Header, weights: Mapping[str, Mapping[str, Shape]]) -> list[Layer | Change]:
    """Return what the file changes. `weights`: the model's, by part and name.

    Raises `DoesNotFit` for a tensor that the model has no weight for, or one of another shape, or that is no
    plain LoRA's, and for a file without any.
    """
    known = {part: {_flat(name): name for name in names} for part, names in weights.items()}
    found: dict[tuple[str, str], dict[str, str]] = {}
    layers: list[Layer | Change] = []
    for tensor in header.shapes:
        match = _ROLES.fullmatch(tensor)
        if match is None:
            raise DoesNotFit(tensor)
        module = match["module"] or match["scaled"] or match["changed"]
        part, flat = _place_of(module + _DIFFS.get(match["diff"] or "", ".weight"), known)
        if part == _TRANSFORMER and flat not in known[part] and _OF_PICTURES.search(flat):
            continue
        if flat not in known.get(part, {}):
            raise DoesNotFit(tensor)
        if match["diff"]:
            layers.append(Change(part, known[part][flat], tensor))
            if header.shapes[tensor] != weights[part][known[part][flat]]:
                raise DoesNotFit(f"{tensor} {header.shapes[tensor]}")
            continue
        role = next(each for each in (*match.group("kohya", "peft", "old"), "alpha") if each)
        weight = known[part][flat]
        place = "alpha" if role == "alpha" else "down" if role in _DOWN else "up"
        found.setdefault((part, weight), {})[place] = tensor
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


def _place_of(weight: str, known: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """Return the part that the file means by `weight`, and the weight's flat name there, if it is there."""
    name = weight.removeprefix("base_model.model.")
    begun = next((each for each in _PREFIXES if name.startswith(each)), None)
    part = next(iter(known)) if begun is None else _PREFIXES[begun]
    if part == "unet" and part not in known:  # kohya's trainers call a transformer that too
        part = _TRANSFORMER
    flat = _flat(name.removeprefix(begun or "").replace(".processor.", "."))
    if part == _TRANSFORMER:
        for pattern, replacement in _OF_WAN:
            flat = pattern.sub(replacement, flat)
    other = flat.removesuffix("_weight") + "_0_weight"  # to_out was a list of its own
    return part, other if flat not in known.get(part, {}) and other in known.get(part, {}) else flat


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
