"""Where a model's folder is: our own, one that a person added, or one that another program keeps.

Folders of others are read where they are, never copied or written to. Nothing is read here but names, sizes
and the indexes of shards, so that asking before every plan costs next to nothing; what files hold is the
business of `tensors` and `check`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable
from i2v.core.fields import shown
from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.parts import parts_of, stored
from i2v.weights.shards import is_file, missing_file

EMBEDDED_FOLDER = Path(__file__).resolve().parents[1] / "embedded"
INDEX = "model_index.json"

Origin = Literal["embedded", "downloaded", "added", "found"]

# How a folder that is looked in may hold a model: by itself, in a folder of its name, as huggingface_hub and
# modelscope lay out their caches, and as ComfyUI does in its models folder.
_LAYOUTS = (
    "",
    "{name}",
    "{owner}/{repo}",
    "models--{owner}--{repo}/snapshots/{revision}",
    "models--{owner}--{repo}/snapshots/*",
    "hub/models--{owner}--{repo}/snapshots/{revision}",
    "models/{owner}/{repo}",
    "models/{owner}--{repo}/snapshots/*",
    "diffusers/{name}",
    "models/diffusers/{name}",
)


@dataclass(frozen=True)
class ModelFolder:
    """A model folder, there or not.

    Attributes:
        files: those that the engine reads and that are there, with their sizes in bytes.
        missing: the first file that the engine reads and that is not there, `None` if the folder is complete.
        origin: whose it is; only "downloaded" is ours to write to and to remove.
    """

    path: Path
    files: dict[Path, int]
    missing: Path | None
    origin: Origin

    @property
    def size(self) -> int:
        return sum(self.files.values())

    @property
    def own_size(self) -> int:
        """Bytes of the files that are not links to somebody else's."""
        return sum(size for path, size in self.files.items() if not path.is_symlink())

    def names(self) -> dict[str, Path]:
        """Return `files` by their names below the folder."""
        return {path.relative_to(self.path).as_posix(): path for path in self.files}


def locate(spec: ModelSpec, models: ModelSettings) -> ModelFolder:
    """Return the folder with the weights of `spec`, the first complete one; else the one to say more about.

    That is the added one if there is one, else our own, with what is missing.
    """
    if spec.embedded:
        return inspect_folder(spec, EMBEDDED_FOLDER, "embedded")
    added = added_folder(spec, models)
    ours: list[tuple[Path, Origin]] = [] if added is None else [(added, "added")]
    ours.append((own_folder(spec, models), "downloaded"))
    own = [inspect_folder(spec, folder, origin) for folder, origin in ours]
    for found in own:
        if found.missing is None:
            return found
    for place in (*models.search_paths, models.hub_cache):
        for folder in layouts(spec, place):
            found = inspect_folder(spec, folder, "found")
            if found.missing is None:
                return found
    return own[0]


def find_weights(spec: ModelSpec, models: ModelSettings) -> Path:
    """Return the folder with the weights of `spec`, or raise `ModelUnavailable` with the way to get them.

    One that a download stopped half-way is returned too: who loads it names what is missing.
    """
    found = locate(spec, models)
    if not is_file(found.path / spec.files[0]):
        path = shown(str(found.path), limit=300)
        raise ModelUnavailable("weights.missing_folder", title=spec.title, path=path, fix=way_to_get(spec))
    if found.missing is not None and is_file(found.missing):  # an index that leads nowhere
        raise missing_file(spec, found.missing)
    return found.path


def require_weights(spec: ModelSpec, models: ModelSettings) -> Path:
    """Return the folder with all weights of `spec`; raises as `find_weights` does, and for a missing file."""
    folder, missing = find_weights(spec, models), locate(spec, models).missing
    if missing is not None:
        raise missing_file(spec, missing)
    return folder


def is_available(spec: ModelSpec, models: ModelSettings) -> bool:
    """Tell whether every file that the engine reads is there: a download may have stopped half-way."""
    return locate(spec, models).missing is None


def inspect_folder(spec: ModelSpec, folder: Path, origin: Origin) -> ModelFolder:
    """Return what of `spec` is in `folder`. Reads no file's content."""
    files: dict[Path, int] = {}
    missing: Path | None = None
    for name in spec.files:
        found = stored(spec, folder, name)
        files.update(found.files)
        missing = missing or found.missing
        if missing is not None and origin == "found":
            break  # somebody else's folder: what more it holds does not matter
    return ModelFolder(folder, files, missing, origin)


def own_folder(spec: ModelSpec, models: ModelSettings) -> Path:
    """Return the folder that downloads go to."""
    return models.directory / spec.name


def layouts(spec: ModelSpec, place: Path) -> Iterator[Path]:
    """Yield each folder below `place` that holds the model's first file and may be the model's."""
    yield from _layouts(spec.name, parts_of(spec)[0], place, spec.files[0])


def repository_layouts(part: Repository, place: Path, first: str) -> Iterator[Path]:
    """Yield each folder below `place` that holds the file `first` and may be the repository's."""
    yield from _layouts(part.repo.rpartition("/")[2], part, place, first)


def _layouts(name: str, part: Repository, place: Path, first: str) -> Iterator[Path]:
    owner, _, repo = part.repo.partition("/")
    words = {"name": name, "owner": owner, "repo": repo, "revision": part.revision}
    for layout in _LAYOUTS:
        folder = place / layout.format_map(words)
        for candidate in _children(folder.parent) if folder.name == "*" else (folder,):
            if is_file(candidate / first):
                yield candidate


def added_folder(spec: ModelSpec, models: ModelSettings) -> Path | None:
    """Return the folder that `register` recorded, if any."""
    try:
        stored = json.loads(_registration(spec, models).read_text(encoding="utf-8"))
        return Path(stored["folder"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or a file that is not ours
        return None


def register(spec: ModelSpec, models: ModelSettings, folder: Path) -> None:
    """Remember `folder` as the model's, before all others. Raises `OSError`."""
    models.directory.mkdir(parents=True, exist_ok=True)
    path = _registration(spec, models)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"folder": str(folder.absolute())}, indent=1), encoding="utf-8")
    part.replace(path)


def forget(spec: ModelSpec, models: ModelSettings) -> None:
    """Undo `register`. Raises `OSError`."""
    _registration(spec, models).unlink(missing_ok=True)


def _registration(spec: ModelSpec, models: ModelSettings) -> Path:
    return models.directory / f"{spec.name}.added.json"


def way_to_get(spec: ModelSpec) -> str:
    """Return what to do where the model is not there."""
    if spec.embedded:
        return "i2v is not completely installed: run bash scripts/setup.sh."
    if not spec.published:
        return f"Add its folder: i2v models add {spec.name} FOLDER."
    without = (
        "set engine to embedded" if isinstance(spec, EngineSpec) else "leave out the picture that needs it"
    )
    return f"Install it (i2v models download {spec.name}), or {without}."


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def files_below(folder: Path) -> list[Path]:
    """Return all files in `folder`, links among them; folders may vanish meanwhile, as a fetch's own do."""
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
