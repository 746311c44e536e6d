"""What the headers of uploaded pictures tell, asked for once for each file.

Owns what is remembered, since the page asks at every change of a widget. Files are read by the service's own
process; here they are bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

from anyio.to_thread import run_sync

from i2v.core.errors import InvalidRequest
from i2v.media.image import Inspection
from i2v.web.page.uploads import read_upload

REMEMBERED = 256  # files

_Key = tuple[str, int, int]


class Inspected:
    """Inspections of files, the last `REMEMBERED` of them."""

    def __init__(self, inspect: Callable[[bytes], Awaitable[Inspection]]) -> None:
        self._inspect = inspect
        self._known: OrderedDict[_Key, Inspection | InvalidRequest] = OrderedDict()

    async def of(self, path: Path) -> Inspection:
        """Return what is known of the file; raises as `read_upload` and `Service.inspect` do.

        A refusal is remembered as well; that the service is busy is not.
        """
        key = await run_sync(_key, path)
        if key not in self._known:
            found = await self._ask(path)
            self._known[key] = found
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        known = self._known[key]
        self._known.move_to_end(key)
        if isinstance(known, InvalidRequest):
            raise InvalidRequest.rebuilt(known.to_dict())
        return known

    async def _ask(self, path: Path) -> Inspection | InvalidRequest:
        try:
            return await self._inspect(await run_sync(read_upload, path))
        except InvalidRequest as error:
            return error


def _key(path: Path) -> _Key:
    try:
        status = path.stat()
    except OSError:  # reading it says so
        return str(path), 0, 0
    return str(path), status.st_mtime_ns, status.st_size
