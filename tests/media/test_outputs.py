"""i2v.media.outputs: names that nobody else took, and folders that cannot be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from i2v.core.errors import EncodeError, InvalidRequest
from i2v.media.outputs import OutputFile, OutputName, part_path, prepare_output, sweep_parts
from i2v.media.video import probe
from tests.clips import WHEN, names, write


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    published = [write(OutputName(tmp_path, WHEN)).path.name for _ in range(3)]
    stem = "video_20250405_142310"
    assert published == [f"{stem}.mp4", f"{stem}_2.mp4", f"{stem}_3.mp4"] == sorted(names(tmp_path), key=len)


def test_processes_that_finish_together_get_different_names(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path; from datetime import datetime; import numpy as np, sys
from i2v.media.outputs import OutputName; from i2v.media.video import Mp4Writer
target = OutputName(Path({str(tmp_path)!r}), datetime(2025, 4, 5, 14, 23, 10))
with Mp4Writer(target, fps=8, size=(64, 48)) as w:
    w.append(np.zeros((2, 48, 64, 3), np.uint8))
    print("ready", flush=True)
    sys.stdin.readline()
    print(w.finish().path.name)
"""
    command = [sys.executable, "-c", code]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    published = {process.communicate()[0].strip() for process in started}
    assert len(published) == 4
    assert published == set(names(tmp_path))


def test_names_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    published = [write(OutputName(tmp_path, WHEN)).path.name for _ in range(2)]
    assert published == ["video_20250405_142310.mp4", "video_20250405_142310_2.mp4"]
    assert [probe(tmp_path / name).num_frames for name in names(tmp_path)] == [5, 5]


def test_a_chosen_name_is_never_overwritten_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "mine.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(InvalidRequest, match="--force") as caught:
        prepare_output(OutputFile(path))
    assert caught.value.to_dict()["params"] == {"path": str(path)}
    with pytest.raises(InvalidRequest, match=r"mine\.mp4 already exists"):  # also if it appeared since
        write(OutputFile(path))
    assert path.read_bytes() == b"mine"
    assert names(tmp_path) == ["mine.mp4"]
    prepare_output(OutputFile(path, force=True))
    assert write(OutputFile(path, force=True)) == probe(path)
    assert names(tmp_path) == ["mine.mp4"]


def test_the_longest_name_works(tmp_path: Path) -> None:
    target = OutputFile(tmp_path / ("影" * 83 + "ab.mp4"))
    assert len(target.path.name.encode()) == 255
    prepare_output(target)
    assert write(target).path == target.path


# --- what killed writers leave


@pytest.mark.parametrize("stem", ["video_20250405_142310", "[a]*?", "影" * 83 + "ab", "x" * 60 + "_1"])
def test_parts_of_one_video_are_swept_and_no_others(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.mp4"
    others = ("video_20250405_142310_2", "video_20250405_14231", "[a]bc", "影" * 83 + "b", "x" * 60 + "_2")
    kept = {part_path(OutputFile(tmp_path / f"{other}.mp4")) for other in others}
    swept = {part_path(OutputFile(path)) for _ in range(2)}
    for part in kept | swept:
        part.write_bytes(b"half a video")
    path.write_bytes(b"a video")
    sweep_parts(path)
    assert set(tmp_path.iterdir()) == {*kept, path}


def test_a_name_that_was_only_reserved_is_swept(tmp_path: Path) -> None:
    """As a writer leaves it that is killed while it publishes on a disk without hard links."""
    (tmp_path / "clip.mp4").touch()
    sweep_parts(tmp_path / "clip.mp4")
    assert names(tmp_path) == []
    sweep_parts(tmp_path / "nowhere" / "clip.mp4")


def test_what_cannot_be_swept_is_logged_and_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clip.mp4"
    path.mkdir()  # on some file systems, an empty folder has no bytes
    sweep_parts(path)
    assert path.is_dir()
    part_path(OutputFile(path)).touch()

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    sweep_parts(path)
    assert "Permission denied" in caplog.text


# --- prepare


def test_prepare_makes_the_folder_and_leaves_no_file(tmp_path: Path) -> None:
    prepare_output(OutputName(tmp_path / "new" / "folder", WHEN))
    assert names(tmp_path / "new" / "folder") == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("clip.avi", "output.bad_extension"),
        ("clip", "output.bad_extension"),
        (".mp4", "output.bad_extension"),
        ("a" * 252 + ".mp4", "output.bad_name"),
        ("a\0b.mp4", "output.bad_name"),
        ("a\udc80b.mp4", "output.bad_name"),
        ("folder.mp4", "output.not_a_file"),
        ("file/clip.mp4", "output.not_a_folder"),
        ("file/deeper/clip.mp4", "output.not_a_folder"),
        ("link.mp4", "output.exists"),
        ("a" * 300 + "/clip.mp4", "output.not_writable"),
    ],
)
def test_prepare_refuses(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link.mp4").symlink_to("nowhere")
    with pytest.raises(InvalidRequest) as caught:
        prepare_output(OutputFile(tmp_path / name))
    assert caught.value.code == code
    caught.value.message.encode()


def test_prepare_refuses_a_prefix_with_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="prefix"):
        prepare_output(OutputName(tmp_path, WHEN, prefix="../video_"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_prepare_refuses_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidRequest, match="Permission denied"):
        prepare_output(OutputName(tmp_path, WHEN))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write to")
def test_prepare_refuses_what_even_root_cannot_write() -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare_output(OutputName(Path("/proc/videos"), WHEN))
    assert caught.value.code == "output.not_writable"


def test_prepare_wants_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.media.outputs.MIN_FREE_BYTES", 2**60)
    with pytest.raises(EncodeError) as caught:
        prepare_output(OutputName(tmp_path, WHEN))
    assert caught.value.code == "output.no_space"


def test_a_clock_that_was_set_back_takes_nobodys_name(tmp_path: Path) -> None:
    """The same hour twice, as when daylight saving time ends: told apart by a number."""
    first = write(OutputName(tmp_path, WHEN)).path
    data = first.read_bytes()
    later = write(OutputName(tmp_path, WHEN + timedelta(hours=1))).path
    again = write(OutputName(tmp_path, WHEN)).path
    assert {path.name for path in (first, later, again)} == {
        "video_20250405_142310.mp4",
        "video_20250405_152310.mp4",
        "video_20250405_142310_2.mp4",
    }
    assert first.read_bytes() == data
