"""The same sound at another loudness (EBU R 128): ffmpeg's `loudnorm` in two passes.

Deliberately does not know what the sound is for.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np

from i2v.core.errors import EncodeError
from i2v.media.audio.filters import filtered
from i2v.media.sound import Sound

TARGET = -16.0  # LUFS
PEAK = -1.5  # dBTP, which nothing exceeds
RANGE = 20.0  # LU from quiet to loud, beyond which `loudnorm` makes the range less
SHORT = 3.0  # seconds, below which `loudnorm` stops at the peaks instead of limiting them
# level: it would be made as loud as the limit otherwise; latency: not to come later by its look ahead
LIMITER = f"alimiter=limit={10 ** (PEAK / 20):.4f}:level=false:latency=true"
_WANTED = f"I={TARGET:g}:TP={PEAK:g}:LRA={RANGE:g}"


def normalised(sound: Sound) -> Sound:
    """Return the sound at `TARGET`, as long as before; silence, and what is too short to measure, as it is.

    One gain for all of it, unless its peaks would exceed `PEAK`: then `loudnorm` limits them.

    Raises as `filtered` does.
    """
    found = _measured(sound)
    if not math.isfinite(found["input_i"]):
        return sound
    if found["input_i"] > -1:  # more than 0 is no loudness to `loudnorm`
        return normalised(replace(sound, samples=sound.samples * np.float32(0.5)))
    if sound.seconds < SHORT:
        return _brought_up(sound, found["input_i"])
    names = {"I": "i", "TP": "tp", "LRA": "lra", "thresh": "thresh"}
    measured = ":".join(f"measured_{name}={found[f'input_{key}']:g}" for name, key in names.items())
    offset = f"offset={found['target_offset']:g}"
    louder, _ = filtered([sound], f"[0:a]loudnorm={_WANTED}:{measured}:{offset}:linear=true")
    return louder.fitted(sound.seconds)


def _brought_up(sound: Sound, loudness: float) -> Sound:
    """Return a short sound at `TARGET`: by a gain, and where limited peaks took some of it, by one more."""
    for _ in range(2):
        sound = limited(replace(sound, samples=sound.samples * np.float32(10 ** ((TARGET - loudness) / 20))))
        loudness = _measured(sound)["input_i"]
        if abs(TARGET - loudness) < 0.5:
            break
    return sound


def limited(sound: Sound) -> Sound:
    """Return the sound with peaks above `PEAK` made less; raises as `filtered` does."""
    return filtered([sound], f"[0:a]{LIMITER}")[0].fitted(sound.seconds)


def at_volume(sound: Sound, volume: float) -> Sound:
    """Return the sound `volume` times as loud as `TARGET`; raises as `filtered` does."""
    return with_gain(normalised(sound), volume)


def with_gain(sound: Sound, factor: float) -> Sound:
    """Return the sound times `factor`; peaks that get higher are limited. Raises as `filtered` does."""
    if factor == 1:
        return sound
    louder = replace(sound, samples=sound.samples * np.float32(factor))
    return limited(louder) if factor > 1 else louder


def _measured(sound: Sound) -> dict[str, float]:
    """Return what the first pass finds."""
    log = filtered([sound], f"[0:a]loudnorm={_WANTED}:print_format=json")[1]
    found = re.search(r"\{[^{}]*\}", log[log.find("Parsed_loudnorm") :])
    if found is None:
        raise EncodeError("sound.filter_failed", reason="loudnorm has measured nothing")
    return {
        name: float(value) for name, value in json.loads(found[0]).items() if name != "normalization_type"
    }
