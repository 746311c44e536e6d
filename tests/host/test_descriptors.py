"""`i2v.host.descriptors`: the limit as a process has it, and what is left for connections."""

from __future__ import annotations

import subprocess
import sys

import pytest

from i2v.host.descriptors import LEAST_CONNECTIONS, MOST_CONNECTIONS, connections_within

SCRIPT = """
import resource
from i2v.host.descriptors import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "found"), [(64, 128, 128), (100, 100, 100)])
def test_the_soft_limit_becomes_the_hard_one(soft: int, hard: int, found: int) -> None:
    code = SCRIPT.format(soft=soft, hard=hard)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(found), f"({found},", f"{hard})"]


@pytest.mark.parametrize(
    ("limit", "used", "connections"),
    [
        (64, 17, 9),
        (256, 30, 48),
        (1024, 40, 230),
        (65_536, 40, MOST_CONNECTIONS),
        (32, 30, LEAST_CONNECTIONS),
    ],
)
def test_connections_leave_descriptors_for_what_answers_them(limit: int, used: int, connections: int) -> None:
    assert connections_within(limit, used) == connections


def test_descriptors_in_use_are_counted() -> None:
    assert connections_within(256) < connections_within(256, used=0)
