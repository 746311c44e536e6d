"""What the JSON files of benchmarks have in common."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from benchmarks.reports import heading, machine, versions, write
from i2v.service.overview import cpu_name


def test_a_file_tells_what_it_was_measured_on_and_with() -> None:
    found = machine(1.5)
    assert (found["cpu"], found["cpus"], found["load_average"][0]) == (cpu_name(), os.cpu_count(), 1.5)
    assert versions()["python"] == platform.python_version()
    message = heading({"machine": found, "versions": versions()}, 3)
    assert f"torch {versions()['torch']}" in message
    assert message.endswith(f"3 thread(s) on {cpu_name()}")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    for figures in ({"a": 1}, {"a": 2}):
        write(path, figures)
        assert json.loads(path.read_text()) == figures
    with pytest.raises(TypeError):
        write(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 2}
    assert list(tmp_path.iterdir()) == [path]
