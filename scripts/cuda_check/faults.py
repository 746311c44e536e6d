"""Half precision without NaN, cancelling, and memory that runs out, on the full-size model."""

from __future__ import annotations

import sys

from scripts.cuda_check.benching import run_bench
from scripts.cuda_check.rows import Task

if __name__ == "__main__":
    run_bench(Task.from_json(sys.argv[1]), ("nan", "cancel", "memory"), is_quick=True)
