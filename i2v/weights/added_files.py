"""LoRAs and checkpoints that a person has: files and folders that a request names, found where they are.

In the models folder (`models/loras`, `models/checkpoints`), and where ComfyUI keeps its own, which are read
there and never written to. Names are looked up in what is there, never made into paths. What a file holds is
the business of `loras` and `checkpoints`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from i2v.core.errors import InvalidRequest
from i2v.core.schema import nearest_name, shown
from i2v.core.settings import ModelSettings
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


def find_added(kind: Kind, name: str, models: ModelSettings) -> Path:
    """Return the file of that name, with or without its suffix; raises `InvalidRequest` with those there are."""
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
