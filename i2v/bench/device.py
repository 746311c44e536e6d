"""The device as the bench measures it: what is held, what was held at the most, and a cap on it.

Runs in the processes that run the model. It is the one module of the bench that loads torch: it must be
imported after `allocator.configure`.
"""

from __future__ import annotations

import ctypes
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from i2v.core.memory_plan import DeviceInfo
from i2v.memory import allocator
from i2v.memory.usage import PeakMeter

_M_MMAP_THRESHOLD, _M_MMAP_MAX = -3, -4  # malloc.h
_STATUS = Path("/proc/self/status")


class Gauge:
    """Reads one device. Bytes are torch's allocations on CUDA and the process's own memory on a CPU."""

    def __init__(self, device: DeviceInfo) -> None:
        self._is_cuda = device.type == "cuda"
        if self._is_cuda:
            torch.cuda.init()  # type: ignore[no-untyped-call]  # else counters cannot be reset
        self._total = device.total_memory
        self._meter = PeakMeter(device.type)

    def now(self) -> float:
        """Return seconds, when all that was asked of the device is done."""
        if self._is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def peak(self) -> int | None:
        """Return the most bytes that were held since this was last asked (`PeakMeter.read`)."""
        return self._meter.read()

    def reserved(self) -> int | None:
        """Return the most bytes that torch's allocator took from the card, `None` on a CPU."""
        return torch.cuda.max_memory_reserved() if self._is_cuda else None

    def on_card(self) -> int | None:
        """Return the bytes of the whole card that are in use now, by others too; `None` on a CPU."""
        if not self._is_cuda:
            return None
        free, total = torch.cuda.mem_get_info()
        return total - free

    def release(self) -> int:
        """Give back what is not in use, and return the bytes that are held then."""
        allocator.release()
        if self._is_cuda:
            return torch.cuda.memory_reserved()
        return psutil.Process().memory_info().rss

    def give_back_at_once(self) -> None:
        """Have glibc map each tensor by itself: `capped` then limits what is in use, without holes."""
        libc = ctypes.CDLL(None)
        if not self._is_cuda and hasattr(libc, "gnu_get_libc_version"):
            libc.mallopt(_M_MMAP_MAX, 2**20)
            libc.mallopt(_M_MMAP_THRESHOLD, 2**16)

    @contextmanager
    def capped(self, count: int) -> Iterator[None]:
        """Inside, this process gets no more than `count` bytes (of data, on a CPU)."""
        if self._is_cuda:
            torch.cuda.set_per_process_memory_fraction(min(1.0, count / self._total))
            try:
                yield
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0)
            return
        _, hard = before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (count, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)

    def cappable(self) -> int:
        """Return the bytes held now of what `capped` limits."""
        return torch.cuda.memory_reserved() if self._is_cuda else _of_status("VmData")

    def seed(self, number: int) -> None:
        """Seed what has no generator of its own: stock's first frame."""
        torch.manual_seed(number)

    def facts(self) -> dict[str, object]:
        """Return what libraries and card are, beyond names and versions of packages."""
        facts: dict[str, object] = {"threads": torch.get_num_threads(), "torch_cuda": torch.version.cuda}
        if self._is_cuda:
            major, minor = torch.cuda.get_device_capability()
            facts |= {
                "compute_capability": f"{major}.{minor}",
                "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
                "bfloat16": torch.cuda.is_bf16_supported(),
            }
        return facts


def _of_status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{_STATUS} has no {name}")
    return int(found[1]) * 1024
