"""Small videos for tests: frames to encode, and a clip written in one call."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from i2v.media.outputs import OutputTarget
from i2v.media.sound import Sound
from i2v.media.video import Mp4Writer, VideoInfo, probe

WHEN = datetime(2025, 4, 5, 14, 23, 10)
SIZE = (64, 48)  # width, height


def make_frames(count: int, size: tuple[int, int] = SIZE, noise: bool = False) -> NDArray[np.uint8]:
    width, height = size
    if noise:  # does not compress: fills a small disk soon
        return np.random.default_rng(7).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    ramp = np.linspace(0, 200, width, dtype=np.uint8)
    frames = np.broadcast_to(ramp[None, None, :, None], (count, height, width, 3)).copy()
    frames[:, :, :, 0] += np.arange(count, dtype=np.uint8)[:, None, None]
    return frames


def write(
    target: OutputTarget,
    frames: NDArray[np.uint8] | None = None,
    fps: float = 8,
    sound: Sound | None = None,
) -> VideoInfo:
    frames = make_frames(5) if frames is None else frames
    with Mp4Writer(target, fps=fps, size=(frames.shape[2], frames.shape[1])) as writer:
        writer.append(frames)
        if sound is not None:
            writer.add_sound(sound)
        return writer.finish()


def make_sound(seconds: float, sample_rate: int = 16_000, channels: int = 1) -> Sound:
    """Return a tone of 440 Hz, in a second channel one of 660 Hz."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    tones = [np.sin(2 * np.pi * frequency * times) for frequency in (440, 660)[:channels]]
    return Sound((0.5 * np.stack(tones, axis=1)).astype(np.float32), sample_rate)


def read_sound(path: Path, sample_rate: int = 16_000, channels: int = 1) -> NDArray[np.float32]:
    """Decode the sound of `path` with ffmpeg alone: (n, channels)."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a", "-f", "f32le"]
    command += ["-ar", str(sample_rate), "-ac", str(channels), "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<f4").reshape(-1, channels)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_frames(path: Path) -> NDArray[np.uint8]:
    """Decode `path` with ffmpeg alone: (n, height, width, 3), RGB."""
    info = probe(path)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "rawvideo"]
    raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(info.num_frames, info.height, info.width, 3)
