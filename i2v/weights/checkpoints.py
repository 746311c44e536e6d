"""Whether a checkpoint can be a model's base: the same UNet, as one .safetensors file or a diffusers folder.

Reads headers only; how such a file's tensors are renamed and loaded is the engine's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.weights.architectures import UNKNOWN, of_checkpoint
from i2v.weights.model_files import Shape
from i2v.weights.parts import stored
from i2v.weights.tensors import header_of

# Where files of Stable Diffusion's own code have what the UNet's first layer and a cross-attention are.
LDM_UNET = "model.diffusion_model."
_LDM = (f"{LDM_UNET}input_blocks.0.0.weight", "transformer_blocks.0.attn2.to_k.weight")
_DIFFUSERS = ("conv_in.weight", "transformer_blocks.0.attn2.to_k.weight")
PARTS = ("unet", "text_encoder", "vae")  # of a base that a checkpoint has


def check_checkpoint(spec: EngineSpec, folder: Path, path: Path, name: str) -> None:
    """Raise `InvalidRequest` where `path` cannot be the base of the model in `folder`, saying what it is."""
    try:
        shapes = _shapes_of(path)
        prediction = _prediction_of(path)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidRequest(
            "checkpoint.unreadable", value=shown(name), reason=shown(str(error), 200)
        ) from error
    found = _facts(shapes)
    if prediction != "epsilon":
        raise InvalidRequest(
            "checkpoint.unfit", value=shown(name), title=spec.title, found=f"one that predicts {prediction}"
        )
    own = stored(spec, folder, "unet/diffusion_pytorch_model.safetensors")
    if own.missing is not None:
        return  # the model is not there, which is said where it is needed
    try:
        expected = _facts({key: row for file in own.files for key, row in _rows(file).items()})
    except (OSError, ValueError):
        return  # loading says what is wrong with the model itself
    if found != expected:
        what = describe(path) if found is not None else UNKNOWN
        raise InvalidRequest("checkpoint.unfit", value=shown(name), title=spec.title, found=what)


def describe(path: Path) -> str:
    """Return what the checkpoint is: "Stable Diffusion XL"; "" where it cannot be read."""
    try:
        shapes = _shapes_of(path)
    except (OSError, ValueError, KeyError):
        return ""
    facts = _facts(shapes)
    channels, _, context = (None, 0, None) if facts is None else facts
    return of_checkpoint(context, channels, shapes)


def checkpoint_files(path: Path) -> dict[str, Path]:
    """Return what is read of a checkpoint: the file itself as "", or the parts of a diffusers folder by name.

    Raises `ValueError` for a part that is not there as one .safetensors file.
    """
    if path.is_file():
        return {"": path}
    files = {}
    for part in PARTS:
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        names = (f"{stem}.fp16.safetensors", f"{stem}.safetensors")
        found = next((path / part / name for name in names if (path / part / name).is_file()), None)
        if found is None:
            raise ValueError(f"no {part}/{names[1]}")
        files[part] = found
    return files


def _shapes_of(path: Path) -> dict[str, Shape]:
    return _rows(checkpoint_files(path).get("unet", path))


def _rows(path: Path) -> dict[str, Shape]:
    return header_of(path).shapes if path.suffix == ".safetensors" else {}


def _facts(shapes: Mapping[str, Shape]) -> tuple[int, int, int] | None:
    """Return channels that go in, width, and what the first cross-attention reads; `None`: no such UNet."""
    for first, attention in (_LDM, _DIFFUSERS):
        if first in shapes and len(shapes[first]) == 4:
            below = first.startswith(LDM_UNET)
            reading = (
                shape
                for name, shape in shapes.items()
                if name.endswith(attention) and (not below or name.startswith(LDM_UNET))
            )
            context = next(reading, None)
            return (shapes[first][1], shapes[first][0], context[1] if context is not None else 0)
    return None


def _prediction_of(path: Path) -> str:
    """Return what a diffusers folder says that its UNet predicts; of a file that is not known."""
    config = path / "scheduler" / "scheduler_config.json"
    if not config.is_file():
        return "epsilon"
    return str(json.loads(config.read_text(encoding="utf-8")).get("prediction_type", "epsilon"))
