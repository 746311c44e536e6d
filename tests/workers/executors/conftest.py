"""The house that the tests of executors share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.house import House, open_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests of a file that need no other settings: a worker that dies is started again anyway."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened
