"""What the check runs on: card, driver, libraries, packages, ffmpeg; and what the card can do at most."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata

import torch

from i2v.core.packages import find_unmet, read_requirements
from i2v.doctor.graphics import find_graphics
from i2v.media.video import check_ffmpeg, ffmpeg_version
from scripts.cuda_check.rows import Figures, Skipped, Task
from scripts.cuda_check.wheels import OPTIONAL

PACKAGES = ("torch", "triton", "diffusers", "transformers", "numpy", "pillow", "gradio", "fastapi", "pytest")
COPY_BYTES, SIDE = 2**32, 8192


def find_machine() -> Figures:
    drivers = [f"{card.name}, driver {card.driver}" for card in find_graphics(os.environ).cards]
    figures: Figures = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "cards": drivers,
        "torch_cuda": torch.version.cuda,
        "packages": {name: _version(name) for name in PACKAGES},
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        figures |= {
            "card": properties.name,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "bytes": properties.total_memory,
            "cudnn": torch.backends.cudnn.version(),
        }
    return figures


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_requirements() -> Figures:
    """Hold what is installed to what i2v asks for; what may be left out is only named."""
    wanted = list(read_requirements(metadata.requires("i2v") or []))
    if not wanted:
        raise RuntimeError("i2v's own metadata name no requirement")
    unmet = list(find_unmet(wanted))
    left_out = [each.name for each in unmet if each.version is None and each.name in OPTIONAL]
    wrong = [each.to_error().message for each in unmet if each.name not in left_out]
    if wrong:
        raise RuntimeError(" ".join(wrong))
    return {"left_out": left_out}


def try_ffmpeg() -> Figures:
    check_ffmpeg(with_sound=True)
    return {"version": ffmpeg_version()}


def measure_ceilings() -> Figures:
    """Return what the card copies and multiplies at most: rows about speed are read beside these."""
    if not torch.cuda.is_available():
        raise Skipped("no NVIDIA card")
    source = torch.empty(COPY_BYTES // 2, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    copying = _seconds(lambda: target.copy_(source))
    one, other = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = _seconds(lambda: one @ other)
    return {
        "copy_bytes_per_second": round(COPY_BYTES / copying),
        "bfloat16_flop_per_second": round(2 * SIDE**3 / product),
    }


def _seconds(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(13):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[3:])


def main() -> None:
    task = Task.from_json(sys.argv[1])
    task.attempt("machine", find_machine)
    task.attempt("requirements", check_requirements)
    task.attempt("ffmpeg", try_ffmpeg)
    task.attempt("ceilings", measure_ceilings)


if __name__ == "__main__":
    main()
