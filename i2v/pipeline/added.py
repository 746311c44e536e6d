"""The LoRAs and the checkpoint that a clip is made with, and the model that reads its style picture.

All are found, held to what they must be, and hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from i2v.core.engine_spec import EngineSpec, Preset
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.fields import shown
from i2v.core.generation import Generation
from i2v.core.inputs import StyleImage
from i2v.core.loras import MAX_LORAS, Lora
from i2v.core.model_spec import ModelSpec
from i2v.core.schema import PresetName
from i2v.core.settings import ModelSettings
from i2v.core.styles import LORA_STRENGTH, lora_of
from i2v.weights.added_files import added_files, find_added
from i2v.weights.checkpoints import check_checkpoint, checkpoint_files
from i2v.weights.folders import locate, require_weights
from i2v.weights.loras import LoraFile, check_lora
from i2v.weights.records import RECORDS, Digests, hash_file, records_folder, weights_digest


@dataclass(frozen=True)
class Added:
    """What comes to the model's own weights, each with its SHA-256 in hexadecimal.

    style_model: the folder of the model that reads the style picture; `None` where there is no such picture.
    """

    checkpoint: Path | None = None
    loras: tuple[LoraFile, ...] = ()
    checkpoint_sha256: str = ""
    style_model: Path | None = None
    style_model_sha256: str = ""


NOTHING_ADDED = Added()


def missing_of(preset: Preset, models: ModelSettings) -> tuple[str, ...]:
    """Return the names of the LoRAs that the preset cannot do without and that are not there."""
    if not preset.loras:
        return ()
    there = added_files("loras", models)
    return tuple(lora.name for lora in preset.loras if lora.name not in there)


def with_presets_there(spec: EngineSpec, models: ModelSettings) -> EngineSpec:
    """Return `spec` without offers of presets whose LoRAs are not there."""
    absent = {name for name, preset in spec.presets.items() if missing_of(preset, models)}
    if absent.isdisjoint(spec.offered):
        return spec
    return replace(spec, offered=tuple(name for name in spec.offered if name not in absent))


def check_preset(spec: EngineSpec, name: PresetName, models: ModelSettings) -> None:
    """Raise `InvalidRequest` where the preset's LoRAs are not there, naming them and where they belong."""
    preset = spec.presets.get(name)
    missing = () if preset is None else missing_of(preset, models)
    if missing:
        files = ", ".join(f"{each}.safetensors" for each in missing)
        folder = shown(str(models.directory / "loras"), limit=300)
        raise InvalidRequest(
            "preset.missing_loras", value=name, title=spec.title, files=files, folder=folder,
            source=spec.lora_source,
        )  # fmt: skip


def check_added(generation: Generation, spec: EngineSpec, models: ModelSettings) -> None:
    """Raise `InvalidRequest` where a named file is not there, or does not fit the model, with what it is.

    Reads headers only. Raises `ModelUnavailable` where the model that reads its style picture is not there.
    """
    style = _style_model(generation, spec)
    if style is not None:
        require_weights(style, models)
    if not generation.checkpoint and not generation.loras:
        return
    folder = locate(spec, models).path
    if generation.checkpoint:
        path = find_added("checkpoints", generation.checkpoint, models)
        check_checkpoint(spec, folder, path, generation.checkpoint)
    for lora in generation.loras:
        check_lora(spec, folder, find_added("loras", lora.name, models), lora.name)


def add_style_lora(
    generation: Generation, spec: EngineSpec, models: ModelSettings
) -> tuple[Generation, tuple[Notice, ...]]:
    """Have the LoRA of the clip's style with the others, where the engine takes some and it is there."""
    if generation.style is None or not spec.capabilities.loras or len(generation.loras) >= MAX_LORAS:
        return generation, ()
    name = lora_of(generation.style)
    if name in [lora.name for lora in generation.loras] or name not in added_files("loras", models):
        return generation, ()
    lora = Lora(name, LORA_STRENGTH)
    said = Notice("style.lora", {"name": name, "strength": LORA_STRENGTH})
    return replace(generation, loras=(*generation.loras, lora)), (said,)


def find_files(generation: Generation, spec: EngineSpec, models: ModelSettings) -> Added:
    """Return the files, with digests that are computed once for each; raises as `check_added` does.

    They are checked once more: since the job was submitted, a file may have been removed or replaced.
    """
    style = _style_model(generation, spec)
    if not generation.checkpoint and not generation.loras and style is None:
        return NOTHING_ADDED
    check_added(generation, spec, models)
    digests, loras = Digests(models.directory / RECORDS), list[LoraFile]()
    for lora in generation.loras:
        path = find_added("loras", lora.name, models)
        with _reading("lora.unreadable", lora.name):
            loras.append(LoraFile(path, lora.strength, _digest(path, digests), lora.strength_2))
    checkpoint, digest = None, ""
    if generation.checkpoint:
        checkpoint = find_added("checkpoints", generation.checkpoint, models)
        with _reading("checkpoint.unreadable", generation.checkpoint):
            digest = _digest_of_all(checkpoint_files(checkpoint), digests)
    digests.save()
    added = Added(checkpoint, tuple(loras), digest)
    if style is None:
        return added
    folder = require_weights(style, models)
    style_digest = weights_digest(style, folder, records_folder(folder, models))
    return replace(added, style_model=folder, style_model_sha256=style_digest)


def _style_model(generation: Generation, spec: EngineSpec) -> ModelSpec | None:
    """Return the model that reads the clip's style picture; `None` without one, or where the engine does."""
    has_style = any(isinstance(picture, StyleImage) for picture in generation.inputs)
    return spec.input_models.get("style_image") if has_style else None


@contextmanager
def _reading(code: str, name: str) -> Iterator[None]:
    """Raise `InvalidRequest` with the code and the file's name where it cannot be read."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise InvalidRequest(code, value=shown(name), reason=shown(str(error), 200)) from error


def _digest_of_all(files: Mapping[str, Path], digests: Digests) -> str:
    """Return the digest of a checkpoint: of its file, or of the list of its parts' digests."""
    parts = {part: _digest(path, digests) for part, path in files.items()}
    if "" in parts:
        return parts[""]
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()


def _digest(path: Path, digests: Digests) -> str:
    known = digests.known(path)
    if known is None:
        known = hash_file(path).sha256
        digests.keep(path, known)
    return known
