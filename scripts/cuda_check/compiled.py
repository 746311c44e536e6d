"""`torch.compile`, ours and stock's, beside stock as it is: cold start and time. It may take minutes."""

from __future__ import annotations

import sys

from scripts.cuda_check.evaluation import TIMED_TYPE, measure_sides
from scripts.cuda_check.rows import Row, Task
from scripts.cuda_check.sides import COMPILED, Subject, best_side, stock_side
from scripts.cuda_check.subjects import sizes


def main() -> None:
    task = Task.from_json(sys.argv[1])
    if task.is_tiny:
        detail = "without a card: tests/engines/i2vgen_xl/test_compiled.py compiles on the CPU"
        task.add(Row(task.part, "all", "skipped", detail))
        return
    pair = Subject.of(task).load_pair(TIMED_TYPE[task.device])
    for size in sizes(task)[:1]:
        measure_sides(task, {"stock": stock_side, "ours": best_side, **COMPILED}, pair, size)


if __name__ == "__main__":
    main()
