"""What lies on the disk of each engine's weights: where, how much, and what is missing of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from i2v.schema import EngineSpec
from i2v.weights import model_folder, weights_file


@dataclass(frozen=True)
class ModelFolder:
    """A model folder, there or not.

    Attributes:
        files: those that the engine reads and that are there, with their sizes in bytes.
        missing: the first file that the engine reads and that is not there, `None` if the folder is complete.
    """

    path: Path
    files: dict[Path, int]
    missing: Path | None

    @property
    def size(self) -> int:
        return sum(self.files.values())


def inspect_folder(spec: EngineSpec, models: Path) -> ModelFolder:
    """Return the folder where the weights of `spec` are, or are looked for. Reads no file's content."""
    folder = model_folder(spec, models)
    files: dict[Path, int] = {}
    missing: Path | None = None
    for path in (folder / name for name in spec.files):
        present = _present(path)
        if present is not None:
            files[present] = present.stat().st_size
        elif missing is None:
            missing = path
    return ModelFolder(folder, files, missing)


def _present(path: Path) -> Path | None:
    """Return the file that an engine reads for `path`, if there is one."""
    try:
        variant = weights_file(path)
        return variant if variant.is_file() else None
    except OSError:  # a folder that may not be entered, or a name that is too long
        return None
