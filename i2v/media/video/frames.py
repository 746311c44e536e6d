"""All frames of a video, one after another, and its sound: to make another video of them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from i2v.core.child_environment import child_environment
from i2v.media.sound import MAX_CHANNELS, Sound
from i2v.media.video.program import broken, cannot_run, find_ffmpeg, run_ffmpeg
from i2v.media.video.reading import VideoInfo


def read_frames(video: VideoInfo) -> Generator[NDArray[np.uint8]]:
    """Yield them, uint8 of shape (1, height, width, 3) each; closing it ends ffmpeg.

    Raises `EncodeError` (`encode.no_ffmpeg`; `encode.broken` where there are fewer than there should be).
    """
    program, size = find_ffmpeg(), video.width * video.height * 3
    command = [program, "-hide_banner", "-nostdin", "-v", "level+error", "-protocol_whitelist", "file"]
    command += ["-i", f"file:{video.path}", "-map", "0:v:0", "-fps_mode", "passthrough"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=words, process_group=0, env=child_environment()
            )
        except OSError as error:
            raise cannot_run(program, error) from error
        assert process.stdout is not None  # it was opened as a pipe
        try:
            for _ in range(video.num_frames):
                data = process.stdout.read(size)
                if len(data) < size:
                    process.wait()
                    words.seek(0)
                    said = words.read()
                    raise broken(
                        video.path, subprocess.CompletedProcess(command, process.returncode, b"", said)
                    )
                yield np.frombuffer(data, np.uint8).reshape(1, video.height, video.width, 3)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def read_sound(video: VideoInfo) -> Sound | None:
    """Return the sound of the first track, `None` where there is none; raises as `read_frames`."""
    found = video.sound
    if found is None:
        return None
    channels = 1 if found.channel_layout == "mono" else MAX_CHANNELS
    command = ["-v", "level+error", "-protocol_whitelist", "file", "-i", f"file:{video.path}"]
    command += ["-map", "0:a:0", "-ac", str(channels), "-f", "f32le", "-"]
    done = run_ffmpeg(*command)
    if done.returncode != 0 or not done.stdout:
        raise broken(video.path, done)
    samples = np.frombuffer(done.stdout, "<f4").reshape(-1, channels).astype(np.float32)
    return Sound(np.clip(samples, -1, 1), found.sample_rate)
