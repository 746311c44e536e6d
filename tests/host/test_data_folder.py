"""i2v.host.data_folder: what is in the way is named, nobody else may read, and nothing is deleted at once."""

from __future__ import annotations

import logging
import os
import socket
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.host import data_folder
from i2v.host.data_folder import STAMP, TRASH_DAYS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    data_folder.prepare(folder)
    return folder


def refusal(folder: Path) -> tuple[str, object]:
    with pytest.raises(I2VError) as caught:
        data_folder.prepare(folder)
    return caught.value.code, caught.value.params["path"]


def modes(folder: Path) -> dict[str, int]:
    paths = [folder, *folder.rglob("*")]
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in paths if not path.is_symlink()}


# --- what is in the way


@pytest.mark.parametrize(
    "name", ["inputs", "page", "trash", "jobs.db", "jobs.db-wal", "service.lock", "cookie-secret"]
)
@pytest.mark.parametrize("thing", ["file", "folder", "link", "dangling link", "socket", "pipe"])
def test_what_does_not_belong_there_is_named_and_not_followed(tmp_path: Path, name: str, thing: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    path = tmp_path / "data" / name
    path.parent.mkdir()
    is_folder = name in data_folder.FOLDERS
    if thing == "file":
        path.write_text("x")
    elif thing == "folder":
        path.mkdir()
    elif thing.endswith("link"):
        path.symlink_to(tmp_path / "nowhere" if thing == "dangling link" else elsewhere)
    elif thing == "pipe":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    if thing == ("folder" if is_folder else "file"):
        data_folder.prepare(path.parent)
        return
    code = "data.is_link" if thing.endswith("link") else f"data.not_a_{'folder' if is_folder else 'file'}"
    assert refusal(path.parent) == (code, str(path))
    assert (elsewhere / "precious").exists()
    assert not (tmp_path / "nowhere").exists()


def test_a_file_on_the_way_to_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert refusal(tmp_path / "file") == ("data.not_a_folder", str(tmp_path / "file"))
    assert refusal(tmp_path / "file" / "deep" / "data") == ("data.not_a_folder", str(tmp_path / "file"))
    (tmp_path / "dangling").symlink_to("nowhere")
    assert refusal(tmp_path / "dangling") == ("data.not_a_folder", str(tmp_path / "dangling"))


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "data").symlink_to("disk")
    data_folder.prepare(tmp_path / "data")
    data_folder.restrict(tmp_path / "data")
    assert modes(tmp_path / "disk") == {"disk": 0o700, "inputs": 0o700}


def test_a_folder_where_nothing_can_be_written_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(I2VError, match="Read-only file system") as caught:
        data_folder.check(folder)
    assert caught.value.code == "data.unusable"


def test_a_full_disk_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(I2VError) as caught:
        data_folder.check(folder)
    assert caught.value.code == "data.no_space"


# --- who may read


def test_all_is_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data_folder.prepare(tmp_path / "data")
    finally:
        os.umask(before)
    assert modes(tmp_path / "data") == {"data": 0o700, "inputs": 0o700}


def test_an_installation_that_others_can_read_is_put_right(tmp_path: Path) -> None:
    """But nothing outside of the folder that a link leads to."""
    folder = tmp_path / "data"
    (folder / "inputs").mkdir(parents=True)
    (folder / "page" / "upload").mkdir(parents=True)
    (tmp_path / "outside").write_text("x")
    (folder / "page" / "link").symlink_to(tmp_path / "outside")
    for name in ("jobs.db", "jobs.db-wal", "service.lock", "inputs/a.png", "page/upload/b.png"):
        (folder / name).write_text("x")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777)
    data_folder.restrict(folder)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o777


def test_files_keep_what_their_owner_may_do(folder: Path) -> None:
    for mode in (0o644, 0o600, 0o440):
        (folder / "inputs" / "a.png").unlink(missing_ok=True)
        (folder / "inputs" / "a.png").touch(mode)
        data_folder.restrict(folder)
        assert modes(folder)["a.png"] == mode & 0o700


def test_a_folder_with_other_things_keeps_its_mode_and_it_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "website").mkdir(mode=0o755)
    (folder / "jobs.db").touch(0o644)
    folder.chmod(0o755)
    data_folder.restrict(folder)
    assert modes(folder) == {"data": 0o755, "website": 0o755, "jobs.db": 0o600, "inputs": 0o700}
    assert "website" in caplog.text


