"""The user's sound file as it goes beside a clip: the part that is used, as loud as all are, faded.

Deliberately does not know the clip, but for how long it lasts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from i2v.core.sound import Track
from i2v.media.audio.files import read_part
from i2v.media.audio.loudness import normalised, with_gain
from i2v.media.sound import Sound


def track_sound(path: Path, track: Track, seconds: float) -> Sound:
    """Return the kept file `path` as `track` says, `seconds` long.

    The loudness is that of the part that is used, before it is faded.

    Raises `OSError` where the file cannot be opened; as `read_part` and `filtered` do.
    """
    part = read_part(path, track.start, seconds)
    sound = normalised(part)
    if track.loop and len(sound.samples):
        sound = _looped(sound, seconds)
    return with_gain(_faded(sound.fitted(seconds), track), track.volume)


def _looped(sound: Sound, seconds: float) -> Sound:
    times = -(-round(seconds * sound.sample_rate) // len(sound.samples))
    return replace(sound, samples=np.tile(sound.samples, (max(1, times), 1)))


def _faded(sound: Sound, track: Track) -> Sound:
    """Return the sound with straight ramps at its ends; where they meet, both count."""
    samples, count = sound.samples.copy(), len(sound.samples)
    for seconds, is_end in ((track.fade_in, False), (track.fade_out, True)):
        length = round(seconds * sound.sample_rate)
        ramp = np.minimum(1, np.arange(count, dtype=np.float32) / max(1, length))[:, None]
        samples *= ramp[::-1] if is_end and length else ramp if length else 1
    return replace(sound, samples=samples)
