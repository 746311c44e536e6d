"""Several sounds as one, none of its peaks too high. Deliberately does not know where they come from."""

from __future__ import annotations

from collections.abc import Sequence

from i2v.media.audio.files import CHANNELS, SAMPLE_RATE
from i2v.media.audio.filters import filtered
from i2v.media.audio.loudness import LIMITER
from i2v.media.sound import Sound


def mixed(sounds: Sequence[Sound], seconds: float) -> Sound:
    """Return `sounds`, each as loud as it is, as one of `seconds`: 48 kHz, stereo, peaks limited.

    Raises as `filtered` does.
    """
    form = f"aformat=sample_rates={SAMPLE_RATE}:channel_layouts=stereo"
    parts = [f"[{number}:a]{form}[a{number}]" for number in range(len(sounds))]
    names = "".join(f"[a{number}]" for number in range(len(sounds)))
    parts.append(f"{names}amix=inputs={len(sounds)}:duration=longest:normalize=0,{LIMITER}")
    sound, _ = filtered(sounds, ";".join(parts), SAMPLE_RATE, CHANNELS)
    return sound.fitted(seconds)
