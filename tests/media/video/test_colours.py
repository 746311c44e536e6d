"""Colours of a clip of any size, by decoding it and in a browser: those that were given."""

from __future__ import annotations

import base64
import io
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from i2v.media.outputs import OutputFile
from i2v.media.video import read_last_frame, read_poster
from tests.clips import read_frames, write
from tests.web.browser import needs_chromium, open_browser

QUADRANTS = ((213, 35, 36), (36, 180, 60), (30, 60, 200), (240, 240, 240))
SIZES = [(256, 256), (480, 480), (1280, 720), (1024, 1024)]
LEVELS = 3

SHOWN = """async address => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = address;
    await new Promise((ready, failed) => {
        video.onloadeddata = ready;
        video.onerror = () => failed(video.error.message);
    });
    await new Promise(shown => { video.requestVideoFrameCallback(shown); video.currentTime = 0.2; });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    return [[.25, .25], [.75, .25], [.25, .75], [.75, .75]].map(([x, y]) => Array.from(
        context.getImageData(canvas.width * x | 0, canvas.height * y | 0, 1, 1).data.slice(0, 3)));
}"""


def clip(folder: Path, size: tuple[int, int]) -> Path:
    width, height = size
    quadrants = np.array(QUADRANTS, np.uint8).reshape(2, 2, 3)
    frame = quadrants.repeat(height // 2, 0).repeat(width // 2, 1)
    return write(OutputFile(folder / f"{height}.mp4"), np.broadcast_to(frame, (4, height, width, 3))).path


def centres(frame: NDArray[np.uint8]) -> NDArray[np.int_]:
    height, width = frame.shape[:2]
    rows = [height // 4, height // 4, -height // 4, -height // 4]
    return frame[rows, [width // 4, -width // 4] * 2].astype(int)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_colours_survive_and_are_tagged_in_stream_and_container(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = clip(tmp_path, size)
    assert np.abs(centres(read_frames(path)[2]) - QUADRANTS).max() <= LEVELS
    # the atom `colr`: primaries, transfer and matrix are each 1, which is BT.709; the range is limited
    assert re.search(rb"colrnclx\0\x01\0\x01\0\x01\0", path.read_bytes())
    ffmpeg, stream = imageio_ffmpeg.get_ffmpeg_exe(), str(tmp_path / "a.h264")
    subprocess.run([ffmpeg, "-v", "error", "-i", str(path), "-c", "copy", stream], check=True)
    alone = [ffmpeg, "-i", stream]
    said = subprocess.run(alone, capture_output=True, text=True, check=False).stderr
    assert re.search(r"Video: h264.*yuv420p\(tv, bt709[,)]", said)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pictures_of_a_clip_have_its_colours(tmp_path: Path, size: tuple[int, int]) -> None:
    path = clip(tmp_path, size)
    frame = read_last_frame(path)
    assert np.abs(centres(np.asarray(Image.open(io.BytesIO(frame)))) - QUADRANTS).max() <= LEVELS
    for chunk in (b"cICP", b"gAMA", b"cHRM"):  # what shows the same numbers as other colours
        assert chunk not in frame
    poster = np.asarray(Image.open(io.BytesIO(read_poster(path))).convert("RGB"))
    assert np.abs(centres(poster) - QUADRANTS).max() <= LEVELS + 3  # JPEG's own loss


def test_clips_of_earlier_versions_keep_their_colours(tmp_path: Path) -> None:
    """They are BT.601 and do not say so."""
    frame = np.full((48, 64, 3), QUADRANTS[0], np.uint8)
    path = tmp_path / "old.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", "64x48"]
    command += ["-i", "-", "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, input=frame.tobytes(), capture_output=True, check=True)
    for picture in (read_last_frame(path), read_poster(path)):
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
        assert np.abs(pixels.mean((0, 1)) - QUADRANTS[0]).max() <= LEVELS + 1


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_the_colours(tmp_path: Path) -> None:
    with open_browser() as browser:
        page = browser.new_page()
        for size in SIZES:
            data = base64.b64encode(clip(tmp_path, size).read_bytes()).decode()
            shown = np.array(page.evaluate(SHOWN, f"data:video/mp4;base64,{data}"))
            off = np.abs(shown - QUADRANTS)
            assert off[:, :2].max() <= LEVELS, (size, shown)
            assert off[0].max() <= LEVELS, (size, shown)
            assert off.max() <= 9, "Chromium itself takes up to 8 levels of saturated blue in BT.709"
