"""The same sound at another loudness (EBU R 128): ffmpeg's `loudnorm` in two passes.

Deliberately does not know what the sound is for.
"""

from __future__ import annotations

import json
import math
import re

from i2v.core.errors import EncodeError
from i2v.media.audio.filters import filtered
from i2v.media.sound import Sound

TARGET = -16.0  # LUFS
PEAK = -1.5  # dBTP, which nothing exceeds
RANGE = 20.0  # LU from quiet to loud, beyond which `loudnorm` makes the range less
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
    names = {"I": "i", "TP": "tp", "LRA": "lra", "thresh": "thresh"}
    measured = ":".join(f"measured_{name}={found[f'input_{key}']:g}" for name, key in names.items())
    offset = f"offset={found['target_offset']:g}"
    louder, _ = filtered([sound], f"[0:a]loudnorm={_WANTED}:{measured}:{offset}:linear=true")
    return louder.fitted(len(sound.samples) / sound.sample_rate)


def limited(sound: Sound) -> Sound:
    """Return the sound with peaks above `PEAK` made less; raises as `filtered` does."""
    return filtered([sound], f"[0:a]{LIMITER}")[0].fitted(len(sound.samples) / sound.sample_rate)


def _measured(sound: Sound) -> dict[str, float]:
    """Return what the first pass finds."""
    log = filtered([sound], f"[0:a]loudnorm={_WANTED}:print_format=json")[1]
    found = re.search(r"\{[^{}]*\}", log[log.find("Parsed_loudnorm") :])
    if found is None:
        raise EncodeError("sound.filter_failed", reason="loudnorm has measured nothing")
    return {
        name: float(value) for name, value in json.loads(found[0]).items() if name != "normalization_type"
    }
