"""i2v.media.video.animation: a video as GIF and WebP that move, last as long, and are small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2v.core.errors import EncodeError
from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer
from i2v.media.video.animation import FPS, SIDE, AnimationFormat, read_animation
from tests.clips import make_frames


def test_frames_and_length_are_those_of_the_video(tmp_path: Path) -> None:
    path = video(tmp_path, fps=8)
    for kind, name in (("gif", "GIF"), ("webp", "WEBP")):
        with Image.open(io.BytesIO(read_animation(path, kind))) as moving:  # type: ignore[arg-type]
            assert (moving.format, moving.n_frames, moving.info["loop"]) == (name, 8, 0)  # type: ignore[attr-defined]
            seconds = 0
            for number in range(8):
                moving.seek(number)
                moving.load()
                seconds += moving.info["duration"]
            assert seconds == pytest.approx(1000, abs=60)


@pytest.mark.parametrize("kind", ["gif", pytest.param("webp", marks=pytest.mark.slow)])
def test_what_is_large_and_fast_is_made_smaller(tmp_path: Path, kind: AnimationFormat) -> None:
    path = video(tmp_path, fps=30, size=(960, 540), count=30)
    with Image.open(io.BytesIO(read_animation(path, kind))) as moving:
        assert moving.size == (SIDE, 270)
        assert moving.n_frames == FPS  # type: ignore[attr-defined]


def test_what_is_no_video_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("no video")
    with pytest.raises(EncodeError) as caught:
        read_animation(tmp_path / "x.mp4", "gif")
    assert caught.value.code == "encode.broken"


def video(folder: Path, fps: int, size: tuple[int, int] = (64, 48), count: int = 8) -> Path:
    with Mp4Writer(OutputFile(folder / "x.mp4"), fps=fps, size=size) as writer:
        frames = make_frames(count, size=size)
        writer.append(np.stack([np.roll(frame, 9 * number, axis=1) for number, frame in enumerate(frames)]))
        return writer.finish().path
