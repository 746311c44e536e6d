"""One guided evaluation of the network, every way in turn in one process; and how near each is to float32."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from benchmarks.forward import stock_prediction
from benchmarks.stock import compare
from scripts.cuda_check.rows import Figures, Skipped, Task
from scripts.cuda_check.sides import (
    SIDES,
    DType,
    Evaluation,
    Inputs,
    Pair,
    Subject,
    make_inputs,
)
from scripts.cuda_check.subjects import Size, sizes

ROUNDS = 9  # from six on, an interval of the median holds with 95 %
TIMED_TYPE: dict[str, DType] = {"cuda": "float16", "cpu": "float32"}
DTYPES: tuple[DType, ...] = ("float32", "float16", "bfloat16")
REPLAYED_FROM = 3  # a graph is captured at the second evaluation
NEAR = 1.25  # ours may be so many times as far from float32 as stock is


def measure_sides(
    task: Task, sides: Mapping[str, Callable[[Pair, Inputs], Evaluation]], pair: Pair, size: Size
) -> None:
    """Add a row a way with its milliseconds, its peak over the weights, and stock's time over its own."""
    inputs = make_inputs(pair.stock, size)
    ready: dict[str, Evaluation] = {}
    peaks: dict[str, int | None] = {}
    first: dict[str, float] = {}

    def prepare(name: str) -> Figures:
        start, before = time.perf_counter(), reset_peak(pair.device)
        evaluate = sides[name](pair, inputs)
        with torch.inference_mode():
            evaluate()  # loads, chooses or compiles kernels
            wait(pair.device)
            first[name] = time.perf_counter() - start
            reset_peak(pair.device)
            for _ in range(REPLAYED_FROM - 1):
                evaluate()
        peaks[name] = peak_over(pair.device, before)
        ready[name] = evaluate
        return {"first_seconds": round(first[name], 2)}

    for name in sides:
        if task.attempt(f"{size.name}, {name}, first", lambda name=name: prepare(name)) is None:  # type: ignore[misc]
            release()
    seconds = time_in_turn(ready, pair.device)
    for name in seconds:
        task.attempt(f"{size.name}, {name}", lambda name=name: summary(seconds, name, peaks[name]))  # type: ignore[misc]


def time_in_turn(ready: Mapping[str, Evaluation], device: torch.device) -> dict[str, list[float]]:
    """Return each way's seconds, round by round; who goes first changes."""
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    names = list(ready)
    with torch.inference_mode():
        for number in range(ROUNDS):
            shift = number % max(1, len(names))
            for name in names[shift:] + names[:shift]:
                wait(device)
                start = time.perf_counter()
                ready[name]()
                wait(device)
                seconds[name].append(time.perf_counter() - start)
    return seconds


def summary(seconds: Mapping[str, list[float]], name: str, most: int | None) -> Figures:
    figures: Figures = {
        "milliseconds": round(1000 * statistics.median(seconds[name]), 2),
        "peak_bytes_over_weights": most,
    }
    if name != "stock" and "stock" in seconds:
        against = compare(seconds[name], seconds["stock"])
        figures |= {"stock_over_this": round(against.median, 3), "verdict": against.verdict}
        figures["interval"] = [round(against.low, 3), round(against.high, 3)]
    return figures


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def reset_peak(device: torch.device) -> int:
    """Begin to count anew, and return the bytes that are allocated now."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def peak_over(device: torch.device, before: int) -> int | None:
    """Return the most bytes that torch has allocated over `before`, `None` on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def true_float32() -> Iterator[None]:
    """Inside, float32 is not rounded to TF32: it is the reference."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def compare_precision(task: Task, size: Size) -> None:
    """Add a row a type: how far each way is from stock in float32."""
    subject = Subject.of(task)
    inputs, reference = float32_reference(subject, size)
    for dtype in DTYPES:
        task.attempt(
            f"{size.name}, errors in {dtype}",
            lambda dtype=dtype: errors(subject.load_pair(dtype), inputs, reference),  # type: ignore[misc]
        )
        release()


def float32_reference(subject: Subject, size: Size) -> tuple[Inputs, torch.Tensor]:
    """Return inputs and what stock makes of them in float32."""
    stock = subject.load_stock("float32")
    inputs = make_inputs(stock, size)
    with true_float32(), torch.inference_mode():
        moved = inputs.to(torch.device(subject.device), torch.float32)
        return inputs, stock_prediction(stock, moved.latents, moved.given).float().cpu()


def errors(pair: Pair, inputs: Inputs, reference: torch.Tensor) -> Figures:
    """Return the relative error of each way; raise where ours is further off than stock's allows."""
    found: Figures = {}
    with true_float32(), torch.inference_mode():
        for name, side in SIDES.items():
            try:
                evaluate = side(pair, inputs)
                *_, result = (evaluate().float().cpu() for _ in range(REPLAYED_FROM))
            except Skipped:
                continue
            found[name] = float((result - reference).norm() / reference.norm())
            release()
    least = 1e-4 if pair.dtype == torch.float32 else 0.0
    for name, error in found.items():
        assert isinstance(error, float)
        limit = max(least, NEAR * float(str(found["stock"])))
        if not error <= limit:  # NaN too
            raise AssertionError(f"{name}: {error:.2e} off float32, stock {found['stock']:.2e}; all: {found}")
    return found


def main() -> None:
    task = Task.from_json(sys.argv[1])
    first, *others = sizes(task)
    pair = Subject.of(task).load_pair(TIMED_TYPE[task.device])
    measure_sides(task, SIDES, pair, first)
    compare_precision(task, first)
    for size in others:
        measure_sides(task, SIDES, pair, size)
        release()


if __name__ == "__main__":
    main()
