"""LoRAs and checkpoints that a person has: files and folders that a request names, found where they are.

In the models folder (`models/loras`, `models/checkpoints`), and where ComfyUI keeps its own, which are read
there and never written to. Names are looked up in what is there, never made into paths. What a file holds is
the business of `loras` and `checkpoints`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from i2v.core.errors import InvalidRequest
from i2v.core.fields import nearest_name, shown
from i2v.core.settings import ModelSettings
from i2v.weights import checkpoints, loras
from i2v.weights.folders import INDEX

Kind = Literal["loras", "checkpoints"]

DEEPEST = 4  # folders below the kind's own, which people sort their files into
_SUFFIX = ".safetensors"
_SHOWN = 8  # names in a message


def added_files(kind: Kind, models: ModelSettings) -> dict[str, Path]:
    """Return files, and for checkpoints folders in the Hugging Face layout, by their names in that order.

    A name is the path below the folder of the kind, without the suffix: "styles/ink". The first place counts.
    """
    found: dict[str, Path] = {}
    for place in _places(kind, models):
        for path in _below(place, kind):
            name = path.relative_to(place).as_posix().removesuffix(_SUFFIX)
            found.setdefault(name, path)
    return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


@dataclass(frozen=True)
class AddedFile:
    """What there is to choose from, as its file says.

    Attributes:
        size: bytes; of a folder, of what is read of it.
        made_for: the model that it is of, or for: "Stable Diffusion 1.5"; "" where it cannot be read.
        trigger_words: of a LoRA, that its author or trainer has noted.
    """

    name: str
    path: Path
    size: int
    made_for: str
    trigger_words: tuple[str, ...] = ()


def describe_added(kind: Kind, models: ModelSettings) -> list[AddedFile]:
    """Return all that `added_files` finds, described by their headers."""
    return [described(kind, name, path) for name, path in added_files(kind, models).items()]


def described(kind: Kind, name: str, path: Path) -> AddedFile:
    """Return what the file says of itself."""
    if kind == "loras":
        made_for, words = loras.describe(path), loras.trigger_words(path)
    else:
        made_for, words = checkpoints.describe(path), ()
    return AddedFile(name, path, _size_of(path), made_for, words)


def _size_of(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in checkpoints.checkpoint_files(path).values())
    except (OSError, ValueError):
        return 0


def find_added(kind: Kind, name: str, models: ModelSettings) -> Path:
    """Return the file of that name, with its suffix or not; raises `InvalidRequest` with some there are."""
    found = added_files(kind, models)
    path = found.get(name.removesuffix(_SUFFIX))
    if path is not None:
        return path
    raise _unknown(kind, name, list(found)) if found else _none(kind, name, models.directory / kind)


def _none(kind: Kind, name: str, folder: Path) -> InvalidRequest:
    code = "added.no_loras" if kind == "loras" else "added.no_checkpoints"
    return InvalidRequest(code, value=shown(name), folder=shown(str(folder), limit=300))


def _unknown(kind: Kind, name: str, found: list[str]) -> InvalidRequest:
    nearest = nearest_name(name, found)
    some = [nearest, *(other for other in found if other != nearest)][:_SHOWN]
    code = "added.unknown_loras" if kind == "loras" else "added.unknown_checkpoints"
    return InvalidRequest(code, value=shown(name), allowed=", ".join(some))


def _places(kind: Kind, models: ModelSettings) -> Iterator[Path]:
    yield models.directory / kind
    for place in models.search_paths:  # ComfyUI's folder, or its models folder
        yield place / "models" / kind
        yield place / kind


def _below(place: Path, kind: Kind) -> Iterator[Path]:
    for folder, folders, files in os.walk(place, followlinks=True):
        here = Path(folder)
        is_model = kind == "checkpoints" and INDEX in files and here != place
        if is_model or len(here.relative_to(place).parts) >= DEEPEST:
            folders.clear()
        if is_model:
            yield here
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in sorted(files) if name.endswith(_SUFFIX) and name[0] != ".")
