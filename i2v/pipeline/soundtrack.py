"""The sound of a clip: what comes with the request, and what the engine makes itself, as one.

Owns what is prepared before an engine starts, so that a file that is lost, or a text that is too long, is
found before hours of work. Deliberately does not know frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.settings import ModelSettings
from i2v.core.sound import Narration, Track
from i2v.media.audio.files import file_digest
from i2v.media.audio.loudness import at_volume
from i2v.media.audio.mix import mixed
from i2v.media.audio.track import track_sound
from i2v.media.sound import Sound
from i2v.media.speech.process import Speech, speak
from i2v.media.speech.voices import Voice, find_voice

SLOWEST, FASTEST = 0.8, 1.5  # beside the usual speed, where speech has to fit a clip


@dataclass(frozen=True)
class Soundtrack:
    """What is beside the frames, but for the engine's own sound.

    Attributes:
        seconds: how long the clip is, with the last frame held to the end of what is spoken.
        track: the user's file as it is used.
        track_sha256: of the kept file; "" where there is none.
        speech: what is spoken, as loud as it is in the clip.
        speaker: by whom; "" where nobody speaks.
        notices: what to know of it.
    """

    seconds: float
    track: Sound | None = None
    track_sha256: str = ""
    speech: Sound | None = None
    speaker: str = ""
    notices: tuple[Notice, ...] = ()

    def with_own(self, own: Sound | None) -> Sound | None:
        """Return all of it, with what the engine has made; `None` where the clip has no sound.

        Raises as `filtered` does.
        """
        beds = [sound for sound in (self.track, own) if sound is not None]
        if self.speech is None and len(beds) < 2:
            return next(iter(beds), None)
        return mixed(beds, self.speech, self.seconds)


SILENCE = Soundtrack(0)


def prepare_soundtrack(generation: Generation, track: Path | None, models: ModelSettings) -> Soundtrack:
    """Return what goes beside the frames of `generation`.

    track: the file that was kept of the user's sound.

    Raises `InvalidRequest` (`job.sound_lost`, `sound.unreadable`, `narration.*`), `EncodeError`.
    """
    seconds = generation.seconds
    speech, speaker, notices = None, "", list[Notice]()
    if generation.narration is not None:
        spoken = _spoken(generation.narration, find_voice(generation.narration, models), seconds)
        if generation.narration.fit == "hold" and spoken.seconds > seconds:
            notices.append(Notice("narration.held", {"seconds": round(spoken.seconds - seconds, 1)}))
            seconds = spoken.seconds
        speech, speaker = at_volume(spoken.sound, generation.narration.volume), spoken.speaker
    if generation.sound is None or track is None:
        return Soundtrack(seconds, speech=speech, speaker=speaker, notices=tuple(notices))
    try:
        sound = track_sound(track, generation.sound, seconds)
        return Soundtrack(seconds, sound, file_digest(track), speech, speaker, tuple(notices))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidRequest("job.sound_lost", path=str(track), reason=reason) from error


def check_narration(generation: Generation, models: ModelSettings) -> None:
    """Raise `InvalidRequest` (`narration.*`) where nobody here can speak the text."""
    if generation.narration is not None:
        find_voice(generation.narration, models)


def check_start(track: Track, seconds: float) -> None:
    """Raise `InvalidRequest` where nothing is left of a file of `seconds`."""
    if track.start >= seconds:
        allowed = f"less than {seconds:.2f}, the seconds of the sound"
        raise InvalidRequest(
            "request.invalid", field="sound.start", value=f"{track.start:g}", allowed=allowed
        )


def _spoken(narration: Narration, voice: Voice, seconds: float) -> Speech:
    """Return the speech; where it has to fill the clip, spoken again as much faster or slower."""
    speech = speak(voice, narration.text)
    if narration.fit == "hold":
        return speech
    speed = 1.0
    for _ in range(2):  # a voice's pauses follow the speed only roughly
        speed *= speech.seconds / seconds
        if speed > FASTEST:
            least = round(speed * seconds / FASTEST, 1)
            raise InvalidRequest("narration.too_long", seconds=round(seconds, 1), least=least)
        speech = speak(voice, narration.text, max(speed, SLOWEST))
        if speed <= SLOWEST or abs(speech.seconds - seconds) < 0.05 * seconds:
            break
    return speech
