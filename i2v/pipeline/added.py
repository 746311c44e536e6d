"""The LoRAs and the checkpoint that a clip is made with: found by name, held to the model, and hashed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.schema import Generation, shown
from i2v.core.settings import ModelSettings
from i2v.weights.added_files import find_added
from i2v.weights.checkpoints import check_checkpoint, checkpoint_files
from i2v.weights.folders import locate
from i2v.weights.loras import LoraFile, check_lora
from i2v.weights.records import RECORDS, Digests, hash_file


@dataclass(frozen=True)
class Added:
    """What comes to the model's own weights, each with its SHA-256 in hexadecimal."""

    checkpoint: Path | None = None
    loras: tuple[LoraFile, ...] = ()
    checkpoint_sha256: str = ""


NOTHING_ADDED = Added()


def check_added(generation: Generation, spec: EngineSpec, models: ModelSettings) -> None:
    """Raise `InvalidRequest` where a named file is not there, or does not fit the model, with what it is.

    Reads headers only.
    """
    if not generation.checkpoint and not generation.loras:
        return
    folder = locate(spec, models).path
    if generation.checkpoint:
        path = find_added("checkpoints", generation.checkpoint, models)
        check_checkpoint(spec, folder, path, generation.checkpoint)
    for lora in generation.loras:
        check_lora(spec, folder, find_added("loras", lora.name, models), lora.name)


def find_files(generation: Generation, models: ModelSettings) -> Added:
    """Return the files, with digests that are computed once for each; raises `InvalidRequest`."""
    if not generation.checkpoint and not generation.loras:
        return NOTHING_ADDED
    try:
        return _found(generation, models)
    except (OSError, ValueError) as error:  # taken away since it was checked
        value = shown(generation.checkpoint or generation.loras[0].name)
        reason = shown(str(error), 200)
        code = "checkpoint.unreadable" if generation.checkpoint else "lora.unreadable"
        raise InvalidRequest(code, value=value, reason=reason) from error


def _found(generation: Generation, models: ModelSettings) -> Added:
    digests, loras = Digests(models.directory / RECORDS), list[LoraFile]()
    for lora in generation.loras:
        path = find_added("loras", lora.name, models)
        loras.append(LoraFile(path, lora.strength, _digest(path, digests)))
    checkpoint, digest = None, ""
    if generation.checkpoint:
        checkpoint = find_added("checkpoints", generation.checkpoint, models)
        files = checkpoint_files(checkpoint)
        parts = {part: _digest(path, digests) for part, path in files.items()}
        digest = (
            parts[""] if "" in parts else hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()
        )
    digests.save()
    return Added(checkpoint, tuple(loras), digest)


def _digest(path: Path, digests: Digests) -> str:
    known = digests.known(path)
    if known is None:
        known = hash_file(path).sha256
        digests.keep(path, known)
    return known
