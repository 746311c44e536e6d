"""The measurements of `benchmarks/stock.py`; each is a process of its own.

    python -m benchmarks.measure paired SETTING     both sides in turn: seconds, frames
    python -m benchmarks.measure ours SETTING       one side alone: memory, FLOPs, UNet evaluations
    python -m benchmarks.measure stock SETTING

SETTING is the JSON of a `Setting`; the figures are printed as JSON. What they mean is judged elsewhere.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks.sides import STAGES, Ours, Reading, Setting, Side, Stock


def clock() -> Reading:
    """Seconds: wall, and the CPU time of all threads, which other processes disturb less."""
    return {"wall": time.perf_counter(), "cpu": time.process_time()}


def paired(setting: Setting) -> dict[str, object]:
    """Load both sides `repeats` times in turn, then run them so; all frames are held to our first ones."""
    torch.manual_seed(0)  # stock draws the first frame's latents from the global generator
    ours, stock = Ours(setting), Stock(setting)
    ours.load()
    stock.load()
    reference = ours.run(clock).frames.astype(int)  # the first runs warm up
    stock.run(clock)
    chunk_seconds = stock.time_chunks(setting.repeats)
    stock.decode_chunk = min(chunk_seconds, key=lambda size: float(np.median(chunk_seconds[size])))
    readings: dict[str, dict[str, list[Reading]]] = {
        name: {stage: [] for stage in ("load", *STAGES, "clip")} for name in (ours.name, stock.name)
    }
    for side in turns(ours, stock, setting.repeats):
        readings[side.name]["load"].append(time_load(side))
    difference = 0
    for side in turns(ours, stock, setting.repeats):
        gc.collect()
        run = side.run(clock)
        for stage, reading in run.stages.items():
            readings[side.name][stage].append(reading)
        difference = max(difference, int(np.abs(run.frames - reference).max()))
        print(f"{side.name}: {run.stages['clip']['wall']:.2f} s", file=sys.stderr)
    return {
        "readings": readings,
        "frames_max_difference": difference,
        "stock_decode_chunk": stock.decode_chunk,
        "stock_decode_seconds_by_chunk": chunk_seconds,
        "threads": torch.get_num_threads(),
    }


def turns(one: Side, other: Side, repeats: int) -> Iterator[Side]:
    """Yield `repeats` pairs of the two, with `other` first in every second pair."""
    for number in range(repeats):
        yield from (one, other) if number % 2 == 0 else (other, one)


def time_load(side: Side) -> Reading:
    side.unload()
    gc.collect()
    start = clock()
    side.load()
    end = clock()
    return {key: end[key] - start[key] for key in end}


def alone(side: Side) -> dict[str, object]:
    """Return peak memory of one run, then FLOPs and UNet evaluations of another; nothing is timed."""
    imported = peak_rss()
    side.load()
    side.run(clock)
    peak = peak_rss()
    counter = flop_counter()
    with counting(side.unet) as pictures, counter:
        run = side.run(lambda: {"flops": counter.get_total_flops()})
    return {
        "flops": {stage: reading["flops"] for stage, reading in run.stages.items()},
        # guidance takes two a step, in one call or in two
        "unet_evaluations": pictures["out"] // len(run.frames),
        "whole_unet_evaluations": pictures["middle"] // len(run.frames),
        "peak_rss_mib": peak,
        "imported_rss_mib": imported,
    }


@contextmanager
def counting(unet: nn.Module) -> Iterator[dict[str, int]]:
    """Count the pictures (rows times frames) that leave the UNet, and those that its middle block sees.

    Where features are used again, fewer reach the middle. Ours runs the UNet's parts, not the UNet.
    """
    pictures = {"out": 0, "middle": 0}

    def counter(name: str) -> Callable[[nn.Module, object, torch.Tensor], None]:
        def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            pictures[name] += len(output)

        return count

    with (
        unet.conv_out.register_forward_hook(counter("out")),
        unet.mid_block.resnets[0].norm2.register_forward_hook(counter("middle")),
    ):
        yield pictures


def flop_counter() -> FlopCounterMode:
    """Return torch's counter, which knows attention on CUDA only, with attention on the CPU added."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu

    def count(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
        flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
        return flops

    return FlopCounterMode(display=False, custom_mapping={attention: count})


def peak_rss() -> float:
    """Return the largest resident memory that this process has had, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main(mode: str, setting: Setting) -> dict[str, object]:
    torch.set_num_threads(setting.threads)
    modes: dict[str, Callable[[Setting], dict[str, object]]] = {
        "paired": paired,
        "ours": lambda setting: alone(Ours(setting)),
        "stock": lambda setting: alone(Stock(setting)),
    }
    return modes[mode](setting)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Setting(**json.loads(sys.argv[2])))))
