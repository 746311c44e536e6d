"""A voice of Piper (VITS networks in ONNX), to be used in a process of its own."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from piper import PiperVoice, SynthesisConfig

from i2v.media.sound import Sound


class Piper:
    """Speaks the language of the voice at `path`, NAME.onnx; its JSON lies beside it."""

    def __init__(self, path: Path) -> None:
        self._voice = PiperVoice.load(path)
        self._name = path.stem

    @property
    def version(self) -> str:
        return f"piper {version('piper-tts')}, voice {self._name}"

    def speak(self, text: str, speed: float) -> Sound:
        """Return `text` spoken at `speed`, 1 as the voice has it."""
        scale = self._voice.config.length_scale / speed
        chunks = list(self._voice.synthesize(text, SynthesisConfig(length_scale=scale)))
        pieces = [np.asarray(chunk.audio_float_array, np.float32).reshape(-1) for chunk in chunks]
        samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        return Sound(samples[:, None], self._voice.config.sample_rate)
