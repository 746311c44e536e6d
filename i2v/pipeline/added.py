"""The LoRAs and the checkpoint that a clip is made with: found by name, held to the model, and hashed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Generation
from i2v.core.settings import ModelSettings
from i2v.weights.added_files import find_added
from i2v.weights.checkpoints import check_checkpoint, checkpoint_files
from i2v.weights.folders import locate
from i2v.weights.loras import LoraFile, check_lora
from i2v.weights.records import RECORDS, Digests, hash_file


@dataclass(frozen=True)
class Added:
    """What comes to the model's own weights, each with its SHA-256 in hexadecimal, in the same order."""

    checkpoint: Path | None = None
    loras: tuple[LoraFile, ...] = ()
    checkpoint_sha256: str = ""
    loras_sha256: tuple[str, ...] = ()


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
    """Return the files, with digests that are computed once for each; raises `InvalidRequest`, `OSError`."""
    if not generation.checkpoint and not generation.loras:
        return NOTHING_ADDED
    digests = Digests(models.directory / RECORDS)
    loras = tuple(
        LoraFile(find_added("loras", lora.name, models), lora.strength) for lora in generation.loras
    )
    checkpoint, digest = None, ""
    if generation.checkpoint:
        checkpoint = find_added("checkpoints", generation.checkpoint, models)
        files = checkpoint_files(checkpoint)
        parts = {part: _digest(path, digests) for part, path in files.items()}
        digest = (
            parts[""] if "" in parts else hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()
        )
    found = Added(checkpoint, loras, digest, tuple(_digest(file.path, digests) for file in loras))
    digests.save()
    return found


def _digest(path: Path, digests: Digests) -> str:
    known = digests.known(path)
    if known is None:
        known = hash_file(path).sha256
        digests.keep(path, known)
    return known
