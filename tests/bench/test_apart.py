"""i2v.bench.apart: real processes that end in every way."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import psutil
import pytest

from i2v.bench.apart import MeasureFailed, run_apart
from tests.bench.measures import count, crash, hang, refuse

PATIENCE = 60.0


def test_figures_come_from_another_process_and_its_progress_is_heard(tmp_path: Path) -> None:
    heard: list[float] = []
    figures = run_apart(count, 4, tmp_path, heard.append, PATIENCE)
    assert heard == [0.25, 0.5, 0.75, 1.0]
    assert figures["counted"] == 4
    assert figures["process"] != os.getpid()


def test_an_error_is_reported_with_its_code_and_the_place_in_the_code(tmp_path: Path) -> None:
    with pytest.raises(MeasureFailed, match=r"unet\.safetensors") as caught:
        run_apart(refuse, "Tiny", tmp_path, print, PATIENCE)
    failure = caught.value.failure
    assert (failure.kind, failure.code) == ("ModelUnavailable", "weights.missing_file")
    assert failure.where[-1].startswith("tests/bench/measures.py:")
    assert failure.where[-1].endswith(" refuse")


def test_a_crash_is_reported_with_its_signal_and_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(MeasureFailed, match=r"SIGSEGV.*no kernel image"):
        run_apart(crash, "no kernel image", tmp_path, print, PATIENCE)


def test_a_silent_process_is_ended(tmp_path: Path) -> None:
    with pytest.raises(MeasureFailed, match="did not respond"):
        run_apart(hang, 1000.0, tmp_path, print, 1.0)
    assert multiprocessing.active_children() == []


def test_whatever_ends_the_caller_ends_the_process(tmp_path: Path) -> None:
    started: list[int] = []

    def interrupt(word: float) -> None:
        started.append(int(word))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_apart(hang, 1000.0, tmp_path, interrupt, PATIENCE)
    assert not psutil.pid_exists(started[0])
