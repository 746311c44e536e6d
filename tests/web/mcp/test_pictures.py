"""i2v.web.mcp.pictures: one of three ways, and of files no more than what the settings allow."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.web.mcp.pictures import read_picture, uploads_in
from i2v.web.one_time import OneTime


@pytest.fixture
def once(tmp_path: Path) -> OneTime:
    return OneTime(tmp_path)


def test_each_way_gives_the_file(once: OneTime, tmp_path: Path) -> None:
    upload_id, _ = once.offer_upload()
    once.keep_upload(upload_id, b"picture")
    path = tmp_path / "below" / "photo.png"
    path.parent.mkdir()
    path.write_bytes(b"picture")
    for given in (
        {"upload_id": upload_id},
        {"data": base64.b64encode(b"picture").decode()},
        {"path": str(path)},
    ):
        assert read_picture(given, once, [tmp_path], 100) == b"picture"
    assert len(read_picture({"path": str(path)}, once, [tmp_path], 3)) == 4, "it shows that it is too large"


@pytest.mark.parametrize("given", [
    None, "photo.png", 7, [], {}, {"data": 7}, {"path": ["a"]}, {"upload_id": "a", "data": "b"}, {"url": "http://a/"},
])  # fmt: skip
def test_anything_else_is_refused(once: OneTime, tmp_path: Path, given: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_picture(given, once, [tmp_path], 100)
    assert (caught.value.code, caught.value.params["field"]) == ("request.invalid", "image")


def test_without_allowed_folders_no_path_is_read(once: OneTime, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"picture")
    for path in (tmp_path / "photo.png", "/etc/passwd", "/\0", "", "photo.png"):
        with pytest.raises(InvalidRequest) as caught:
            read_picture({"path": str(path)}, once, [], 100)
        assert caught.value.code == "mcp.no_folder"


def test_a_pipe_holds_up_nobody(once: OneTime, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidRequest) as caught:
        read_picture({"path": str(tmp_path / "pipe")}, once, [tmp_path], 100)
    assert caught.value.code == "mcp.not_read"


def test_the_uploads_of_a_request_are_found() -> None:
    fields: dict[str, object] = {
        "image": {"upload_id": "a"},
        "inputs": [{"role": "last_image", "image": {"upload_id": "b"}}, {"image": {"data": "x"}}, 7],
    }
    assert uploads_in(fields) == ["a", "b"]
    assert uploads_in({"image": "x", "inputs": "y"}) == []
