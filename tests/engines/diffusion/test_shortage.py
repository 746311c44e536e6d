"""A lack of memory is told from a defect by torch's types, and by words where it has none."""

from __future__ import annotations

import pytest
import torch

from i2v.engines.diffusion.shortage import out_of_memory


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.10 GiB."), "CUDA out of memory"),
        (RuntimeError("It failed. CUBLAS_STATUS_ALLOC_FAILED here"), "CUBLAS_STATUS_ALLOC_FAILED here"),
        (RuntimeError("std::bad_alloc"), "std::bad_alloc"),
        (RuntimeError("could not create a primitive"), "could not create a primitive"),
        (RuntimeError("could not create a primitive descriptor"), None),
        (MemoryError(), "MemoryError"),
        (RuntimeError("a defect"), None),
        (ValueError("out of memory"), None),
    ],
)
def test_a_lack_of_memory_is_told_from_a_defect(error: BaseException, reason: str | None) -> None:
    assert out_of_memory(error) == reason
