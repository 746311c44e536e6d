"""From an engine's spec to a local folder with its weights. Nothing is downloaded yet."""

from __future__ import annotations

from pathlib import Path

from i2v.errors import ModelUnavailable
from i2v.schema import EngineSpec, shown

EMBEDDED = Path(__file__).resolve().parent / "embedded"


def find_weights(spec: EngineSpec, models: Path) -> Path:
    """Return the folder with the weights of `spec`, or raise `ModelUnavailable` with the way to get them."""
    folder = _folder(spec, models)
    if not _is_model(folder):
        fix = (
            "The installation is incomplete: install i2v again."
            if spec.embedded
            else "Put the published folder there (huggingface.co/ali-vilab/i2vgen-xl),"
            " or use engine: embedded."
        )
        path = shown(str(folder), limit=300)
        raise ModelUnavailable("weights.missing_folder", title=spec.title, path=path, fix=fix)
    return folder


def is_available(spec: EngineSpec, models: Path) -> bool:
    """Tell whether `find_weights` would find a folder."""
    return _is_model(_folder(spec, models))


def _folder(spec: EngineSpec, models: Path) -> Path:
    return EMBEDDED if spec.embedded else models / spec.name


def _is_model(folder: Path) -> bool:
    try:
        return (folder / "model_index.json").is_file()
    except OSError:  # a folder that may not be entered, or a name that is too long
        return False
