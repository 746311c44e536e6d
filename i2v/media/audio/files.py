"""Sound files from strangers: read once by ffmpeg in a process with limits, and kept as FLAC of the samples.

The kind is told by the file's first bytes, and only that reader and the decoders of such files are allowed:
no playlist is followed, no other file or address is opened, and pictures and tags inside are left behind.
Deliberately does not know where files are kept, nor what they are for.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from i2v.core.errors import DISK_FULL, EncodeError, InvalidRequest
from i2v.core.schema import shown
from i2v.core.settings import SoundSettings
from i2v.media.sound import Sound
from i2v.media.video.program import Limits, run_ffmpeg
from i2v.media.video.soundtrack import memory_file

SAMPLE_RATE, CHANNELS = 48_000, 2  # of a kept file: FLAC, 16 bits
KINDS = "MP3, M4A, WAV, FLAC or Ogg (Vorbis, Opus)"
MEMORY = 2**29  # bytes that ffmpeg may have; ten minutes take a tenth
CPU_SECONDS, CLOCK_SECONDS = 60, 120
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

    def check_bytes(self, count: int) -> None:
        """Raise `InvalidRequest` (`sound.too_many_bytes`)."""
        if count > self.max_bytes:
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
    limits.check_bytes(len(data))
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
            *("-sample_fmt", "s16", "-c:a", "flac", "-fflags", "+bitexact", "-f", "flac"),
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
    with path.open("rb") as file:
        done = _run(
            *("-v", "error", "-f", "flac", "-codec_whitelist", "flac", "-i", f"/dev/fd/{file.fileno()}"),
            *("-af", f"atrim=start={start:.6f}:duration={seconds:.6f}"),
            *("-ar", str(SAMPLE_RATE), "-ac", str(CHANNELS), "-f", "f32le", "-"),
            files=(file.fileno(),),
        )
    if done.returncode != 0:
        raise InvalidRequest("sound.unreadable", reason=_words(done))
    return Sound(np.frombuffer(done.stdout, "<f4").astype(np.float32).reshape(-1, CHANNELS), SAMPLE_RATE)


def samples_digest(path: Path) -> str:
    """Return the MD5 of the kept file's samples in hexadecimal, as FLAC's own header has it (RFC 9639, 8.2).

    Raises `OSError`.
    """
    with path.open("rb") as file:
        return file.read(42)[26:].hex()


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
    if not output.parent.is_dir() or f"file:{output.absolute()}" in said:
        return EncodeError("sound.not_stored", path=str(output.parent), reason=_words(done))
    return InvalidRequest("sound.unreadable", reason=_words(done))


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what ffmpeg says first, without what tells nothing outside of it."""
    first = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    first = re.sub(r"^(\[[^\]]*\] )+|/dev/fd/\d+: ", "", first)
    return shown(first.rstrip(".!"), limit=200) if first else f"ffmpeg ended with status {done.returncode}"
