"""media.video with sound, against the real ffmpeg: a track beside the frames, which stay as they were."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from i2v.core.errors import EncodeError
from i2v.media.outputs import OutputFile
from i2v.media.sound import Sound
from i2v.media.video import Mp4Writer, probe, read_last_frame, read_tags
from i2v.media.video.tags import to_ffmetadata
from tests.clips import SIZE, make_frames, make_sound, names, read_frames, read_sound, write
from tests.disks import small_disk

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
TAGS = {"AIGC": '{"Label": "1"}', "i2v": "a=b;c#d\n影"}


def packets(path: Path) -> bytes:
    """Return checksums and times of the video's packets as they stand in the file."""
    command = [FFMPEG, "-v", "error", "-i", path, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("fps", "seconds", "rate", "channels", "layout"),
    [
        (8, 1.125, 48_000, 2, "stereo"),
        (7.5, 0.3, 16_000, 1, "mono"),
        (23.976, 9.0, 44_100, 2, "stereo"),
        (30, 0.0, 22_050, 1, "mono"),
    ],
    ids=["as long", "too short", "too long", "empty"],
)
def test_the_videos_length_counts(
    tmp_path: Path, fps: float, seconds: float, rate: int, channels: int, layout: str
) -> None:
    sound = make_sound(seconds, rate, channels)
    silent = write(OutputFile(tmp_path / "silent.mp4"), make_frames(9), fps)
    info = write(OutputFile(tmp_path / "a.mp4"), make_frames(9), fps, sound)
    assert info == probe(tmp_path / "a.mp4")
    assert (info.num_frames, info.fps, info.duration) == (9, silent.fps, silent.duration)
    assert info.sound is not None
    assert silent.sound is None
    assert (info.sound.codec, info.sound.sample_rate, info.sound.channel_layout) == ("aac", rate, layout)
    assert info.sound.duration == pytest.approx(info.duration, abs=2048 / rate)
    assert packets(info.path) == packets(silent.path)
    assert np.array_equal(read_frames(info.path), read_frames(silent.path))
    assert read_last_frame(info.path) == read_last_frame(silent.path)


def test_it_is_the_engines_sound_from_the_first_frame_on(tmp_path: Path) -> None:
    sound = make_sound(1, 16_000, 2)
    path = write(OutputFile(tmp_path / "a.mp4"), make_frames(16), 8, sound).path
    heard = read_sound(path, 16_000, 2)
    assert np.abs(heard[1000:15000] - sound.samples[1000:15000]).mean() < 0.01, "one sample late is 0.05"
    assert np.abs(heard[17000:31000]).max() < 1e-3, "silence after it"


def test_tags_stay_and_the_index_comes_first(tmp_path: Path) -> None:
    with Mp4Writer(OutputFile(tmp_path / "片.mp4"), fps=8, size=SIZE, tags=TAGS) as writer:
        writer.append(make_frames(3))
        writer.add_sound(make_sound(1))
        path = writer.finish().path
    assert read_tags(path).items() >= TAGS.items()
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert names(tmp_path) == ["片.mp4"]


def test_the_same_frames_and_sound_are_the_same_file(tmp_path: Path) -> None:
    paths = [write(OutputFile(tmp_path / name), sound=make_sound(1)).path for name in ("a.mp4", "b.mp4")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_without_sound_the_file_is_what_it_always_was(tmp_path: Path) -> None:
    """To the byte: the command of the versions before there was sound, written out."""
    frames = make_frames(5)
    with Mp4Writer(OutputFile(tmp_path / "now.mp4"), fps=8, size=SIZE, tags=TAGS) as writer:
        writer.append(frames)
        writer.finish()
    (tmp_path / "metadata").write_bytes(to_ffmetadata(TAGS))
    before = (
        "-f rawvideo -pix_fmt rgb24 -video_size 64x48 -framerate 8.000000 -i pipe:0"
        f" -f ffmetadata -i {tmp_path}/metadata -map 0:v -map_metadata 1 -c:v libx264 -threads 4 -crf 18"
        " -vf scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setparams=range=tv"
        ":color_primaries=bt709:color_trc=bt709:colorspace=bt709 -colorspace bt709 -color_primaries bt709"
        f" -color_trc bt709 -color_range tv -pix_fmt yuv420p -movflags +faststart+use_metadata_tags -f mp4"
        f" {tmp_path}/before.mp4"
    )
    subprocess.run([FFMPEG, "-v", "error", *before.split()], input=frames.tobytes(), check=True)
    assert (tmp_path / "now.mp4").read_bytes() == (tmp_path / "before.mp4").read_bytes()


def test_what_cannot_be_encoded_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="channels") as caught:
        write(OutputFile(tmp_path / "a.mp4"), sound=Sound(np.zeros((9, 6), np.float32), 16_000))
    assert caught.value.code == "encode.bad_input"
    assert names(tmp_path) == []


def test_an_ffmpeg_that_dies_while_it_mixes_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "ffmpeg"
    tool.write_text(f'#!/bin/sh\ncase " $* " in *" copy "*) kill -9 $$;; esac\nexec {FFMPEG} "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tool))
    with pytest.raises(EncodeError, match="Killed") as caught:
        write(OutputFile(tmp_path / "videos" / "a.mp4"), sound=make_sound(1))
    assert caught.value.code == "encode.failed"
    assert names(tmp_path / "videos") == []


@pytest.mark.slow
def test_a_disk_that_fills_up_while_it_mixes_is_named(tmp_path: Path) -> None:
    frames = make_frames(60, (256, 192), noise=True)
    size = write(OutputFile(tmp_path / "plain.mp4"), frames).path.stat().st_size
    with small_disk(tmp_path / "small", size * 3 // 2) as disk:
        with pytest.raises(EncodeError) as caught:
            write(OutputFile(disk / "a.mp4"), frames, sound=make_sound(7.5))
        assert caught.value.code == "encode.no_space"
        assert names(disk) == []
