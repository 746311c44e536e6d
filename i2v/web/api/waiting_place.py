"""Where a large body, or the picture in it, waits while it arrives: a file without a name.

In the service's own folder, so that the machine's folder for temporary files does not matter; many that
arrive slowly take no memory. Does not know what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, TypeVar, cast

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.datastructures import UploadFile

from i2v.core.errors import not_stored

IN_MEMORY = 2**20  # bytes; what is larger waits on the disk

T = TypeVar("T")


class WaitingPlace:
    """See `waiting_place`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._upload = UploadFile(file)  # writes to the disk in a thread

    async def write(self, piece: bytes) -> None:
        await self._upload.write(piece)

    async def read_out(self, use: Callable[[bytes], T], when_large: CapacityLimiter) -> T:
        """Return what `use` makes, in a thread, of all that was written; of much, when it is its turn."""
        turn = when_large if self._file.tell() > IN_MEMORY else None
        return await run_sync(lambda: use(self._content()), limiter=turn)

    def _content(self) -> bytes:
        self._file.seek(0)
        return self._file.read()


@contextmanager
def waiting_place(folder: Path) -> Iterator[WaitingPlace]:
    """Yield a place to write to, which is gone after the block.

    Raises:
        EncodeError: `image.no_space`, `image.not_stored`: `folder` does not take it.
    """
    try:
        with SpooledTemporaryFile(IN_MEMORY, dir=str(folder)) as file:
            yield WaitingPlace(cast("BinaryIO", file))
    except OSError as error:
        raise not_stored(folder, error) from error
