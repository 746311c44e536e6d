"""Where one evaluation's time goes: the kernels that take most of it, stock's and ours'."""

from __future__ import annotations

import sys

import torch
from torch.profiler import ProfilerActivity, profile

from scripts.cuda_check.evaluation import TIMED_TYPE, wait
from scripts.cuda_check.rows import Figures, Task
from scripts.cuda_check.sides import Evaluation, Subject, best_side, make_inputs, stock_side
from scripts.cuda_check.subjects import sizes

LONGEST = 40


def profile_kernels(evaluate: Evaluation, device: torch.device) -> Figures:
    """Return the milliseconds and calls of each kernel (of each operation, on a CPU), the longest first."""
    on_card = device.type == "cuda"
    with torch.inference_mode():
        evaluate()
        wait(device)
        kinds = [ProfilerActivity.CUDA] if on_card else [ProfilerActivity.CPU]
        with profile(activities=kinds) as profiled:
            evaluate()
            wait(device)
    spent = {
        event.key: (event.self_device_time_total if on_card else event.self_cpu_time_total, event.count)
        for event in profiled.key_averages()
    }
    longest = sorted(spent.items(), key=lambda item: -item[1][0])[:LONGEST]
    return {
        "milliseconds": round(sum(time for time, _ in spent.values()) / 1000, 2),
        "launches": sum(count for _, count in spent.values()),
        "kernels": [[name[:160], round(time / 1000, 3), count] for name, (time, count) in longest],
    }


def main() -> None:
    task = Task.from_json(sys.argv[1])
    pair = Subject.of(task).load_pair(TIMED_TYPE[task.device])
    size = sizes(task)[0]
    inputs = make_inputs(pair.stock, size)
    for name, side in (("ours", best_side), ("stock", stock_side)):
        task.attempt(
            f"{size.name}, {name}",
            lambda side=side: profile_kernels(side(pair, inputs), pair.device),  # type: ignore[misc]
        )


if __name__ == "__main__":
    main()
