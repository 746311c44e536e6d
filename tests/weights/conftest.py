"""Fixtures of the weights' tests: hubs on this machine, and settings that know no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from i2v.core.settings import ModelSettings
from tests.models import models_in
from tests.weights.hub import Hub, make_files, running

MakeHub = Callable[..., Hub]
MakeModels = Callable[..., ModelSettings]


@pytest.fixture
def make_hub() -> Iterator[MakeHub]:
    """Start a hub; its fields can be given."""
    with ExitStack() as stack:

        def make(**fields: object) -> Hub:
            files = fields.pop("files", None) or make_files()
            return stack.enter_context(running(Hub(files, **fields)))  # type: ignore[arg-type]

        yield make


@pytest.fixture
def make_models(tmp_path: Path) -> MakeModels:
    """Return settings of models below `tmp_path` whose sources are the given hubs.

    Where a test waits for silence to be noticed, it gives shorter times: a busy machine is silent too.
    """

    def make(*hubs: Hub, **flags: object) -> ModelSettings:
        usual: dict[str, object] = {
            "sources": ",".join(hub.address for hub in hubs),
            "probe_seconds": 30,
            "stall_seconds": 30,
        }
        return models_in(Path(str(flags.pop("directory", tmp_path / "models"))), **usual | flags)

    return make


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep this machine's proxies, mirrors and caches out, and the libraries' files below `tmp_path`."""
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope_home"))
