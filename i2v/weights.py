"""From an engine's spec to a local folder with its weights. Nothing is downloaded yet."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from i2v.errors import ModelUnavailable
from i2v.schema import EngineSpec, shown

EMBEDDED = Path(__file__).resolve().parent / "embedded"


def find_weights(spec: EngineSpec, models: Path) -> Path:
    """Return the folder with the weights of `spec`, or raise `ModelUnavailable` with the way to get them."""
    folder = model_folder(spec, models)
    if not _is_model(folder):
        fix = (
            "The installation is incomplete: install i2v again."
            if spec.embedded
            else "Put the published folder there (huggingface.co/ali-vilab/i2vgen-xl),"
            " or use engine: embedded."
        )
        path = shown(str(folder), limit=300)
        raise ModelUnavailable("weights.missing_folder", title=spec.title, path=path, fix=fix)
    return folder


def is_available(spec: EngineSpec, models: Path) -> bool:
    """Tell whether every file that the engine reads is there: a download may have stopped half-way."""
    folder = model_folder(spec, models)
    try:
        return all(weights_file(folder / name).is_file() for name in spec.files)
    except OSError:  # a folder that may not be entered, or a name that is too long
        return False


def weights_digest(spec: EngineSpec, folder: Path) -> str:
    """Return one SHA-256, in hexadecimal, over all files of `folder` that the engine reads.

    Digests of large files are kept in `folder`, so that gigabytes are read once and not before every clip; a
    file whose size or time of change differs is read again. Raises `ModelUnavailable` for what is missing.
    """
    whole = hashlib.sha256()
    cache = _DigestCache(folder)
    present = [name for name in spec.optional_files if (folder / name).is_file()]
    for name in (*spec.files, *present):
        path = weights_file(folder / name)
        try:
            whole.update(f"{name}\0{cache.digest(path)}\n".encode())
        except FileNotFoundError as error:
            raise ModelUnavailable("weights.missing_file", title=spec.title, path=str(path)) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise ModelUnavailable(
                "weights.unreadable", title=spec.title, path=str(path), reason=reason
            ) from error
    cache.save()
    return whole.hexdigest()


def weights_file(path: Path) -> Path:
    """Return the half-precision variant of a weights file where it is there."""
    variant = path.with_name(f"{path.stem}.fp16{path.suffix}")
    return variant if path.suffix == ".safetensors" and variant.is_file() else path


class _DigestCache:
    """SHA-256 of large files by name, size and time of change, in a hidden file beside them."""

    LARGE = 2**26  # bytes; smaller files are read in an instant

    def __init__(self, folder: Path) -> None:
        self._file = folder / ".i2v_sha256.json"
        self._known: dict[str, str] = {}
        with contextlib.suppress(
            OSError, ValueError, TypeError
        ):  # a cache: what cannot be read is computed again
            known = json.loads(self._file.read_text(encoding="utf-8"))
            self._known = {str(key): str(value) for key, value in dict(known).items()}
        self._used: dict[str, str] = {}

    def digest(self, path: Path) -> str:
        state = path.stat()
        key = f"{path.parent.name}/{path.name} {state.st_size} {state.st_mtime_ns}"
        found = self._known.get(key)
        if found is None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        if state.st_size >= self.LARGE:
            self._used[key] = found
        return found

    def save(self) -> None:
        if self._used == self._known:
            return
        with contextlib.suppress(OSError):  # a read-only folder: hashed again next time
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(self._used, indent=1), encoding="utf-8")
            part.replace(self._file)


def model_folder(spec: EngineSpec, models: Path) -> Path:
    return EMBEDDED if spec.embedded else models / spec.name


def _is_model(folder: Path) -> bool:
    try:
        return (folder / "model_index.json").is_file()
    except OSError:  # a folder that may not be entered, or a name that is too long
        return False
