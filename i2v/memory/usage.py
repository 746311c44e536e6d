"""How much memory was really used at the most, from one reading to the next.

Owns whom to ask: on CUDA torch's own count of what it has allocated (without CUDA's context), on a CPU the
kernel's of the whole process. What was expected is `estimate.metered`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PROCESS = Path("/proc/self")


class PeakMeter:
    """Reads the peak since the last reading. One a process at a time: there is one count, which it resets."""

    def __init__(self, device_type: Literal["cpu", "cuda"], process: Path = _PROCESS) -> None:
        """Start to watch. `process`: where Linux tells of this process."""
        self._device_type = device_type
        self._process = process
        self.read()

    def read(self) -> int | None:
        """Return the most bytes that were in use since the last reading, and start anew.

        `None` where nobody counts: on a CPU without Linux's /proc, or where that may not be written to.
        """
        return _peak_of_cuda() if self._device_type == "cuda" else _peak_of_process(self._process)


def _peak_of_cuda() -> int:
    import torch

    peak = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return peak


def _peak_of_process(process: Path) -> int | None:
    try:
        lines = (process / "status").read_text().splitlines()
        (process / "clear_refs").write_text("5")  # the peak starts anew (man 5 proc_pid_clear_refs)
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
