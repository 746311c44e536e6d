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
from i2v.weights.model_files import Shape, match_tensors, unreadable

HEADER_LIMIT = 100_000_000  # bytes, as safetensors has it
_TYPES = {"F16": 2, "BF16": 2, "F32": 4}  # bytes a value


def published_shapes(spec: EngineSpec) -> dict[str, dict[str, Shape]]:
    """Return the shape of every published tensor by part and name; nothing where there is no table."""
    path = Path(__file__).with_name(f"{spec.name}.tsv")
    table: dict[str, dict[str, Shape]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if not line.startswith("#"):
            part, name, shape = line.split("\t")
            table.setdefault(part, {})[name] = tuple(int(side) for side in shape.split(","))
    return table


def check_tensors(spec: EngineSpec, path: Path, expected: Mapping[str, Shape]) -> None:
    """Raise `ModelUnavailable` where the file is damaged, or as `match_tensors` does."""
    match_tensors(path, read_shapes(spec, path), expected)


def read_shapes(spec: EngineSpec, path: Path) -> dict[str, Shape]:
    """Return the shape of each tensor in a safetensors file, all of whose bytes are there.

    The format: https://github.com/huggingface/safetensors. Raises `ModelUnavailable`.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= HEADER_LIMIT:
                raise ValueError("it is no safetensors file")
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
