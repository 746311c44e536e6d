"""Checkpoints as safetensors files of bounded size, for where only small files can be carried.

`write` and `read` are each other's inverse but for the precision: float16 on the way.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

LARGEST = 14_500_000  # bytes of a piece
_HEADER = 200_000  # bytes, at most, of a piece's names and places


def write(folder: Path, name: str, tensors: dict[str, torch.Tensor], notes: dict[str, object]) -> list[Path]:
    """Write `NAME-1-of-N.safetensors` and so on, with `notes` in each.

    `ValueError` for what is not finite, or does not fit a piece.
    """
    parts: list[dict[str, torch.Tensor]] = [{}]
    used = 0
    for key, tensor in tensors.items():
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        if not torch.isfinite(half).all():
            raise ValueError(f"{key} is not finite in float16")
        if half.nbytes > LARGEST - _HEADER:
            raise ValueError(f"{key} takes {half.nbytes} bytes, more than a piece holds")
        if used + half.nbytes > LARGEST - _HEADER:
            parts.append({})
            used = 0
        parts[-1][key] = half
        used += half.nbytes
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}-{k}-of-{len(parts)}.safetensors" for k in range(1, len(parts) + 1)]
    for path, part in zip(paths, parts, strict=True):
        partial = path.with_suffix(".partial")
        save_file(part, partial, metadata={"notes": json.dumps(notes)})
        partial.replace(path)
    for path in set(folder.glob(f"{name}-*-of-*.safetensors")) - set(paths):
        path.unlink()  # of an earlier checkpoint, in another number of pieces
    return paths


def read(folder: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """Return float32 tensors and notes; `FileNotFoundError` where a piece is missing."""
    found = sorted(folder.glob(f"{name}-*-of-*.safetensors"))
    counts = {path.stem.rsplit("-", 1)[1] for path in found}
    if len(counts) != 1 or len(found) != int(*counts):
        raise FileNotFoundError(
            f"{folder} does not hold all pieces of {name}, and of one checkpoint: {found}"
        )
    tensors: dict[str, torch.Tensor] = {}
    for path in found:
        with safe_open(path, "pt") as file:
            notes = json.loads(file.metadata()["notes"])
            tensors |= {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 - no dict
    return tensors, notes
