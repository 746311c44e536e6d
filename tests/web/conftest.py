"""Fixtures of the web tests: houses, and a picture to send them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image

from i2v.web.page.gradio_import import without_stubs
from tests.decoded_once import decoded_once
from tests.web.house import House, running

with without_stubs():  # as the server does: else each process of the tests writes them into the installation
    import gradio  # noqa: F401


@pytest.fixture(scope="module", autouse=True)
def _pictures_are_decoded_once() -> Iterator[None]:
    with decoded_once():
        yield


@pytest.fixture(scope="session")
def picture(photo: Image.Image) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def house(tmp_path: Path, picture: bytes) -> Iterator[House]:
    with running(tmp_path, picture) as started:
        yield started


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    """One for the tests of a file that do not look at what others left."""
    with running(tmp_path_factory.mktemp("house"), picture) as started:
        yield started


@pytest.fixture
def start_house(tmp_path: Path, picture: bytes) -> Callable[..., AbstractContextManager[House]]:
    """Start a house with other settings: `start_house(service__max_queued=1)`."""
    return lambda **flags: running(tmp_path, picture, **flags)
