"""i2v.web.api.zip_stream: an archive that is whole, and never in memory as a whole."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from i2v.web.api.zip_stream import CHUNK, zip_stream


def test_the_archive_has_every_file_and_comes_in_pieces(tmp_path: Path) -> None:
    contents = {"large 照片.mp4": bytes(range(256)) * (CHUNK // 64), "small.mp4": b"x", "empty.mp4": b""}
    files = []
    for number, (name, data) in enumerate(contents.items()):
        path = tmp_path / str(number)
        path.write_bytes(data)
        files.append((name, path))
    pieces = list(zip_stream([*files, ("gone.mp4", tmp_path / "gone")]))
    assert max(map(len, pieces)) < 2 * CHUNK
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_reading_ends_with_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(4 * CHUNK))
    stream = zip_stream([("a", path), ("b", path)])
    assert len(next(stream)) >= CHUNK
    stream.close()  # type: ignore[attr-defined]
