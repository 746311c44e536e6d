"""From an engine's spec to a local folder with its weights. Nothing is downloaded yet."""

from __future__ import annotations

from pathlib import Path

from i2v.errors import ModelUnavailable
from i2v.schema import EngineSpec

EMBEDDED = Path(__file__).resolve().parent / "embedded"


def find_weights(spec: EngineSpec, models: Path) -> Path:
    """Return the folder that holds the weights of `spec`, or raise `ModelUnavailable` with the way to get them."""
    folder = EMBEDDED if spec.embedded else models / spec.name
    if not (folder / "model_index.json").is_file():
        fix = (
            "The installation is incomplete: install i2v again."
            if spec.embedded
            else "Put the published folder there (huggingface.co/ali-vilab/i2vgen-xl), or use engine: embedded."
        )
        raise ModelUnavailable("weights.missing_folder", title=spec.title, path=str(folder), fix=fix)
    return folder


def is_available(spec: EngineSpec, models: Path) -> bool:
    """Tell whether `find_weights` would find a folder."""
    return spec.embedded or (models / spec.name / "model_index.json").is_file()
