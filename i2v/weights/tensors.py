"""What a safetensors file says it holds, and the table of a model's published names and shapes.

Reads headers, no values, and needs no library of models, so that any process can ask. The engine's loader
makes the same check (`model_files.match_tensors`) against its modules; that one has the last word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from i2v.core.errors import ModelUnavailable
from i2v.core.model_spec import ModelSpec
from i2v.weights.model_files import Shape, match_tensors, unreadable
from i2v.weights.shards import is_index, missing_file, weight_map

HEADER_LIMIT = 100_000_000  # bytes, as safetensors has it
_TYPES = {  # bytes a value
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F16": 2, "BF16": 2, "U16": 2, "I16": 2,
    "F32": 4, "U32": 4, "I32": 4, "F64": 8, "U64": 8, "I64": 8,
}  # fmt: skip


def published_shapes(spec: ModelSpec) -> dict[str, dict[str, Shape]]:
    """Return the shape of every published tensor by part and name; nothing where there is no table."""
    path = Path(__file__).with_name(f"{spec.tensor_table or spec.name}.tsv")
    table: dict[str, dict[str, Shape]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if not line.startswith("#"):
            part, name, shape = line.split("\t")
            table.setdefault(part, {})[name] = tuple(int(side) for side in shape.split(","))
    return table


def check_tensors(spec: ModelSpec, path: Path, expected: Mapping[str, Shape] | None) -> None:
    """Raise `ModelUnavailable` where the file is damaged, or as `match_tensors` does.

    `path`: a safetensors file or the index of shards. `expected`: `None` where there is no table.
    """
    found = _read_sharded(spec, path) if is_index(path.name) else read_shapes(spec, path)
    if expected is not None:
        match_tensors(path, found, expected)


def _read_sharded(spec: ModelSpec, index: Path) -> dict[str, Shape]:
    """Return the shapes of all tensors that the index has, each from its shard."""
    try:
        shard_of = weight_map(index)
    except (OSError, ValueError) as error:
        raise missing_file(spec, index) from error
    shapes: dict[str, Shape] = {}
    for shard in sorted(set(shard_of.values())):
        path = index.with_name(shard)
        found = read_shapes(spec, path)
        absent = [name for name, owner in shard_of.items() if owner == shard and name not in found]
        if absent:
            raise ModelUnavailable(
                "weights.missing_tensor", path=str(path), tensor=min(absent), count=len(absent)
            )
        shapes |= found
    return shapes


def read_shapes(spec: ModelSpec, path: Path) -> dict[str, Shape]:
    """Return the shape of each tensor in a safetensors file, all of whose bytes are there.

    The format: https://github.com/huggingface/safetensors. Raises `ModelUnavailable`.
    """
    try:
        return read_header(path).shapes
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise unreadable(spec, path, reason) from error


@dataclass(frozen=True)
class Place:
    """Where a tensor's values are, in bytes of the whole file, and of which type ("F32")."""

    dtype: str
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """`shapes` of the tensors by name, and what whoever wrote the file says of it (`metadata`).

    places: of the tensors, by name.
    """

    shapes: dict[str, Shape]
    metadata: dict[str, str]
    places: dict[str, Place] = field(default_factory=dict)


def header_of(path: Path) -> Header:
    """Return the same as `read_header`, kept until the file is another one: asked before every plan."""
    return _kept_header(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _kept_header(path: Path, changed: int) -> Header:
    return read_header(path)


def read_header(path: Path) -> Header:
    """Return the header of a file, all of whose bytes are there; raises `OSError`, `ValueError`."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= HEADER_LIMIT:
            raise ValueError("its header is damaged (it is not a safetensors file)")
        text = file.read(length)
        size = file.seek(0, 2)
    try:
        rows = json.loads(text)
        metadata = rows.pop("__metadata__", {})
        shapes = {name: tuple(row["shape"]) for name, row in rows.items()}
        sizes = [math.prod(shapes[name]) * _TYPES[rows[name]["dtype"]] for name in shapes]
        places = {name: _place(row, 8 + length) for name, row in rows.items()}
    except KeyError as error:
        raise ValueError(f"its header has an unknown entry or type, {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"its header is damaged ({error})") from error
    if size != 8 + length + sum(sizes):
        raise ValueError(f"it has {size} bytes instead of {8 + length + sum(sizes)}")
    return Header(shapes, {str(key): str(value) for key, value in dict(metadata or {}).items()}, places)


def _place(row: Mapping[str, Any], begin: int) -> Place:
    first, last = row["data_offsets"]
    return Place(str(row["dtype"]), begin + int(first), begin + int(last))
