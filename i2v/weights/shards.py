"""The files that stand for one name of a spec: itself, a variant, or shards with their index.

The names are diffusers' and transformers': `NAME.fp16.safetensors` for a variant; for shards
`NAME.safetensors.index.json`, whose `weight_map` says for each tensor which of the files
`NAME-00001-of-00003.safetensors` and so on has it. Deliberately does not know what tensors there must be, nor
where folders are looked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from i2v.core.errors import ModelUnavailable
from i2v.core.model_spec import ModelSpec

WEIGHTS = ".safetensors"
GGUF = ".gguf"
_INDEX = re.compile(r"\.safetensors(\.index(\.\w+)?|\.\w+\.index)\.json$")


@dataclass(frozen=True)
class Stored:
    """What is there of one name.

    Attributes:
        files: sizes in bytes; of shards, the index first.
        missing: the file without which it cannot be read, `None` if it is complete. An index that is there
            and cannot be followed is missing too: `missing_file` says why.
    """

    files: Mapping[Path, int]
    missing: Path | None


@dataclass(frozen=True)
class _Form:
    """One way to store weights: in one file, or in shards by one of the indexes."""

    single: str
    indexes: tuple[str, ...]
    shard: re.Pattern[str]


def stored_files(folder: Path, name: str, variant: str) -> Stored:
    """Return what stands for `name` in `folder`: the first complete form, else the first that has begun.

    The variant goes before the plain file, and one file before shards. Reads names and sizes, and indexes.
    """
    begun: Stored | None = None
    for form in _forms(name, variant):
        size = file_size(folder / form.single)
        if size is not None:
            return Stored({folder / form.single: size}, None)
        for index in form.indexes:
            found = _sharded(folder / index)
            if found is not None and found.missing is None:
                return found
            begun = begun or found
    return begun or Stored({}, folder / name)


def select_listed(listed: Collection[str], name: str, variant: str) -> list[str]:
    """Return which of the listed files to fetch for `name`, one form of it, an index before its shards.

    Raises `LookupError` naming what is not listed.
    """
    for form in _forms(name, variant):
        if form.single in listed:
            return [form.single]
        for index in form.indexes:
            if index in listed:
                return [index, *_listed_shards(listed, form)]
    raise LookupError(name)


def is_index(name: str) -> bool:
    return _INDEX.search(name) is not None


def shard_names(index: Path) -> tuple[str, ...]:
    """Return the names of the shards, which stand beside their index.

    Raises `ValueError` for an index that is damaged or leads out of its folder, and `OSError`.
    """
    return tuple(sorted(set(weight_map(index).values())))


def weight_map(index: Path) -> dict[str, str]:
    """Return the shard of each tensor; raises as `shard_names` does."""
    content = json.loads(index.read_text(encoding="utf-8"))
    found = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found:
        raise ValueError("it has no weight_map")
    for shard in found.values():
        is_plain = isinstance(shard, str) and Path(shard).name == shard and "\\" not in shard
        if not is_plain or not shard.endswith(WEIGHTS):
            raise ValueError(f"it names {str(shard)[:100]!r}, which is no {WEIGHTS} file beside it")
    return found


def missing_file(spec: ModelSpec, path: Path) -> ModelUnavailable:
    """Return what is wrong with `path`, a `missing` file: an index that cannot be followed, or not there."""
    try:
        if is_index(path.name) and is_file(path):
            shard_names(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        return ModelUnavailable("weights.bad_index", title=spec.title, path=str(path), reason=reason)
    return ModelUnavailable("weights.missing_file", title=spec.title, path=str(path))


def is_file(path: Path) -> bool:
    return file_size(path) is not None


def size_of(path: Path) -> int:
    """Return the file's bytes, 0 where there is none."""
    return file_size(path) or 0


def file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:  # a folder that may not be entered, or a name that is too long
        return None


def _forms(name: str, variant: str) -> Iterator[_Form]:
    stem, is_weights = name.removesuffix(WEIGHTS), name.endswith(WEIGHTS)
    if not is_weights:
        yield _Form(name, (), re.compile(""))
        return
    plain, number = re.escape(stem), r"-(\d+)-of-(\d+)"
    if variant:
        # diffusers has written the variant in either place, in indexes and in shards
        indexes = (f"{name}.index.{variant}.json", f"{name}.{variant}.index.json")
        kind = rf"\.{re.escape(variant)}"
        shard = re.compile(rf"{plain}(?:{kind}{number}|{number}{kind})\.safetensors")
        yield _Form(f"{stem}.{variant}{WEIGHTS}", indexes, shard)
    yield _Form(name, (f"{name}.index.json",), re.compile(rf"{plain}{number}\.safetensors"))


def _sharded(index: Path) -> Stored | None:
    """Return what is there by `index`, `None` where there is no index."""
    size = file_size(index)
    if size is None:
        return None
    try:
        names = _cached_names(index, size, index.stat().st_mtime_ns)
    except (OSError, ValueError):
        return Stored({}, index)
    files, missing = {index: size}, None
    for path in (index.with_name(name) for name in names):
        found = file_size(path)
        if found is not None:
            files[path] = found
        elif missing is None:
            missing = path
    return Stored(files, missing)


@lru_cache(maxsize=64)
def _cached_names(index: Path, size: int, changed: int) -> tuple[str, ...]:
    """Read an index once as long as it stays the same: it is asked for before every plan."""
    return shard_names(index)


def _listed_shards(listed: Collection[str], form: _Form) -> list[str]:
    """Return the shards by their numbers; the index, which may not be here yet, is held to them later."""
    found: dict[int, dict[int, str]] = {}
    for name in listed:
        if match := form.shard.fullmatch(name):
            number, count = (int(group) for group in match.groups() if group)
            found.setdefault(count, {})[number] = name
    for count, shards in found.items():
        if shards.keys() == set(range(1, count + 1)):
            return [shards[number] for number in sorted(shards)]
    if not found:
        raise LookupError(f"{form.single.removesuffix(WEIGHTS)}-00001-of-*{WEIGHTS}")
    count, shards = max(found.items(), key=lambda item: len(item[1]))
    number = min(set(range(1, count + 1)) - shards.keys(), default=1)
    raise LookupError(f"{form.single.removesuffix(WEIGHTS)}-{number:05}-of-{count:05}{WEIGHTS}")
