"""media.video against the real ffmpeg: what it writes, how it names it, and that failures leave nothing."""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from i2v.core.errors import EncodeError
from i2v.media.outputs import OutputFile, OutputName, prepare_output
from i2v.media.video import MAX_TAGS, Mp4Writer, check_ffmpeg, probe, read_last_frame, read_poster, read_tags
from tests import disks
from tests.clips import SIZE, WHEN, make_frames, names, read_frames, write


def ffmpeg_process(writer: Mp4Writer) -> subprocess.Popen[bytes]:
    assert writer._encoder is not None
    return writer._encoder.process


# --- what is written


@pytest.mark.parametrize("fps", [1, 7.5, 8, 16, 23.976, 30])
def test_the_video_is_what_was_asked_for(tmp_path: Path, fps: float) -> None:
    info = write(OutputName(tmp_path, WHEN), make_frames(9), fps)
    assert info == probe(tmp_path / "video_20250405_142310.mp4")
    assert (info.width, info.height, info.num_frames) == (64, 48, 9)
    assert (info.codec, info.pix_fmt) == ("h264", "yuv420p")
    assert info.fps == pytest.approx(fps, rel=1e-4)
    assert info.duration == pytest.approx(9 / fps, rel=1e-4)
    assert names(tmp_path) == ["video_20250405_142310.mp4"]


def test_a_single_frame_is_a_video(tmp_path: Path) -> None:
    info = write(OutputFile(tmp_path / "one.mp4"), make_frames(1))
    assert (info.num_frames, info.fps, info.duration) == (1, 8, 0.125)


def test_chunks_of_any_layout_add_up(tmp_path: Path) -> None:
    frames = make_frames(6)
    with Mp4Writer(OutputFile(tmp_path / "a.mp4"), fps=8, size=SIZE) as writer:
        writer.append(frames[:0])
        writer.append(frames[:2])
        writer.append(frames[2:, :, ::-1])  # not contiguous
        assert writer.finish().num_frames == 6


def test_the_pixels_arrive_in_order_and_in_rgb(tmp_path: Path) -> None:
    frames = np.zeros((3, 48, 64, 3), np.uint8)
    for index in range(3):
        frames[index, :, :, index] = 200
    path = write(OutputFile(tmp_path / "a.mp4"), frames).path
    seen = read_frames(path)
    assert np.abs(seen.astype(int) - frames).mean() < 6


def test_the_index_comes_before_the_frames(tmp_path: Path) -> None:
    info = write(OutputName(tmp_path, WHEN))
    data = info.path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_nothing_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(OutputName(tmp_path, WHEN))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("count", "fps"), [(1, 8), (2, 1), (40, 7.5), (33, 60)])
def test_the_last_frame_is_the_last_one_exactly(tmp_path: Path, count: int, fps: float) -> None:
    path = write(OutputFile(tmp_path / "a.mp4"), make_frames(count, noise=True), fps).path
    frame = Image.open(io.BytesIO(read_last_frame(path)))
    assert (frame.format, frame.mode) == ("PNG", "RGB")
    assert np.array_equal(np.asarray(frame), read_frames(path)[-1])


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_what_is_no_video_has_no_last_frame(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(EncodeError, match="Cannot decode"):
        read_last_frame(tmp_path / "a.mp4")


# --- tags

TAGS = {
    "AIGC": '{"Label": "1"}',
    "i2v": '{"prompt": "' + "镜头向左移动，然后 " * 4000 + '", "of": "a=b;c#d\\\\e\\"f"}',
    "two lines": "one\n[CHAPTER]\n;three=3\n",
}


def test_tags_of_any_length_survive(tmp_path: Path) -> None:
    with Mp4Writer(OutputFile(tmp_path / "片.mp4"), fps=8, size=SIZE, tags=TAGS) as writer:
        writer.append(make_frames(2))
        path = writer.finish().path
    found = read_tags(path)
    assert found.items() >= TAGS.items()
    assert len(TAGS["i2v"].encode()) > 100_000
    assert 0 < path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")


def test_the_poster_is_the_first_frame_and_small(tmp_path: Path) -> None:
    frames = np.zeros((3, 180, 640, 3), np.uint8)
    frames[0, :, :320, 0], frames[1:] = 200, 100
    write(OutputFile(tmp_path / "wide.mp4"), frames)
    poster = Image.open(io.BytesIO(read_poster(tmp_path / "wide.mp4"))).convert("RGB")
    assert poster.size == (480, 136)  # both even: 135 rounded
    assert np.abs(np.subtract(poster.getpixel((100, 60)), (200, 0, 0))).max() < 12
    assert np.max(poster.getpixel((400, 60))) < 12
    write(OutputFile(tmp_path / "small.mp4"))
    assert Image.open(io.BytesIO(read_poster(tmp_path / "small.mp4"))).size == SIZE


def test_what_is_no_video_has_no_poster(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(EncodeError) as caught:
        read_poster(tmp_path / "a.mp4")
    assert caught.value.code == "encode.broken"


def test_tags_of_a_playlist_are_not_looked_for_elsewhere(tmp_path: Path) -> None:
    """ffmpeg would open what the list names: any file of this machine, or an address."""
    with Mp4Writer(OutputFile(tmp_path / "other.mp4"), fps=8, size=SIZE, tags={"title": "secret"}) as writer:
        writer.append(make_frames(2))
        writer.finish()
    lists = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile other.mp4\n",
    }
    for name, lines in lists.items():
        (tmp_path / f"{name}.mp4").write_text(lines)
        with pytest.raises(EncodeError) as caught:
            read_tags(tmp_path / f"{name}.mp4")
        assert caught.value.code == "encode.broken"


def test_a_file_that_never_ends_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(EncodeError, match=r"took over 0\.5 s"):
        read_tags(tmp_path / "a.mp4", seconds=0.5)


def test_tags_beyond_all_measure_are_not_taken_over(tmp_path: Path) -> None:
    tags = {"i2v": "x" * (MAX_TAGS + 1)}
    with Mp4Writer(OutputFile(tmp_path / "a.mp4"), fps=8, size=SIZE, tags=tags) as writer:
        writer.append(make_frames(2))
        writer.finish()
    with pytest.raises(EncodeError, match="its metadata has over"):
        read_tags(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "text", ["Video: a man, walking", "Stream #0:0: Video: a, b", "\n  Stream #0:0: Video: a, b"]
)
def test_tags_that_look_like_ffmpegs_words_change_nothing(tmp_path: Path, text: str) -> None:
    with Mp4Writer(OutputFile(tmp_path / "a.mp4"), fps=8, size=SIZE, tags={"prompt": text}) as writer:
        writer.append(make_frames(2))
        assert writer.finish().codec == "h264"


def test_a_tag_that_ffmpeg_would_garble_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="backslash"):
        Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE, tags={"path": "C:\\"})


