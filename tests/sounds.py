"""Sound files for tests, and how loud a sound is by ffmpeg's own meter."""

from __future__ import annotations

import re
import subprocess
from functools import cache

import imageio_ffmpeg

from i2v.media.sound import Sound

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
READERS = {"mp3": "mp3", "m4a": "ipod", "wav": "wav", "flac": "flac", "ogg": "ogg"}  # the last: Vorbis


@cache
def sound_file(kind: str = "wav", seconds: float = 2.0, volume: float = 0.2, cover: bool = False) -> bytes:
    """Return a tone as a file of that kind; with `cover`, with a picture in it, as music has."""
    command = ["-v", "error", "-f", "lavfi", "-i", f"sine=440:duration={seconds}:sample_rate=44100"]
    if cover:
        command += ["-f", "lavfi", "-i", "color=red:size=64x64:rate=1:duration=1", "-map", "0", "-map", "1"]
        command += ["-c:v", "png", "-disposition:v", "attached_pic"]
    command += ["-metadata", "title=secret", "-filter:a", f"volume={8 * volume}", "-f", READERS[kind]]
    if kind == "m4a":
        command += ["-movflags", "frag_keyframe+empty_moov"]  # a pipe cannot be sought in
    return subprocess.run([FFMPEG, *command, "-"], capture_output=True, check=True).stdout


def loudness(sound: Sound) -> tuple[float, float]:
    """Return the integrated loudness in LUFS and the true peak in dBFS, by ebur128."""
    command = [FFMPEG, "-f", "f32le", "-ar", str(sound.sample_rate), "-ac", str(sound.channels), "-i", "-"]
    command += ["-af", "ebur128=peak=true", "-f", "null", "-"]
    done = subprocess.run(command, input=sound.samples.tobytes(), capture_output=True, check=True)
    summary = done.stderr.decode().rpartition("Summary:")[2]
    found = re.findall(r"(?:I|Peak):\s+(-?[\d.]+|-inf) (?:LUFS|dBFS)", summary)
    return float(found[0]), float(found[1])
