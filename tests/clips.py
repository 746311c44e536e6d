"""Small videos for tests: frames to encode, and a clip written in one call."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from i2v.media.outputs import OutputTarget
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


def write(target: OutputTarget, frames: NDArray[np.uint8] | None = None, fps: float = 8) -> VideoInfo:
    frames = make_frames(5) if frames is None else frames
    with Mp4Writer(target, fps=fps, size=(frames.shape[2], frames.shape[1])) as writer:
        writer.append(frames)
        return writer.finish()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_frames(path: Path) -> NDArray[np.uint8]:
    """Decode `path` with ffmpeg alone: (n, height, width, 3), RGB."""
    info = probe(path)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "rawvideo"]
    raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(info.num_frames, info.height, info.width, 3)
