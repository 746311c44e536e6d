"""Devices for tests that only a card answers: on a CPU their slow twins keep them from rotting."""

from __future__ import annotations

import pytest

CUDA = pytest.param("cuda", marks=pytest.mark.cuda)
DEVICES = [CUDA, pytest.param("cpu", marks=pytest.mark.slow)]
DTYPES = ["float32", "float16", "bfloat16"]
