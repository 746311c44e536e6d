"""What a safetensors file says it holds, and the table of a model's published names and shapes.

Reads headers, no values, and needs no library of models, so that any process can ask. The engine's loader
makes the same check (`model_files.match_tensors`) against its modules; that one has the last word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable
from i2v.weights.model_files import Shape, match_tensors, unreadable
from i2v.weights.shards import is_index, missing_file, weight_map

HEADER_LIMIT = 100_000_000  # bytes, as safetensors has it
_TYPES = {  # bytes a value
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F16": 2, "BF16": 2, "U16": 2, "I16": 2,
    "F32": 4, "U32": 4, "I32": 4, "F64": 8, "U64": 8, "I64": 8,
}  # fmt: skip


def published_shapes(spec: EngineSpec) -> dict[str, dict[str, Shape]]:
    """Return the shape of every published tensor by part and name; nothing where there is no table."""
    path = Path(__file__).with_name(f"{spec.tensor_table or spec.name}.tsv")
    table: dict[str, dict[str, Shape]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if not line.startswith("#"):
            part, name, shape = line.split("\t")
            table.setdefault(part, {})[name] = tuple(int(side) for side in shape.split(","))
    return table


def check_tensors(spec: EngineSpec, path: Path, expected: Mapping[str, Shape] | None) -> None:
    """Raise `ModelUnavailable` where the file is damaged, or as `match_tensors` does.

    `path`: a safetensors file or the index of shards. `expected`: `None` where there is no table.
    """
    found = _read_sharded(spec, path) if is_index(path.name) else read_shapes(spec, path)
    if expected is not None:
        match_tensors(path, found, expected)


def _read_sharded(spec: EngineSpec, index: Path) -> dict[str, Shape]:
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


def read_shapes(spec: EngineSpec, path: Path) -> dict[str, Shape]:
    """Return the shape of each tensor in a safetensors file, all of whose bytes are there.

    The format: https://github.com/huggingface/safetensors. Raises `ModelUnavailable`.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= HEADER_LIMIT:
                raise ValueError("it is not a safetensors file")
            rows = json.loads(file.read(length))
            size = file.seek(0, 2)
        shapes = {name: tuple(row["shape"]) for name, row in rows.items() if name != "__metadata__"}
        sizes = [math.prod(shapes[name]) * _TYPES[rows[name]["dtype"]] for name in shapes]
    except OSError as error:
        raise unreadable(spec, path, error.strerror or str(error)) from error
    except KeyError as error:
        raise unreadable(spec, path, f"its header has an unknown entry or type, {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise unreadable(spec, path, f"its header is damaged ({error})") from error
    if size != 8 + length + sum(sizes):
        raise unreadable(spec, path, f"it has {size} bytes instead of {8 + length + sum(sizes)}")
    return shapes
