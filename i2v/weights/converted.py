"""What is known of weights that were stored again in another type: their names, and their checksums.

How they are made is `conversion`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from i2v.core.model_spec import Conversion, ModelSpec
from i2v.core.settings import ModelSettings
from i2v.weights.folders import own_folder
from i2v.weights.parts import gguf_in
from i2v.weights.records import Expected, Listing, write_json
from i2v.weights.shards import WEIGHTS, file_size

VARIANT = "bf16"


def target_of(folder: Path, conversion: Conversion) -> Path:
    """Return where the file stands, beside the one that it is made of."""
    path = folder / conversion.file
    return path.with_name(f"{path.name.removesuffix(WEIGHTS)}.{VARIANT}{WEIGHTS}")


def converted_files(spec: ModelSpec, models: ModelSettings) -> dict[str, int]:
    """Return the bytes of each of the spec's files that is there in another type, by the spec's name."""
    folder = own_folder(spec, models)
    paths = {each.file: target_of(folder, each) for each in spec.conversions}
    paths |= {name: path for name in spec.gguf_files if (path := gguf_in(spec, folder, name)) is not None}
    sizes = {name: file_size(path) for name, path in paths.items()}
    return {name: size for name, size in sizes.items() if size is not None}


def record(records: Path, name: str, row: Mapping[str, object]) -> None:
    """Keep what a file must be, by its name in the model's folder. Raises `OSError`."""
    write_json(_file(records), {**_rows(records), name: dict(row)})


def with_converted(listing: Listing | None, records: Path) -> Listing | None:
    """Return the listing with the files that were made here, which no hub has."""
    made = {}
    for name, row in _rows(records).items():
        size, sha256 = row.get("size"), row.get("sha256")
        if isinstance(size, int) and isinstance(sha256, str):
            made[name] = Expected(size, sha256=sha256)
    if listing is None or not made:
        return listing
    return replace(listing, files={**listing.files, **made})


def _rows(records: Path) -> dict[str, dict[str, object]]:
    try:
        rows = json.loads(_file(records).read_text(encoding="utf-8"))
        return {str(name): dict(row) for name, row in dict(rows).items()}
    except (OSError, ValueError, TypeError):  # none, or damaged: they are held to their size alone
        return {}


def _file(records: Path) -> Path:
    return records / "converted.json"
