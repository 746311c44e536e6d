"""Which operations a device gets: Triton's where it has what they need, else the plain ones.

Asked once, when an engine is loaded. What a kernel computes is not known here.
"""

from __future__ import annotations

import os

import torch

from i2v.engines.kernels.fused import Fused, failed, load
from i2v.engines.kernels.plain import PLAIN, Operations, Plain

# What Triton's compiler has machine code for, held by tests/engines/kernels/test_compile.py; bfloat16 came
# with 8.0.
LOWEST = {torch.float16: (7, 0), torch.float32: (7, 0), torch.bfloat16: (8, 0)}


def operations_for(device: torch.device, dtype: torch.dtype) -> Operations:
    """Return fused operations on CUDA, plain ones elsewhere; where CUDA lacks something, with a `failure`."""
    if device.type != "cuda":
        return PLAIN
    properties = torch.cuda.get_device_properties(device)
    reason = too_old(properties.name, (properties.major, properties.minor), dtype)
    if reason is not None:
        return Plain(failed(reason))
    # Triton 3.9 warns where this is not said
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    try:
        return Fused(load(), properties.multi_processor_count)
    except ImportError as error:
        return Plain(failed(str(error)))


def too_old(name: str, capability: tuple[int, int], dtype: torch.dtype) -> str | None:
    """Return why a card of this compute capability cannot run the kernels, `None` where it can."""
    lowest = LOWEST[dtype]
    if capability >= lowest:
        return None
    have, need = (".".join(map(str, version)) for version in (capability, lowest))
    return f"{name}: compute capability {have}, {need} needed for {str(dtype).removeprefix('torch.')}"
