"""i2v.web.page.inspected: a file is asked about once, whatever came of it, and again when it has changed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.media.image import Inspection
from i2v.web.page import inspected
from i2v.web.page.inspected import Inspected


class Service:
    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def inspect(self, picture: bytes) -> Inspection:
        self.asked.append(picture)
        if picture == b"wrong":
            raise InvalidRequest("image.empty")
        if picture == b"busy":
            raise I2VError("image.decoders_busy")
        return Inspection((len(picture), 1), (len(picture), 1), ())


def test_each_content_is_asked_about_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service, file = Service(), tmp_path / "x.png"
    known = Inspected(service.inspect)

    def ask() -> Inspection:
        return asyncio.run(known.of(file))

    file.write_bytes(b"first")
    assert [ask().size for _ in range(3)] == [(5, 1)] * 3
    file.write_bytes(b"wrong")
    os.utime(file, ns=(1, 1))
    for _ in range(3):
        with pytest.raises(InvalidRequest, match="empty"):
            ask()
    assert service.asked == [b"first", b"wrong"]
    file.write_bytes(b"busy")
    for _ in range(2):
        with pytest.raises(I2VError, match="Too many"):
            ask()
    assert service.asked[2:] == [b"busy", b"busy"]
    monkeypatch.setattr(inspected, "REMEMBERED", 2)
    for length in range(1, 5):
        file.write_bytes(b"x" * length)
        os.utime(file, ns=(length, length))
        ask()
    assert len(known._known) == 2


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(Inspected(Service().inspect).of(tmp_path / "gone.png"))
    assert caught.value.code == "image.unreadable"
