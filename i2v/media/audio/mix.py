"""Several sounds as one, quieter while somebody speaks, none of its peaks too high.

Deliberately does not know where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence

from i2v.media.audio.files import CHANNELS, SAMPLE_RATE
from i2v.media.audio.filters import filtered
from i2v.media.audio.loudness import LIMITER
from i2v.media.sound import Sound

_FORM = f"aformat=sample_rates={SAMPLE_RATE}:channel_layouts=stereo"
# Speech at -16 LUFS takes some 12 dB off what is below it; a second after it, that is as loud as before.
DUCKING = "sidechaincompress=threshold=0.03:ratio=8:attack=20:release=500"


def mixed(beds: Sequence[Sound], speech: Sound | None, seconds: float) -> Sound:
    """Return the sounds, each as loud as it is, as one of `seconds`: 48 kHz, stereo, peaks limited.

    beds: what gets quieter under `speech`.

    Raises as `filtered` does.
    """
    sounds = [*beds, *([] if speech is None else [speech.fitted(seconds)])]
    parts = [f"[{number}:a]{_FORM}[a{number}]" for number in range(len(sounds))]
    names = "".join(f"[a{number}]" for number in range(len(beds)))
    together = "amix=inputs={}:duration=longest:normalize=0"
    if speech is None:
        parts.append(f"{names}{together.format(len(beds))},{LIMITER}")
    elif not beds:
        parts.append(f"[a0]{LIMITER}")
    else:
        parts.append(f"{names}{together.format(len(beds))},apad=whole_dur={seconds:.6f}[bed]")
        parts.append(f"[a{len(beds)}]asplit[voice][key]")
        parts.append(f"[bed][key]{DUCKING}[below]")
        parts.append(f"[below][voice]{together.format(2)},{LIMITER}")
    sound, _ = filtered(sounds, ";".join(parts), SAMPLE_RATE, CHANNELS)
    return sound.fitted(seconds)
