"""The sound of a clip: what comes with the request, and what the engine makes itself, as one.

Owns what is prepared before an engine starts, so that a file that is lost is found before hours of work.
Deliberately does not know frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import InvalidRequest
from i2v.core.schema import Generation
from i2v.core.sound import Track
from i2v.media.audio.files import samples_digest
from i2v.media.audio.mix import mixed
from i2v.media.audio.track import track_sound
from i2v.media.sound import Sound


@dataclass(frozen=True)
class Soundtrack:
    """What is beside the frames, but for the engine's own sound.

    Attributes:
        seconds: how long the clip is.
        track: the user's file as it is used.
        track_md5: of all the file's samples; "" where there is none.
    """

    seconds: float
    track: Sound | None = None
    track_md5: str = ""

    def with_own(self, own: Sound | None) -> Sound | None:
        """Return all of it, with what the engine has made; `None` where the clip has no sound.

        Raises as `filtered` does.
        """
        sounds = [sound for sound in (self.track, own) if sound is not None]
        return mixed(sounds, self.seconds) if len(sounds) > 1 else next(iter(sounds), None)


SILENCE = Soundtrack(0)


def prepare_soundtrack(generation: Generation, track: Path | None) -> Soundtrack:
    """Return what goes beside the frames of `generation`.

    track: the file that was kept of the user's sound.

    Raises `InvalidRequest` (`job.sound_lost`, `sound.unreadable`), `EncodeError`.
    """
    seconds = generation.num_frames / generation.fps
    if generation.sound is None or track is None:
        return Soundtrack(seconds)
    try:
        sound = track_sound(track, generation.sound, seconds)
        return Soundtrack(seconds, sound, samples_digest(track))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidRequest("job.sound_lost", path=str(track), reason=reason) from error


def check_start(track: Track, seconds: float) -> None:
    """Raise `InvalidRequest` where nothing is left of a file of `seconds`."""
    if track.start >= seconds:
        allowed = f"less than {seconds:.2f}, the seconds of the sound"
        raise InvalidRequest(
            "request.invalid", field="sound.start", value=f"{track.start:g}", allowed=allowed
        )
