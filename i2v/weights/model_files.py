"""What can be wrong with a file of a model: it cannot be read, or has other tensors than it should.

Whoever looks at such a file says it in these words: `weights`, which reads headers, and the engine, which
loads values. Owns the names that tensors had in other versions of a library. Knows no file format.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from i2v.core.errors import ModelUnavailable
from i2v.core.model_spec import ModelSpec

# The attention of a VAE as diffusers wrote it before 0.17 (June 2023), which files copied since still have.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

Shape = tuple[int, ...]


def match_tensors(path: Path, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> dict[str, str]:
    """Return, for each expected name, the one that its tensor has in the file `path`, in the file's order.

    Raises `ModelUnavailable` naming the file, and the tensor that is missing, unknown or misshapen.
    """
    names = {_known_name(name, expected): name for name in found}
    # transformers 4 saved this constant in some files; the module makes its own
    unknown = {name for name in names.keys() - expected.keys() if not name.endswith("position_ids")}
    _refuse("weights.missing_tensor", path, expected.keys() - names.keys())
    _refuse("weights.unexpected_tensor", path, unknown)
    for name in sorted(expected):
        shape = found[names[name]]
        if shape != expected[name]:
            shapes = {"found": str(shape), "expected": str(expected[name])}
            raise ModelUnavailable("weights.misshapen_tensor", path=str(path), tensor=name, **shapes)
    return {name: old for name, old in names.items() if name in expected}


def unreadable(spec: ModelSpec, path: Path, reason: str) -> ModelUnavailable:
    short = " ".join(reason.split())[:300]
    return ModelUnavailable("weights.unreadable", title=spec.title, path=str(path), reason=short)


def _known_name(name: str, expected: Collection[str]) -> str:
    """Return the expected name for a tensor that another version of a library wrote.

    transformers 4 and 5 differ by the prefix `text_model.`, and diffusers renamed the VAE's attention.
    """
    owner, _, kind = name.rpartition(".")
    rest, _, last = owner.rpartition(".")
    renamed = f"{rest}.{_OLD_ATTENTION.get(last, last)}.{kind}"
    for candidate in (name.removeprefix("text_model."), f"text_model.{name}", renamed):
        if name not in expected and candidate in expected:
            return candidate
    return name


def _refuse(code: str, path: Path, names: Collection[str]) -> None:
    if names:
        raise ModelUnavailable(code, path=str(path), tensor=min(names), count=len(names))
