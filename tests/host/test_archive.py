"""host.archive: whole or not there; whatever a stranger has put together is refused before it is used."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from copy import copy
from pathlib import Path

import pytest

from i2v.core.errors import EncodeError, InvalidRequest
from i2v.host.archive import reading, writing
from tests.clips import names

KIND = "test"


def quiet(count: int) -> None: ...


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 8192)
    target = tmp_path / "some.zip"
    with writing(target, KIND, False, quiet) as writer:
        assert writer.add("a", tmp_path / "a.bin")
        assert not writer.add("b", tmp_path / "not there")
        writer.manifest = {"more": 1}
    return target


def test_what_was_written_is_read(archive: Path, tmp_path: Path) -> None:
    with reading(archive, KIND) as found:
        found.check()
        assert found.manifest["more"] == 1
        assert (list(found.files), found.size) == (["a"], 2**21)
        found.unpack("a", tmp_path / "again", quiet)
        assert found.files["a"].is_of(tmp_path / "again")
        assert not found.files["a"].is_of(archive)
    assert archive.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["a.bin", "again", "some.zip"]


def test_a_file_that_is_there_stays_unless_asked(archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(InvalidRequest, match="already exists"), writing(archive, KIND, False, quiet):
        pass
    assert archive.read_bytes() == before
    with writing(archive, KIND, True, quiet):
        pass
    with reading(archive, KIND) as found:
        assert found.files == {}


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with writing(tmp_path / "x.zip", KIND, False, quiet) as writer:
            (writer.folder / "scratch").write_text("x")
            raise OSError(28, "No space left on device")

    with pytest.raises(EncodeError, match="No space left"):
        fail()
    (tmp_path / ".x.zip.0123.part").mkdir()  # of one that was killed
    with writing(tmp_path / "x.zip", KIND, False, quiet):
        assert len(list(tmp_path.glob(".x.zip.*.part"))) == 1
        with writing(tmp_path / "x.zip", KIND, True, quiet):  # nobody's folder is taken away from under them
            assert len(list(tmp_path.glob(".x.zip.*.part"))) == 2
        (tmp_path / "x.zip").unlink()
    assert names(tmp_path) == ["x.zip"]


def manifest(files: dict[str, bytes], **changed: object) -> bytes:
    listed = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    return json.dumps({"kind": KIND, "version": 1, "files": listed, **changed}).encode()


BOMB = bytes(10**7)


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def overlapping() -> bytes:
    """Return an archive whose directory has the bytes of one file as a hundred files."""
    data, buffer = b"x" * 10_000, io.BytesIO()
    names = [f"{number:04}" for number in range(100)]
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("0000", data)
        file.writestr("manifest.json", manifest(dict.fromkeys(names, data)))
        for name in names[1:]:
            again = copy(file.infolist()[0])
            again.filename = name
            file.filelist.append(again)
    return buffer.getvalue()


BAD: dict[str, Callable[[], bytes]] = {
    "no zip": lambda: b"PK\x03\x04 and so on",
    "nothing": lambda: b"",
    "no manifest": lambda: zipped([("a", b"x")]),
    "another kind": lambda: zipped([("manifest.json", manifest({}, kind="other"))]),
    "newer": lambda: zipped([("manifest.json", manifest({}, version=2))]),
    "no object": lambda: zipped([("manifest.json", b"[1]")]),
    "no json": lambda: zipped([("manifest.json", b"{" * 100_000)]),
    "more than it says": lambda: zipped([("../../etc/x", b"x"), ("manifest.json", manifest({}))]),
    "less than it says": lambda: zipped([("manifest.json", manifest({"a": b"x"}))]),
    "another size": lambda: zipped([("a", b"xy"), ("manifest.json", manifest({"a": b"x"}))]),
    "a bomb": lambda: zipped([("a", BOMB), ("manifest.json", manifest({"a": BOMB}))], zipfile.ZIP_DEFLATED),
    "one file as many": overlapping,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_ours_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(BAD[name]())
    with pytest.raises(InvalidRequest) as caught, reading(path, KIND):
        pass
    wanted = {"another kind": "archive.other_kind", "newer": "archive.newer"}
    assert caught.value.code == wanted.get(name, "archive.damaged")


@pytest.mark.parametrize("place", [100, 2**20, -200, -30])
def test_a_bit_that_was_lost_is_seen(archive: Path, place: int) -> None:
    data = bytearray(archive.read_bytes())
    data[place] ^= 1
    archive.write_bytes(data)
    with pytest.raises(InvalidRequest) as caught, reading(archive, KIND) as found:
        found.check()
    assert caught.value.code.startswith("archive.")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_one_that_was_cut_off_is_seen(archive: Path, part: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InvalidRequest) as caught, reading(archive, KIND):
        pass
    assert caught.value.code == "archive.damaged"


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidRequest) as caught, reading(path, KIND):
            pass
        assert caught.value.code == "archive.unreadable"
