"""`i2v.web.api.waiting_place`: where large bodies wait, where they cannot, and whose turn it is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from i2v.core.errors import EncodeError
from i2v.web.api.waiting_place import IN_MEMORY, waiting_place
from tests import disks

LARGE = bytes(range(256)) * (IN_MEMORY // 128)
PIECE = 64_000


def through(body: bytes, folder: Path) -> bytes:
    """Return what `body` is after it has waited in `folder`."""

    async def wait() -> bytes:
        with waiting_place(folder) as place:
            for start in range(0, len(body), PIECE):
                await place.write(body[start : start + PIECE])
            return await place.read_out(bytes, anyio.CapacityLimiter(1))

    return anyio.run(wait)


@pytest.fixture
def full_folder(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 KB."""
    with disks.small_disk(tmp_path / "full") as folder:
        yield folder


def test_the_folder_for_temporary_files_does_not_matter(
    tmp_path: Path, full_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for useless in (full_folder, tmp_path / "missing"):
        monkeypatch.setattr(tempfile, "tempdir", str(useless))
        assert through(LARGE, tmp_path) == LARGE
    assert [path.name for path in tmp_path.iterdir()] == ["full"]  # what waited left nothing


def test_a_full_disk_is_named(full_folder: Path) -> None:
    with pytest.raises(EncodeError) as caught:
        through(LARGE, full_folder)
    assert (caught.value.code, caught.value.params["path"]) == ("image.no_space", str(full_folder))
    assert list(full_folder.iterdir()) == []
    assert through(b"small", full_folder) == b"small"  # it needs no disk


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_folder_that_takes_nothing_is_named(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    if kind == "a file":
        folder.write_text("")
    with pytest.raises(EncodeError) as caught:
        through(LARGE, folder)
    assert (caught.value.code, caught.value.params["path"]) == ("image.not_stored", str(folder))


def test_large_ones_are_read_one_after_the_other_and_small_ones_do_not_wait(tmp_path: Path) -> None:
    async def read(body: bytes, turns: anyio.CapacityLimiter) -> int:
        with waiting_place(tmp_path) as place:
            await place.write(body)
            return await place.read_out(len, turns)

    async def held() -> None:
        turns = anyio.CapacityLimiter(1)
        await turns.acquire_on_behalf_of("another")
        assert await read(b"small", turns) == 5
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            await read(LARGE, turns)
        turns.release_on_behalf_of("another")
        assert await read(LARGE, turns) == len(LARGE)

    anyio.run(held)
