"""The machine around i2v: real ports, real processes, and numbers where a machine cannot be had."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.doctor import machine
from i2v.doctor.graphics import Card
from i2v.doctor.machine import check_clock, check_memory, check_others, check_port
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL

GIB = 2**30
NOBODY = 65534


def card(free: float | None) -> Card:
    return Card("RTX 4090", "580.65", 24 * GIB, None if free is None else int(free * GIB))


# --- memory


@pytest.mark.parametrize(
    ("spec", "used", "available", "status", "code"),
    [
        (EMBEDDED, None, 16, "ok", "doctor.memory"),
        (EMBEDDED, None, 0.5, "problem", "doctor.memory"),
        (EMBEDDED, card(23), 16, "info", "doctor.memory_unknown"),
        (I2VGEN_XL, None, 16, "info", "doctor.memory_unknown"),
        (I2VGEN_XL, card(23), 0.5, "ok", "doctor.card_memory"),
        (I2VGEN_XL, card(13), 16, "warning", "doctor.card_memory"),
        (I2VGEN_XL, card(None), 16, "info", "doctor.memory_unknown"),
    ],
)
def test_too_little_memory_is_reported_where_it_is_known_what_a_clip_takes(
    spec: EngineSpec, used: Card | None, available: float, status: str, code: str
) -> None:
    finding = check_memory(spec, used, int(available * GIB), 24 * GIB)
    assert (finding.status, finding.found.code) == (status, code)
    assert (finding.fix is not None) == (status in ("warning", "problem"))


# --- other programs


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[int]:
    """A process that is no relative of this one, with a file in its memory that is called like torch's."""
    library = tmp_path / "libtorch_stand_in.so"
    library.write_bytes(b"x" * 4096)
    code = (
        "import mmap, sys, time; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(library)]
    launch = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid)"
    done = subprocess.run(
        [sys.executable, "-c", launch, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    pid = int(done.stdout)
    until = time.monotonic() + 20
    while library.name not in Path(f"/proc/{pid}/maps").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
    yield pid
    os.kill(pid, signal.SIGKILL)


def test_another_program_with_torch_in_much_memory_is_named(
    stranger: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named() -> bool:
        return any(each.found.params.get("pid") == stranger for each in check_others(()))

    assert not named(), "it holds little"
    monkeypatch.setattr(machine, "MUCH_MEMORY", 2**20)
    assert named()
    (finding,) = (each for each in check_others(()) if each.found.params.get("pid") == stranger)
    assert (finding.status, finding.found.code) == ("warning", "doctor.memory_shared")
    assert finding.fix is not None


def test_another_program_on_the_card_is_named_and_our_own_are_not(stranger: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        gone = 2**22 + 1  # above what Linux gives
        findings = check_others([os.getpid(), os.getppid(), child.pid, stranger, gone])
    finally:
        child.kill()
        child.communicate()
    shared = {each.found.params["pid"]: each for each in findings if each.found.code == "doctor.card_shared"}
    assert shared.keys() == {stranger, gone}
    assert shared[stranger].found.params["name"] == psutil.Process(stranger).name()
    assert {each.status for each in shared.values()} == {"warning"}


def test_no_other_program_is_good_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MUCH_MEMORY", 2**60)  # whatever else runs on this machine
    (finding,) = check_others(())
    assert (finding.status, finding.found.code) == ("ok", "doctor.alone")


# --- the port


@pytest.fixture
def listener() -> Iterator[tuple[int, int]]:
    """The id of another process, and the port that it listens on."""
    code = "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    yield child.pid, int(child.stdout.readline())
    child.kill()
    child.communicate()


def test_a_port_taken_by_another_program_is_a_problem_that_names_it(listener: tuple[int, int]) -> None:
    pid, port = listener
    finding = check_port(port)
    assert (finding.status, finding.found.code) == ("problem", "doctor.port_taken")
    assert finding.found.params == {"port": port, "pid": pid, "name": psutil.Process(pid).name()}
    assert finding.fix is not None
    assert str(pid) in finding.fix.message


def test_a_port_is_free_again_as_soon_as_its_listener_is_gone() -> None:
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
        finding = check_port(port)
        assert (finding.status, finding.found.code) == ("ok", "doctor.port_ours")
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass  # closed from our side first, the connection lingers for a minute
    finding = check_port(port)
    assert (finding.status, finding.found.code) == ("ok", "doctor.port_free")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give root's rights away for a while; who is not root has none to give."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a process of another user, which only root can have")
def test_a_port_taken_by_another_user_is_a_problem_without_a_name(listener: tuple[int, int]) -> None:
    with as_nobody():
        finding = check_port(listener[1])
    assert (finding.status, finding.found.code) == ("problem", "doctor.port_taken_unseen")


@pytest.mark.skipif(
    int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 999,
    reason="everybody may open low ports here",
)
def test_a_port_that_may_not_be_opened_is_a_problem() -> None:
    with as_nobody():
        finding = check_port(999)
    assert (finding.status, finding.found.code) == ("problem", "doctor.port_closed")


# --- the clock


def test_a_clock_before_i2vs_own_files_is_warned_of() -> None:
    written = Path(machine.__file__).stat().st_mtime
    assert check_clock(time.time(), written).status == "ok"
    assert check_clock(written - 60, written).status == "ok"
    finding = check_clock(written - 86400, written)
    assert (finding.status, finding.found.code) == ("warning", "doctor.clock_back")
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", finding.found.message)) == 2
