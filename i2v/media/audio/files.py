"""Sound files from strangers: read once by ffmpeg in a process with limits, and kept as WAV of the samples.

The kind is told by the file's first bytes, and only that reader and the decoders of such files are allowed:
no playlist is followed, no other file or address is opened, and pictures and tags inside are left behind.
WAV, since ffmpeg took half a minute for ten of FLAC where it took a second for WAV. Deliberately does not
know where files are kept, nor what they are for.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from i2v.core.errors import DISK_FULL, EncodeError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.settings import SoundSettings
from i2v.media.sound import Sound
from i2v.media.video.program import Limits, run_ffmpeg
from i2v.media.video.soundtrack import memory_file

SAMPLE_RATE, CHANNELS, WIDTH = 48_000, 2, 2  # of a kept file; the last: bytes of a sample
KINDS = "MP3, M4A, WAV, FLAC or Ogg (Vorbis, Opus)"
MEMORY = 2**29  # bytes that ffmpeg may have; ten minutes take a tenth
CPU_SECONDS, CLOCK_SECONDS = 60, 120
_HEADER = 44  # bytes
_DECODERS = (
    "mp3,mp3float,aac,alac,flac,vorbis,opus,pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le"
    ",pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav"
)


@dataclass(frozen=True)
class SoundLimits:
    """What is let in: bytes of a file, and seconds that it lasts."""

    max_bytes: int
    max_seconds: float

    @classmethod
    def of(cls, settings: SoundSettings) -> Self:
        return cls(round(settings.max_megabytes * 1e6), settings.max_seconds)

    def check_bytes(self, count: int, is_wave: bool) -> None:
        """Raise `InvalidRequest` (`sound.too_many_bytes`)."""
        kept = self.max_seconds * SAMPLE_RATE * CHANNELS * WIDTH + _HEADER
        if count > max(self.max_bytes, kept if is_wave else 0):  # what was kept may come once more
            raise InvalidRequest(
                "sound.too_many_bytes",
                megabytes=round(count / 1e6, 1),
                allowed=round(self.max_bytes / 1e6, 1),
            )


def keep_sound(data: bytes, limits: SoundLimits, output: Path) -> float:
    """Keep the sound file `data` as `output`, which is on the disk when this returns; return its seconds.

    Raises what follows, and may leave an unfinished file then:
        InvalidRequest: `sound.*`: it is none of `KINDS`, cannot be read, or goes beyond `limits`.
        EncodeError: `sound.not_stored`, `sound.no_space`, `encode.no_ffmpeg`.
    """
    limits.check_bytes(len(data), data.startswith(b"RIFF"))
    reader = _reader_of(data)
    with memory_file() as file:
        file.write(data)
        file.flush()
        done = _run(
            *("-y", "-v", "error", "-nostats", "-progress", "pipe:1"),
            *("-f", reader, "-protocol_whitelist", "file", "-codec_whitelist", _DECODERS),
            *("-i", f"/dev/fd/{file.fileno()}", "-map", "0:a:0"),
            *("-map_metadata", "-1", "-map_chapters", "-1"),
            *("-t", f"{limits.max_seconds + 1:.3f}", "-ar", str(SAMPLE_RATE), "-ac", str(CHANNELS)),
            *("-c:a", "pcm_s16le", "-flags", "+bitexact", "-fflags", "+bitexact", "-f", "wav"),
            f"file:{output.absolute()}",
            files=(file.fileno(),),
        )
    if done.returncode != 0:
        raise _failure(done, output)
    times = re.findall(rb"^out_time_us=(\d+)", done.stdout, re.MULTILINE)
    seconds = int(times[-1]) / 1e6 if times else 0.0
    if seconds <= 0:
        raise InvalidRequest("sound.unreadable", reason="there is no sound in it")
    if seconds > limits.max_seconds:
        raise InvalidRequest("sound.too_long", allowed=limits.max_seconds)
    with output.open("rb") as kept:
        os.fsync(kept.fileno())
    return seconds


def read_part(path: Path, start: float, seconds: float) -> Sound:
    """Return up to `seconds` of the kept file from `start` on, both in seconds.

    Raises `OSError` where it cannot be opened, `InvalidRequest` (`sound.unreadable`) if it is not what it
    was.
    """
    try:
        with wave.open(str(path)) as file:
            form = file.getframerate(), file.getnchannels(), file.getsampwidth()
            if form != (SAMPLE_RATE, CHANNELS, WIDTH):
                raise wave.Error("it is not in the form of kept sounds")
            file.setpos(min(round(start * SAMPLE_RATE), file.getnframes()))
            data = file.readframes(round(seconds * SAMPLE_RATE))
    except (wave.Error, EOFError) as error:
        raise InvalidRequest("sound.unreadable", reason=str(error) or "it is cut off") from error
    samples = np.frombuffer(data[: len(data) // 4 * 4], "<i2").astype(np.float32) / np.float32(2**15)
    return Sound(samples.reshape(-1, CHANNELS), SAMPLE_RATE)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the kept file in hexadecimal; besides samples there is only its header in it.

    Raises `OSError`.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reader_of(data: bytes) -> str:
    """Return ffmpeg's name of the format; raise `InvalidRequest` (`sound.unknown_kind`)."""
    begin = data[:12]
    if begin[:4] == b"RIFF" and begin[8:] == b"WAVE":
        return "wav"
    if begin[4:8] == b"ftyp":
        return "mov"
    for mark, reader in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3")):
        if begin.startswith(mark):
            return reader
    # an MPEG frame's header: eleven bits that are set, and a layer, which AAC by itself has not
    if len(begin) > 1 and begin[0] == 0xFF and begin[1] & 0xE0 == 0xE0 and begin[1] & 0x06:
        return "mp3"
    raise InvalidRequest("sound.unknown_kind", allowed=KINDS)


def _run(*arguments: str, files: Sequence[int]) -> subprocess.CompletedProcess[bytes]:
    try:
        return run_ffmpeg(*arguments, timeout=CLOCK_SECONDS, limits=Limits(MEMORY, CPU_SECONDS), files=files)
    except subprocess.TimeoutExpired as error:
        raise InvalidRequest("sound.too_slow", allowed=CLOCK_SECONDS) from error


def _failure(done: subprocess.CompletedProcess[bytes], output: Path) -> InvalidRequest | EncodeError:
    said = done.stderr.decode(errors="replace")
    if done.returncode == -signal.SIGXCPU:
        return InvalidRequest("sound.too_slow", allowed=CPU_SECONDS)
    full = next((number for number in DISK_FULL if os.strerror(number) in said), None)
    if full is not None:
        return EncodeError("sound.no_space", path=str(output.parent), reason=os.strerror(full))
    if not os.access(output.parent, os.W_OK):  # nor if it is not there
        return EncodeError("sound.not_stored", path=str(output.parent), reason=_words(done))
    return InvalidRequest("sound.unreadable", reason=_words(done))


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what ffmpeg says first, without what tells nothing outside of it."""
    first = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    first = re.sub(r"^(\[[^\]]*\] )+|/dev/fd/\d+: ", "", first)
    first = re.sub(r" not on whitelist .*", " is not one that is read", first)
    return shown(first.rstrip(".!"), limit=200) if first else f"ffmpeg ended with status {done.returncode}"
