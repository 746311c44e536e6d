"""Each kernel against the plain operation, at the sizes of a clip.

    python -m benchmarks.kernels [--side 512] [--num-frames 16] [--dtype float16] [--json FILE]

On a card it prints medians of milliseconds (CUDA events, L2 flushed by inputs that are larger than it), what
is moved at the least, and the rate that comes to. Without one it runs tiny sizes on Triton's interpreter
(`TRITON_INTERPRET=1`), where only the errors mean something: that it runs at all is checked so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from i2v.engines.diffusion.placement import DTYPES
from i2v.engines.kernels.fused import Fused, load
from i2v.engines.kernels.plain import PLAIN, Operations

CHANNELS = 320  # of the UNet's first level; at each further one a side is halved, and these are doubled
LEVELS = 3
ROWS = 2  # of guidance
HEAD_DIM = 64

Work = Callable[[Operations], object]


@dataclass(frozen=True)
class Timed:
    """One row of the table. `megabytes`: read and written at the least; `error`: relative, of the two."""

    name: str
    plain_ms: float
    fused_ms: float
    megabytes: float
    error: float

    def __str__(self) -> str:
        rate = self.megabytes / self.fused_ms
        return (
            f"{self.name:<42}{self.plain_ms:>9.3f}{self.fused_ms:>9.3f}{self.plain_ms / self.fused_ms:>7.2f}"
            f"{rate:>8.0f}{self.error:>10.1e}"
        )


def works(
    side: int, num_frames: int, first: int, levels: int, dtype: torch.dtype, device: str
) -> Iterator[tuple[str, Work, int]]:
    """Yield name, work, and how many numbers are read and written at the least."""

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=dtype)

    for level in range(levels):
        channels, latents = first * 2**level, side // 8 // 2**level
        heads = max(1, channels // HEAD_DIM)
        frames, pixels = ROWS * num_frames, latents**2
        size = f"{channels} x {latents} x {latents}"
        count = frames * pixels * channels
        picture = random(frames, latents, latents, channels).permute(0, 3, 1, 2)
        clip = random(ROWS, num_frames, pixels, channels).permute(0, 3, 1, 2)
        norm = nn.GroupNorm(32, channels).to(device, dtype)
        layer = nn.LayerNorm(channels).to(device, dtype)
        bias, tokens = random(channels), random(ROWS, num_frames, pixels, channels)
        widen = nn.Linear(channels, 8 * channels).to(device, dtype)
        joint = random(ROWS, num_frames, pixels, 3 * channels)
        yield (
            f"group norm, SiLU   {size}",
            lambda ops, norm=norm, picture=picture, bias=bias: ops.group_norm(norm, picture, bias, True),
            3 * count,
        )
        yield (
            f"the same over time {size}",
            lambda ops, norm=norm, clip=clip, bias=bias: ops.group_norm(norm, clip, bias, True),
            3 * count,
        )
        yield (
            f"sum and bias       {size}",
            lambda ops, picture=picture, bias=bias: ops.add(picture.clone(), picture, bias),
            5 * count,  # the copy too
        )
        yield (
            f"sum, layer norm    {size}",
            lambda ops, tokens=tokens, layer=layer: ops.add_layer_norm(tokens.clone(), tokens, layer)[1],
            6 * count,
        )
        yield (
            f"linear and GEGLU   {size}",
            lambda ops, tokens=tokens, widen=widen: ops.gated(widen, tokens.flatten(0, 2)),
            (1 + 8 + 8 + 4) * count,
        )
        yield (
            f"attention in time  {size}",
            lambda ops, joint=joint, heads=heads: ops.attend_over_time(*joint.chunk(3, dim=-1), heads),
            4 * count,
        )


def milliseconds(work: Work, operations: Operations, repeats: int, device: str) -> float:
    taken = []
    for _ in range(repeats):
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work(operations)
            end.record()
            end.synchronize()
            taken.append(start.elapsed_time(end))
        else:
            began = time.perf_counter()
            work(operations)
            taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


@torch.inference_mode()
def measured(options: argparse.Namespace, device: str) -> Iterator[Timed]:
    dtype = DTYPES[options.dtype]
    multiprocessors = torch.cuda.get_device_properties(0).multi_processor_count if device == "cuda" else 4
    fused = Fused(load(), multiprocessors)
    sizes = options.side, options.num_frames, options.channels, options.levels
    for name, work, count in works(*sizes, dtype, device):
        plain, made = (work(operations) for operations in (PLAIN, fused))
        assert isinstance(plain, torch.Tensor)
        assert isinstance(made, torch.Tensor)
        error = float((made.float() - plain.float()).norm() / plain.float().norm())
        del plain, made
        taken = [milliseconds(work, operations, options.repeats, device) for operations in (PLAIN, fused)]
        if fused.failure is not None:
            raise RuntimeError(fused.failure.message)
        yield Timed(name.strip(), *taken, count * dtype.itemsize / 1e6, error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    on_card = torch.cuda.is_available()
    parser.add_argument("--side", type=int, default=512 if on_card else 32, help="pixels")
    parser.add_argument("--num-frames", type=int, default=16 if on_card else 2)
    parser.add_argument(
        "--channels", type=int, default=CHANNELS if on_card else 64, help="of the first level"
    )
    parser.add_argument("--levels", type=int, default=LEVELS if on_card else 1)
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float16")
    parser.add_argument("--repeats", type=int, default=50 if on_card else 1)
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    device = "cuda" if on_card else "cpu"
    name = torch.cuda.get_device_name() if on_card else "Interpreter: times mean nothing"
    print(f"{name}, {options.dtype}")
    print(f"{'':<42}{'plain':>9}{'fused':>9}{'times':>7}{'GB/s':>8}{'error':>10}")
    rows = []
    for row in measured(options, device):
        print(row, flush=True)
        rows.append(row)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
