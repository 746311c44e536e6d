"""What the benchmarks' JSON files have in common: what they were measured on, and how they get on the disk.

Loads no torch, as those who use it start the processes whose memory is measured.
"""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from i2v.service.overview import cpu_name

Figures = dict[str, Any]
PACKAGES = ("i2v", "torch", "diffusers", "transformers", "numpy")


def machine(load_before: float) -> Figures:
    """Return what was measured on; `load_before` and the load average of now tell what else ran there."""
    return {
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "platform": platform.platform(),
        "load_average": [load_before, os.getloadavg()[0]],
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def heading(report: Figures, threads: int) -> str:
    """Return the first line of a table: what was compared, on what. All of it computes in float32."""
    used = report["versions"]
    return (
        f"i2v {used['i2v']}, diffusers {used['diffusers']}, torch {used['torch']}, float32,"
        f" {threads} thread(s) on {report['machine']['cpu']}"
    )


def write(path: Path, figures: Figures) -> None:
    """Write in one step: what is at `path` is whole, whatever ends this."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