def test_what_another_user_owns_is_left_and_said(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    data_folder.restrict(folder)
    assert modes(folder)["data"] == 0o755
    assert "chmod" in caplog.text


def test_a_folder_with_all_that_i2v_makes_there_is_restricted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in data_folder.FOLDERS:
        (folder / name).mkdir(mode=0o755, exist_ok=True)
    for name in (*data_folder.FILES, "jobs.db.damaged"):
        (folder / name).touch(0o644)
    folder.chmod(0o755)
    data_folder.restrict(folder)
    found = modes(folder)
    left = {found.pop(name) for name in data_folder.SECRETS}
    assert left == {0o644}, "left to token_file, which refuses them"
    assert {mode & 0o077 for mode in found.values()} == {0}
    assert caplog.text == ""


def test_a_file_system_without_rights_is_said_and_no_obstacle(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o755)

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    data_folder.restrict(folder)
    assert str(folder) in caplog.text


# --- the trash


def test_a_picture_that_cannot_be_moved_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = folder / "inputs" / "orphan.picture"
    picture.touch()

    def refuse(path: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(I2VError) as caught:
        data_folder.sweep(folder, set(), is_new=False)
    assert (caught.value.code, caught.value.params["path"]) == ("data.unusable", str(picture))


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "inputs" / name).write_text(name)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_orphans_go_to_the_trash_and_come_back_when_a_job_owns_them(folder: Path) -> None:
    put(folder, "a.png", "a.jpg", "b.png", "b.jpg")
    data_folder.sweep(folder, {"a.png"}, is_new=False)
    assert names(folder / "inputs") == ["a.jpg", "a.png"]
    (day,) = (folder / "trash").iterdir()
    assert names(day) == ["b.jpg", "b.png"]
    assert abs(datetime.strptime(day.name, STAMP) - datetime.now()) < timedelta(minutes=5)
    assert {modes(folder)["trash"], modes(folder)[day.name]} == {0o700}
    data_folder.sweep(folder, {"a.png", "b.png"}, is_new=False)
    assert names(folder / "inputs") == ["a.jpg", "a.png", "b.jpg", "b.png"]
    assert (folder / "inputs" / "b.png").read_text() == "b.png"


def test_a_new_database_moves_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(folder, "a.png", "b.png")
    data_folder.sweep(folder, set(), is_new=True)
    assert names(folder / "inputs") == ["a.png", "b.png"]
    assert not (folder / "trash").exists()
    assert "2 files" in caplog.text
    data_folder.sweep(folder, set(), is_new=False)  # all jobs were deleted
    assert names(folder / "inputs") == []


def test_what_is_no_file_is_left_alone_and_said(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("x")
    (folder / "inputs" / "holiday").mkdir()
    (folder / "inputs" / "link.png").symlink_to(tmp_path / "outside")
    (folder / "inputs" / "dangling.png").symlink_to("nowhere")
    os.mkfifo(folder / "inputs" / "pipe.png")
    put(folder, "a.png", "orphan.png")
    data_folder.sweep(folder, {"a.png"}, is_new=False)
    assert names(folder / "inputs") == ["a.png", "dangling.png", "holiday", "link.png", "pipe.png"]
    assert (tmp_path / "outside" / "precious").exists()
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 4


def test_the_trash_is_emptied_after_its_days(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    now = datetime.now()
    ages = {
        days: f"{now - timedelta(days=days):{STAMP}}" for days in (0, TRASH_DAYS - 1, TRASH_DAYS + 1, 400)
    }
    for name in (*ages.values(), "mine"):
        (folder / "trash" / name).mkdir(parents=True)
        (folder / "trash" / name / "a.png").touch()
    (folder / "trash" / f"{now - timedelta(days=99):{STAMP}}").symlink_to(tmp_path / "outside")
    data_folder.empty_trash(folder)
    left = [path.name for path in (folder / "trash").iterdir() if not path.is_symlink()]
    assert sorted(left) == sorted([ages[0], ages[TRASH_DAYS - 1], "mine"])
    assert (tmp_path / "outside").exists()
