"""The four presets from picture to MP4, for a few steps each, beside their estimates."""

from __future__ import annotations

import sys

from scripts.cuda_check.benching import run_bench
from scripts.cuda_check.rows import Task

if __name__ == "__main__":
    run_bench(Task.from_json(sys.argv[1]), ("presets",), is_quick=True)
