"""Which file of a model is whose: a model's folder is made of one or more repositories.

Pure names. Where the files are is `folders`' business, how they come `fetching`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from i2v.core.errors import InvalidRequest, ModelUnavailable
from i2v.core.fields import shown
from i2v.core.model_spec import ModelSpec, Repository
from i2v.weights.shards import GGUF, WEIGHTS, Stored, is_file, size_of, stored_files

# How files for one of two experts are called: "wan2.2_i2v_A14b_high_noise_lora_...", "..._LOW_fp16".
_FOR_EXPERT = re.compile(r"(?i:high|low)[-_ ]?(?i:noise)|(?<![A-Za-z])(?:HIGH|LOW)(?![A-Za-z])")
HUB = "https://huggingface.co"  # whose word on hashes goes before that of its mirrors


def parts_of(spec: ModelSpec) -> tuple[Repository, ...]:
    """Return the repositories; one without a place for a model that is published nowhere."""
    return spec.published or (Repository(f"/{spec.name}", "", (), 0, ""),)


def published_of(spec: ModelSpec) -> tuple[Repository, ...]:
    """Return where `spec` is published; raises `InvalidRequest` where it is not."""
    if not spec.files:
        raise InvalidRequest("weights.none_needed", title=spec.title)
    if not spec.published:
        if spec.embedded:
            raise InvalidRequest("weights.not_published", title=spec.title)
        raise InvalidRequest("weights.published_nowhere", title=spec.title, name=spec.name)
    return spec.published


def part_of(spec: ModelSpec, name: str) -> Repository:
    """Return the repository of a file of the model's folder: the one with the deepest folder above it."""
    above = [part for part in parts_of(spec) if not part.folder or name.startswith(f"{part.folder}/")]
    return max(above, key=lambda part: len(part.folder), default=parts_of(spec)[0])


def needed_files(spec: ModelSpec, part: Repository) -> list[str]:
    """Return which of `spec.files` are the part's, as its repository names them."""
    return list(_names(spec, part, spec.files))


def optional_files(spec: ModelSpec, part: Repository) -> list[str]:
    """Return which of `spec.optional_files` are the part's, as its repository names them."""
    return list(_names(spec, part, spec.optional_files))


def mark_of(spec: ModelSpec, part: Repository) -> str:
    """Return the file that shows that a folder or a listing is of the repository, as that names it."""
    names = [*needed_files(spec, part), *optional_files(spec, part)]
    return next((name for name in names if not name.endswith(WEIGHTS)), names[0])


def name_in_model(part: Repository, name: str) -> str:
    """Return where the repository's file `name` lies below the model's folder."""
    return f"{part.folder}/{name}" if part.folder else name


def stored(spec: ModelSpec, folder: Path, name: str) -> Stored:
    """Return what stands for the file `name` of the spec in the model's folder; see `stored_files`.

    A .gguf goes first where there can be one: only a person puts it there.
    """
    quantized = gguf_in(spec, folder, name)
    if quantized is not None:
        return Stored({quantized: size_of(quantized)}, None)
    return stored_files(folder, name, part_of(spec, name).variant)


def gguf_in(spec: ModelSpec, folder: Path, name: str) -> Path | None:
    """Return the .gguf file that stands for `name`: of several the first by name."""
    if name not in spec.gguf_files:
        return None
    return next(iter(sorted(path for path in (folder / name).parent.glob(f"*{GGUF}") if is_file(path))), None)


def check_reader(spec: ModelSpec, folder: Path) -> None:
    """Raise `ModelUnavailable` where the folder has a .gguf, and the package that reads those is missing."""
    found = next((path for name in spec.gguf_files if (path := gguf_in(spec, folder, name))), None)
    if found is not None and find_spec("gguf") is None:
        raise ModelUnavailable("weights.no_gguf", path=shown(str(found), limit=300))


def expert_in(name: str) -> int | None:
    """Return which of two experts a file is for by its name: 0, that of high noise, or 1; `None`: any."""
    found = _FOR_EXPERT.search(name)
    return None if found is None else int(found[0].lower().startswith("low"))


def origin_of(part: Repository) -> str:
    """Return the address of the repository's page at its revision."""
    return f"{HUB}/{part.repo}/tree/{part.revision}"


def _names(spec: ModelSpec, part: Repository, names: tuple[str, ...]) -> Iterator[str]:
    below = f"{part.folder}/" if part.folder else ""
    return (name.removeprefix(below) for name in names if part_of(spec, name) == part)
