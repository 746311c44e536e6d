"""How this process gets memory from the system, and when it gives it back.

Out of the box glibc maps each large tensor anew and unmaps it again, so that the kernel clears every page of
it each time: at 256 x 256 pixels an eighth of a clip's CPU time. Here it keeps what it has until `release`.
CUDA's caching allocator keeps its blocks anyway; segments that can grow let it waste less of them.

What the memory is for, and when a job has ended, is not known here.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

# Torch 2.6 to 2.13 read the first; the second is newer, and 2.9 has it but ignores it for CUDA.
_CUDA_SETTINGS = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_NEVER = -1


def configure() -> None:
    """Set allocators up for a process that makes clips; torch reads its part when it is imported.

    What the environment says of CUDA's allocator stays. On systems without glibc only that part is done.
    """
    if not any(name in os.environ for name in _CUDA_SETTINGS):
        os.environ[_CUDA_SETTINGS[0]] = "expandable_segments:True"
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)


def release() -> None:
    """Give what is free back to the system and to the device, cycles of Python objects first."""
    gc.collect()
    torch = sys.modules.get("torch")  # where nothing has imported it, it has nothing to give back
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Give what is free back to the system, in milliseconds: for between two stages of a clip."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
