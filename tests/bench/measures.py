"""Measurements for the tests of `i2v.bench.apart`: what can happen in a process, without torch."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable

from i2v.core.errors import ModelUnavailable


def count(task: int, tell: Callable[[float], None]) -> dict[str, object]:
    for number in range(1, task + 1):
        tell(number / task)
    return {"counted": task, "process": os.getpid()}


def refuse(task: str, tell: Callable[[float], None]) -> dict[str, object]:
    raise ModelUnavailable("weights.missing_file", title=task, path="unet.safetensors")


def crash(task: str, tell: Callable[[float], None]) -> dict[str, object]:
    print(task, file=sys.stderr, flush=True)
    ctypes.string_at(0)
    return {}


def hang(task: float, tell: Callable[[float], None]) -> dict[str, object]:
    tell(float(os.getpid()))
    time.sleep(task)
    return {}
