"""An archive of videos that is sent while it is written: it is never in memory or on the disk as a whole."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

CHUNK = 2**20  # bytes

log = logging.getLogger(__name__)


def zip_stream(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a ZIP archive of `files`, by their names in it. They are not compressed: videos are.

    A file that is gone by its turn is left out.
    """
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_STORED) as archive:  # as `sink` cannot seek, sizes follow the contents
        for name, path in files:
            try:
                info = ZipInfo.from_file(path, name, strict_timestamps=False)
                source = path.open("rb")
            except OSError as error:
                log.warning("%s is left out of an archive: %s", path, error.strerror or error)
                continue
            info.compress_type = ZIP_STORED
            with source, archive.open(info, "w", force_zip64=info.file_size >= 2**31) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Takes what is written, to be taken away again."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        written = bytes(memoryview(data))  # type: ignore[arg-type]
        self._waiting += written
        return len(written)

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken
