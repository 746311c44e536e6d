"""i2v.host.service_lock: who holds a data folder, across processes and their deaths."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from i2v.core.errors import I2VError
from i2v.host.service_lock import NAME, Holder, find_holder, hold

HOLD = """
import sys, time
from pathlib import Path
from i2v.host.service_lock import hold
with hold(Path(sys.argv[1]), ["http://127.0.0.1:7"], None):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holding_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_holder_says_who_it_is(tmp_path: Path) -> None:
    assert find_holder(tmp_path) is None
    with hold(tmp_path, ["http://127.0.0.1:7860"], tmp_path / "app.log"):
        holder = find_holder(tmp_path)
        assert holder == Holder(os.getpid(), ("http://127.0.0.1:7860",), str(tmp_path / "app.log"))
        assert holder.process(tmp_path) == psutil.Process()
    assert find_holder(tmp_path) is None


def test_a_second_one_is_refused_and_leaves_the_first_ones_words(tmp_path: Path) -> None:
    with holding_process(tmp_path) as process:
        with pytest.raises(I2VError, match=str(tmp_path)), hold(tmp_path, [], None):
            pass
        assert find_holder(tmp_path) == Holder(process.pid, ("http://127.0.0.1:7",), None)


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with holding_process(tmp_path) as process:
        process.kill()
        process.wait()
        assert json.loads((tmp_path / NAME).read_text())["pid"] == process.pid
        assert find_holder(tmp_path) is None
        with hold(tmp_path, [], None):
            assert find_holder(tmp_path) == Holder(os.getpid())


def test_who_only_looks_keeps_nobody_out(tmp_path: Path) -> None:
    with hold(tmp_path, [], None):
        pass
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            find_holder(tmp_path)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(50):
            with hold(tmp_path, [], None):
                pass
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("words", ["", '{"pid": 1', "{}"])
def test_a_holder_that_is_still_writing_is_one_already(tmp_path: Path, words: str) -> None:
    with (tmp_path / NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(words)
        file.flush()
        assert find_holder(tmp_path) == Holder()


def test_a_process_that_does_not_have_the_file_open_is_not_the_holder(tmp_path: Path) -> None:
    with hold(tmp_path, [], None):
        assert Holder(os.getppid()).process(tmp_path) is None
        assert Holder(2**22 + 1).process(tmp_path) is None
    assert Holder(os.getpid()).process(tmp_path) is None


@pytest.mark.parametrize(
    "replaced_by", [pytest.param(None, marks=pytest.mark.slow), "", '{"pid": 1, "urls": [], "log": null}']
)
def test_the_lock_outlives_its_file(tmp_path: Path, replaced_by: str | None) -> None:
    with holding_process(tmp_path) as process:
        (tmp_path / NAME).unlink()
        if replaced_by is not None:
            (tmp_path / NAME).write_text(replaced_by)
        with pytest.raises(I2VError) as caught, hold(tmp_path, [], None):
            pass
        assert caught.value.code == "server.data_in_use"
        assert find_holder(tmp_path) == (Holder() if replaced_by == "" else Holder(process.pid))
        assert Holder(process.pid).process(tmp_path) == psutil.Process(process.pid)
        assert Holder(os.getpid()).process(tmp_path) is None
    process.wait()
    with hold(tmp_path, [], None):
        pass


def test_without_its_file_the_holder_is_still_found(tmp_path: Path) -> None:
    with holding_process(tmp_path) as process:
        (tmp_path / NAME).unlink()
        assert find_holder(tmp_path) == Holder(process.pid)
        assert not (tmp_path / NAME).exists(), "who only looks makes nothing"


def test_an_earlier_version_that_locks_the_file_alone_is_not_overlooked(tmp_path: Path) -> None:
    with (tmp_path / NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump({"pid": 7, "urls": ["http://127.0.0.1:7"], "log": None}, file)
        file.flush()
        assert find_holder(tmp_path) == Holder(7, ("http://127.0.0.1:7",))
        with pytest.raises(I2VError), hold(tmp_path, [], None):
            pass


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with hold(tmp_path, [], None):
            assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_folder_that_is_not_there_is_held_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert find_holder(tmp_path / "nothing") is None
    assert find_holder(tmp_path / "file") is None
