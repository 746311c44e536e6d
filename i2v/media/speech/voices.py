"""Which voices can speak here. Light: no library of speech is loaded.

espeak-ng is the package espeakng-loader or the system's library. Piper's voices are files that people put
into the folder `voices` of the models folder: NAME.onnx with NAME.onnx.json beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.core.settings import ModelSettings
from i2v.core.sound import Narration

ESPEAK_PACKAGE, PIPER_PACKAGE = "espeakng-loader", "piper-tts"


@dataclass(frozen=True)
class Voice:
    """Who speaks: `path` is the file of a voice of Piper, `None` for espeak-ng; `language` is espeak-ng's."""

    language: str
    path: Path | None = None

    @property
    def package(self) -> str:
        return ESPEAK_PACKAGE if self.path is None else PIPER_PACKAGE


def voice_folder(models: ModelSettings) -> Path:
    return models.directory / "voices"


def voice_names(models: ModelSettings) -> list[str]:
    """Return the names of Piper's voices that are there, in the order of the alphabet."""
    files = voice_folder(models).glob("*.onnx")
    return sorted(path.stem for path in files if path.with_name(f"{path.name}.json").is_file())


def has_espeak(
    find: Callable[[str], object] = find_spec, find_system: Callable[[str], str | None] = find_library
) -> bool:
    return find("espeakng_loader") is not None or find_system("espeak-ng") is not None


def find_voice(narration: Narration, models: ModelSettings) -> Voice:
    """Return who speaks; raise `InvalidRequest` (`narration.*`) with the fix where nobody can."""
    if not narration.voice:
        if not has_espeak():
            raise InvalidRequest("narration.no_espeak")
        return Voice("cmn" if narration.language == "zh-CN" else "en")
    if find_spec("piper") is None:
        raise InvalidRequest("narration.no_piper", voice=narration.voice)
    names = voice_names(models)
    if narration.voice not in names:
        raise InvalidRequest(
            "narration.unknown_voice",
            value=narration.voice,
            folder=shown(str(voice_folder(models)), limit=300),
            allowed=", ".join(names) or "none",
        )
    return Voice(narration.language, voice_folder(models) / f"{narration.voice}.onnx")
