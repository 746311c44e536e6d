"""workers.executors.ray without Ray: what keeps its head from starting is said; no other one is joined."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from i2v.core.errors import I2VError
from i2v.jobs.store import JobStore
from i2v.serve import serve
from i2v.workers.executors import ray as ray_module
from i2v.workers.executors.ray import RayExecutor
from tests.house import wait_until
from tests.rehearsal import ENGINES, stage

FAILS = "import sys; sys.exit('ConnectionError: there is no room for it')"


@pytest.fixture(autouse=True)
def no_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(executor: RayExecutor) -> bool:
        raise AssertionError("there is no Ray to connect to")

    monkeypatch.setattr(ray_module, "find_spec", lambda name: True)
    monkeypatch.setattr(ray_module, "head_command", lambda *_: [sys.executable, "-c", FAILS])
    monkeypatch.setattr(RayExecutor, "_run_dispatcher", run)


@contextmanager
def started(folder: Path, port: int) -> Iterator[Callable[[], I2VError | None]]:
    """Start an executor whose Ray is to listen at `port`; lend what it says of its problem."""
    settings = stage(folder, worker__executor="ray", ray__head_port=port)
    with closing(JobStore(settings.database)) as store:
        executor = RayExecutor(settings, store, ENGINES, folder / "logs")
        executor.start()
        try:
            yield lambda: executor._problem and executor.problem()
        finally:
            executor.stop()
    assert heads() == []


def heads() -> list[psutil.Process]:
    """Return those that run: of one that ended meanwhile there is no command line."""
    own = psutil.Process().pid
    running = psutil.process_iter(["ppid", "cmdline"])
    return [each for each in running if each.info["ppid"] == own and FAILS in (each.info["cmdline"] or [])]


def test_whoever_listens_at_its_port_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with started(tmp_path, port) as problem:
            wait_until(lambda: problem() is not None)
            error = problem()
            assert error is not None
            assert (error.code, error.params["address"]) == ("cluster.no_head", f"127.0.0.1:{port}")


def test_why_the_head_has_ended_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with started(tmp_path, port) as problem:
        wait_until(lambda: problem() is not None)
        error = problem()
        assert error is not None
        assert error.code == "cluster.not_joined"
        assert "there is no room for it" in error.message


def test_without_ray_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_module, "find_spec", lambda name: None)
    settings = stage(tmp_path, worker__executor="ray", service__data_dir=tmp_path / "new")
    settings.inputs.rmdir()
    settings.inputs.parent.rmdir()
    with pytest.raises(I2VError, match="package ray") as caught:
        serve(settings, ENGINES, tmp_path / "logs")
    assert caught.value.code == "cluster.no_ray"
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "logs").exists()
