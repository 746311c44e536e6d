"""The weights that a card is measured with: I2VGen-XL's size, random values."""

from __future__ import annotations

import sys

from scripts.cuda_check.rows import Figures, Task
from scripts.full_size.layout import read_table
from scripts.full_size.write import is_written, write_model


def write_weights(task: Task) -> Figures:
    """Write them into the task's folder, unless they are there."""
    if not is_written(task.folder):
        write_model(task.folder, 0, read_table())
    return {"bytes": sum(file.stat().st_size for file in task.folder.rglob("*") if file.is_file())}


if __name__ == "__main__":
    given = Task.from_json(sys.argv[1])
    given.attempt("random weights", lambda: write_weights(given))