def test_tags_of_what_is_no_video_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    for name in ("a.mp4", "none.mp4"):
        with pytest.raises(EncodeError) as caught:
            read_tags(tmp_path / name)
        assert caught.value.code == "encode.broken"


# --- probe


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    info = write(OutputFile(tmp_path / "whole.mp4"), make_frames(12, noise=True))
    return info.path.read_bytes()


def test_probe_refuses_damage(tmp_path: Path, video: bytes) -> None:
    middle = len(video) * 2 // 3
    hole = video[:middle] + bytes(4000) + video[middle + 4000 :]
    path = tmp_path / "broken: 中文.mp4"
    for data in (b"", b"not a video", video[:200], video[:middle], video[:-3], hole):
        path.write_bytes(data)
        with pytest.raises(EncodeError) as caught:
            probe(path)
        assert caught.value.code == "encode.broken"
        assert caught.value.params["reason"]


def test_probe_says_that_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="No such file"):
        probe(tmp_path / "none.mp4")


def test_a_missing_ffmpeg_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nonexistent/ffmpeg")
    with pytest.raises(EncodeError, match="/nonexistent/ffmpeg is not a program"):
        check_ffmpeg()
    broken = tmp_path / "ffmpeg"
    broken.write_text("no program at all")
    broken.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(broken))
    for use in (check_ffmpeg, lambda: probe(broken), lambda: write(OutputFile(tmp_path / "a.mp4"))):
        with pytest.raises(EncodeError, match="Exec format error"):
            use()
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", nothing)
    with pytest.raises(EncodeError) as caught:
        check_ffmpeg()
    assert caught.value.code == "encode.no_ffmpeg"


