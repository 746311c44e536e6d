"""Fixtures of the command line's tests: a picture on the disk, a folder for videos, an environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.decoded_once import decoded_once


@pytest.fixture(scope="module", autouse=True)
def _pictures_are_decoded_once() -> Iterator[None]:
    with decoded_once():
        yield


@pytest.fixture
def picture(photo: Image.Image, tmp_path: Path) -> Path:
    path = tmp_path / "ein Bild 照片.png"
    photo.save(path)
    return path


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "out put"


@pytest.fixture
def environment(outputs: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    return {
        **clean,
        "I2V_OUTPUT__DIRECTORY": str(outputs),
        "I2V_DATA_DIR": str(outputs.with_name("data")),
        "I2V_ENGINE__THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
