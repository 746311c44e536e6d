"""i2v.core.signals: a signal is not lost, and what it interrupts is brought to its end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from i2v.core.signals import ENDING, children_out_of_reach, held_back, stopping


def interrupt(reached: list[str], then: BaseException | None = None) -> None:
    """Be interrupted inside a block, go on to its end, and fail there if asked to."""
    with held_back():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the end")
        if then is not None:
            raise then
    reached.append("too far")


def test_a_signal_waits_until_the_block_ends() -> None:
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupt(reached)
    assert reached == ["the end"]


def test_it_comes_also_after_an_error() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupt([], then=ValueError())
    assert isinstance(caught.value.__context__, ValueError)


def test_it_can_be_dropped() -> None:
    with held_back(drop=True):
        os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with held_back():
        assert [signal.getsignal(number) for number in ENDING] != before
    assert [signal.getsignal(number) for number in ENDING] == before


def test_an_ignored_signal_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with held_back():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_other_threads_are_let_through() -> None:
    done = []

    def work() -> None:
        with held_back():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_stops_and_the_next_ones_leave_the_unwinding_in_peace(
    number: signal.Signals,
) -> None:
    before = [signal.getsignal(each) for each in ENDING]
    with stopping() as is_stopped:
        assert not is_stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert is_stopped()
        for each in ENDING:
            os.kill(os.getpid(), each)
    assert [signal.getsignal(each) for each in ENDING] == before


def test_children_never_get_what_ctrl_c_sends_to_the_whole_terminal() -> None:
    context = multiprocessing.get_context("spawn")
    with children_out_of_reach():
        child = context.Process(target=os.getpid, daemon=True)
        child.start()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGINT)  # while it starts
    child.join(60)
    assert child.exitcode == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


PARENT = """
import os, subprocess, sys
child = "import os, signal, time; from i2v.core.signals import die_with; " \\
    "die_with(os.getppid(), signal.SIGTERM); print('here', flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, start_new_session=True)
process.stdout.readline()
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_a_process_ends_with_the_one_that_has_started_it() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        psutil.wait_procs([child], timeout=60)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