# --- what is refused


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (0, 48), (64, -2)])
def test_odd_and_empty_sizes_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(EncodeError, match="even"):
        Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=size)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_rates_are_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(EncodeError, match="fps"):
        Mp4Writer(OutputName(tmp_path, WHEN), fps=fps, size=SIZE)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 48, 64, 3), np.float32),
        np.zeros((2, 48, 64, 3), np.uint16),
        np.zeros((48, 64, 3), np.uint8),
        np.zeros((2, 64, 48, 3), np.uint8),
        np.zeros((2, 48, 64, 4), np.uint8),
        np.zeros((2, 3, 48, 64), np.uint8),
    ],
    ids=lambda frames: f"{frames.dtype}-{frames.shape}",
)
def test_other_frames_are_refused(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    with Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:
        with pytest.raises(EncodeError, match="uint8"):
            writer.append(frames)
        with pytest.raises(EncodeError) as caught:  # so there were none
            writer.finish()
    assert caught.value.code == "encode.no_frames"
    assert names(tmp_path) == []


# --- failures leave nothing


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_no_file_and_no_ffmpeg(tmp_path: Path, kind: type[BaseException]) -> None:
    with pytest.raises(kind), Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:  # noqa: PT012
        writer.append(make_frames(3))
        process = ffmpeg_process(writer)
        raise kind
    assert names(tmp_path) == []
    assert process.returncode is not None


def test_a_generator_that_is_dropped_leaves_nothing(tmp_path: Path) -> None:
    processes = []

    def story() -> Iterator[int]:
        with Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:
            for number in range(9):
                writer.append(make_frames(1))
                processes.append(ffmpeg_process(writer))
                yield number
            writer.finish()

    running = story()
    next(running)
    del running
    assert names(tmp_path) == []
    assert processes[0].returncode is not None


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    with Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:
        writer.append(make_frames(3))
    assert names(tmp_path) == []


def test_an_ffmpeg_that_is_killed_at_once_is_noticed(tmp_path: Path) -> None:
    with Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:
        writer.append(make_frames(1))
        ffmpeg_process(writer).kill()
        with pytest.raises(EncodeError, match="Killed"):
            writer.append(make_frames(2000))  # more than a pipe holds
    assert names(tmp_path) == []


def test_a_killed_ffmpeg_is_noticed_while_writing(tmp_path: Path) -> None:
    with Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:
        writer.append(make_frames(3))
        ffmpeg_process(writer).kill()
        ffmpeg_process(writer).wait()
        with pytest.raises(EncodeError, match="Killed"):
            writer.append(make_frames(3))
    assert names(tmp_path) == []


def test_a_killed_ffmpeg_is_noticed_at_the_end(tmp_path: Path) -> None:
    with Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:
        writer.append(make_frames(3))
        ffmpeg_process(writer).kill()
        with pytest.raises(EncodeError, match="Killed"):
            writer.finish()
    assert names(tmp_path) == []


def test_lost_frames_are_noticed(tmp_path: Path) -> None:
    with Mp4Writer(OutputName(tmp_path, WHEN), fps=8, size=SIZE) as writer:
        writer.append(make_frames(3))
        writer._num_frames += 1
        with pytest.raises(EncodeError, match="3 of 4 frames"):
            writer.finish()
    assert names(tmp_path) == []


def test_a_missing_folder_is_made_again(tmp_path: Path) -> None:
    write(OutputName(tmp_path / "gone" / "deeper", WHEN))
    assert names(tmp_path / "gone" / "deeper") == ["video_20250405_142310.mp4"]


@pytest.mark.parametrize("instead", ["nothing", "a file", "another folder"])
def test_a_folder_that_vanishes_while_its_video_is_written_is_named(tmp_path: Path, instead: str) -> None:
    """And the writer's own clean-up never hides it."""
    folder = tmp_path / "videos"
    with (  # noqa: PT012
        pytest.raises(EncodeError) as caught,
        Mp4Writer(OutputName(folder, WHEN), fps=8, size=SIZE) as writer,
    ):
        writer.append(make_frames(3))
        while names(folder) == []:  # ffmpeg makes the file when it begins
            writer.append(make_frames(1))
        shutil.rmtree(folder)
        if instead == "a file":
            folder.touch()
        elif instead == "another folder":
            folder.mkdir()
        writer.finish()
    assert (caught.value.code, caught.value.params["path"]) == ("encode.failed", str(folder))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "videos").touch()
    with pytest.raises(EncodeError) as caught:
        write(OutputName(tmp_path / "videos" / "deeper", WHEN))
    assert caught.value.code == "encode.failed"


def test_a_file_size_limit_is_noticed(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path; from datetime import datetime; import numpy as np, resource
from i2v.core.errors import EncodeError
from i2v.media.outputs import OutputName; from i2v.media.video import Mp4Writer
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(7).integers(0, 256, (8, 256, 256, 3), dtype=np.uint8)
with Mp4Writer(OutputName(Path({str(tmp_path)!r}), datetime(2025, 4, 5)), fps=8, size=(256, 256)) as w:
    try:
        w.append(noise)
        w.finish()
    except EncodeError as error:
        print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert os.strerror(27) in done.stdout or "File size limit exceeded" in done.stdout, done.stdout
    assert names(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000  # only the child was limited


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "small") as folder:
        yield folder


def test_a_full_disk_is_named(small_disk: Path) -> None:
    with pytest.raises(EncodeError) as caught:
        prepare_output(OutputName(small_disk, WHEN))
    assert caught.value.code == "output.no_space"
    with pytest.raises(EncodeError) as caught:
        write(OutputName(small_disk, WHEN), make_frames(16, (256, 256), noise=True))
    assert caught.value.code == "encode.no_space"
    assert caught.value.params["path"] == str(small_disk)
    assert "No space left on device" in str(caught.value.params["reason"])
    assert names(small_disk) == []
