"""What a safetensors file says it holds, against the table of a model's published names and shapes.

Reads headers, no values, and needs no library of models, so that any process can ask. The engine's loader
makes the same check against its modules when it loads; that one has the last word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from i2v.errors import ModelUnavailable
from i2v.schema import EngineSpec

HEADER_LIMIT = 100_000_000  # bytes, as safetensors has it
_TYPES = {"F16": 2, "BF16": 2, "F32": 4}  # bytes a value
# The attention of a VAE as diffusers wrote it before 0.17 (June 2023), which files copied since still have.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

Shape = tuple[int, ...]


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
    """Raise `ModelUnavailable` naming the file, and the tensor that is missing, unknown or misshapen."""
    found = {_published_name(name, expected): shape for name, shape in read_shapes(spec, path).items()}
    # transformers 4 saved this constant in some files
    unknown = {name for name in found.keys() - expected.keys() if not name.endswith("position_ids")}
    _refuse("weights.missing_tensor", path, expected.keys() - found.keys())
    _refuse("weights.unexpected_tensor", path, unknown)
    for name in sorted(expected):
        if found[name] != expected[name]:
            shapes = {"found": str(found[name]), "expected": str(expected[name])}
            raise ModelUnavailable("weights.misshapen_tensor", path=str(path), tensor=name, **shapes)


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


def unreadable(spec: EngineSpec, path: Path, reason: str) -> ModelUnavailable:
    short = " ".join(reason.split())[:300]
    return ModelUnavailable("weights.unreadable", title=spec.title, path=str(path), reason=short)


def _published_name(name: str, expected: Mapping[str, Shape]) -> str:
    """Return the published name for a tensor that another version of a library wrote."""
    owner, _, kind = name.rpartition(".")
    rest, _, last = owner.rpartition(".")
    for candidate in (f"text_model.{name}", f"{rest}.{_OLD_ATTENTION.get(last, last)}.{kind}"):
        if name not in expected and candidate in expected:
            return candidate
    return name


def _refuse(code: str, path: Path, names: Iterable[str]) -> None:
    wrong = sorted(names)
    if wrong:
        raise ModelUnavailable(code, path=str(path), tensor=wrong[0], count=len(wrong))
