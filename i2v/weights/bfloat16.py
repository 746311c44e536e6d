"""A safetensors file of float32, written again in bfloat16, tensor by tensor; an interrupted write goes on.

Owns the bytes: the layout of the new file, its rounding, and the comparison with what it was made of. Which
files, where, and what becomes of the old ones is `conversion`'s business. The format:
https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from i2v.weights.model_files import Shape
from i2v.weights.tensors import Place, read_header

BLOCK = 2**22  # numbers that are in memory at a time
_ITEM = {"F32": 4, "BF16": 2}
_NAN = 0x7FC0


@dataclass(frozen=True)
class Tensor:
    """One tensor of the new file: where it is read, and where it is written, in bytes of the whole file."""

    source: Path
    place: Place
    dtype: str
    begin: int

    @property
    def count(self) -> int:
        return (self.place.end - self.place.begin) // _ITEM[self.place.dtype]

    @property
    def end(self) -> int:
        return self.begin + self.count * _ITEM[self.dtype]


@dataclass(frozen=True)
class Layout:
    """The new file. `header` is what it begins with."""

    header: bytes
    tensors: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        return self.tensors[-1].end


def lay_out(sources: Sequence[Path], in_float32: Collection[str]) -> Layout:
    """Return the layout of one file with all tensors of `sources`.

    in_float32: a tensor one of whose name's parts is among these stays as it is.

    Raises `OSError`, and `ValueError` for files that are not of float32 throughout.
    """
    found: dict[str, tuple[Path, Place, Shape]] = {}
    for path in sources:
        header = read_header(path)
        found |= {name: (path, place, header.shapes[name]) for name, place in header.places.items()}
    others = sorted(name for name, (_, place, _) in found.items() if place.dtype != "F32")
    if others or not found:
        raise ValueError(f"{others[0]} is not of float32" if others else "it holds no tensors")
    for name, (_, place, shape) in found.items():
        if place.end - place.begin != 4 * math.prod(shape):
            raise ValueError(f"{name} has not the bytes of its shape")
    kept = frozenset(in_float32)
    dtypes = {name: "BF16" if kept.isdisjoint(name.split(".")) else "F32" for name in found}
    # the wider ones first, so that all are aligned
    names = sorted(found, key=lambda name: (-_ITEM[dtypes[name]], name))
    rows: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset, places = 0, list[tuple[str, int]]()
    for name in names:
        end = offset + math.prod(found[name][2]) * _ITEM[dtypes[name]]
        rows[name] = {"dtype": dtypes[name], "shape": found[name][2], "data_offsets": [offset, end]}
        places.append((name, offset))
        offset = end
    text = json.dumps(rows, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    begin = len(text) + 8
    tensors = (Tensor(found[name][0], found[name][1], dtypes[name], begin + at) for name, at in places)
    return Layout(len(text).to_bytes(8, "little") + text, tuple(tensors))


def write(layout: Layout, path: Path, tick: Callable[[int], None]) -> None:
    """Have the new file at `path`, going on with what is there of it; `tick` as `hash_file` has it.

    Raises `OSError`.
    """
    with path.open("r+b" if path.exists() else "x+b") as file:
        done = file.seek(0, 2)
        file.seek(0)
        if file.read(len(layout.header)) != layout.header:
            file.truncate(0)
            file.seek(0)
            file.write(layout.header)
            done = len(layout.header)
        whole = [tensor for tensor in layout.tensors if tensor.end <= done]
        rest = layout.tensors[len(whole) :]
        position = whole[-1].end if whole else len(layout.header)
        file.truncate(position)
        file.seek(position)
        for tensor in rest:
            for values in _blocks(tensor):
                file.write(values)
                position += len(values)
                tick(position)
        file.flush()
        os.fsync(file.fileno())


def compare(layout: Layout, path: Path, tick: Callable[[int], None]) -> str | None:
    """Return the SHA-256 of the file at `path` if it is what `write` should have made, else `None`.

    Reads it and its sources from the disk. Raises `OSError`.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if file.seek(0, 2) != layout.size:
            return None
        file.seek(0)
        header = file.read(len(layout.header))
        if header != layout.header:
            return None
        digest.update(header)
        position = len(header)
        for tensor in layout.tensors:
            for values in _blocks(tensor):
                found = file.read(len(values))
                if found != values:
                    return None
                digest.update(found)
                position += len(values)
                tick(position)
    return digest.hexdigest()


def _blocks(tensor: Tensor) -> Iterator[bytes]:
    """Yield the bytes of the new tensor, as many as `BLOCK` numbers at a time."""
    with tensor.source.open("rb") as file:
        file.seek(tensor.place.begin)
        for start in range(0, tensor.count, BLOCK):
            count = min(BLOCK, tensor.count - start)
            content = file.read(4 * count)
            if len(content) != 4 * count:
                raise OSError(0, "it is shorter than it was", str(tensor.source))
            yield content if tensor.dtype == "F32" else rounded(np.frombuffer(content, "<f4")).tobytes()


def rounded(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the bits of the nearest bfloat16 of each value, of two the even one, as torch rounds."""
    bits = values.view(np.uint32)
    nearest = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    nearest[np.isnan(values)] = _NAN
    return nearest
