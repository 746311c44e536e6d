"""espeak-ng by its library (speak_lib.h), for a process of its own: it keeps its state in globals."""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from i2v.media.sound import Sound

_RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: samples are handed over, none is played
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_UTF8 = 1  # espeakCHARS_UTF8; without espeakSSML and espeakPHONEMES, marks are text like any other
_RATE, _USUAL_RATE = 1, 175  # espeakRATE, words a minute
_BOUNDS = (80, 450)  # of that rate
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """Speaks a language, by espeak-ng's name for it ("en", "cmn")."""

    def __init__(self, language: str) -> None:
        """Raises `OSError`, `RuntimeError`: the library cannot be used, or lacks the language."""
        path, data = _files()
        self._library = ctypes.CDLL(path)
        self._rate: int = self._library.espeak_Initialize(_RETRIEVAL, 0, data, _DONT_EXIT)
        if self._rate <= 0:
            raise RuntimeError("espeak-ng cannot find its data")
        if self._library.espeak_SetVoiceByName(language.encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice for {language}")
        self._library.espeak_Info.restype = ctypes.c_char_p

    @property
    def version(self) -> str:
        return f"espeak-ng {(self._library.espeak_Info(None) or b'').decode().split(' ')[0]}"

    def speak(self, text: str, speed: float) -> Sound:
        """Return `text` spoken at `speed`, 1 as usual."""
        pieces: list[bytes] = []

        def take(samples: ctypes._Pointer[ctypes.c_short], count: int, events: int | None) -> int:
            if samples and count > 0:
                pieces.append(ctypes.string_at(samples, 2 * count))
            return 0

        callback = _CALLBACK(take)  # kept until the end: the library calls it
        self._library.espeak_SetSynthCallback(callback)
        low, high = _BOUNDS
        self._library.espeak_SetParameter(_RATE, round(min(max(_USUAL_RATE * speed, low), high)), 0)
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.frombuffer(b"".join(pieces), "<i2").astype(np.float32) / np.float32(2**15)
        return Sound(samples[:, None], self._rate)


def _files() -> tuple[str, bytes | None]:
    """Return the library and the folder above its data; `None`: the library knows."""
    if find_spec("espeakng_loader") is not None:
        import espeakng_loader

        return espeakng_loader.get_library_path(), str(Path(espeakng_loader.get_data_path()).parent).encode()
    found = find_library("espeak-ng")
    if found is None:
        raise OSError("espeak-ng is not installed")
    return found, None
