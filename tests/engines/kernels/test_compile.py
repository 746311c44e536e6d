"""The kernels as machine code for cards that are not here: Triton and ptxas compile for any of them.

What an interpreter cannot tell: that types fit, that shared memory is enough, that loads are wide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton is not installed: bash scripts/setup.sh test kernels")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from i2v.engines.kernels import elementwise, group_norm, layer_norm, short_attention

# bytes of shared memory that a program may have without asking for more, on every card
MOST_SHARED = 48 * 1024


@dataclass(frozen=True)
class Kernel:
    """`pointers`: names of the tensors of the model's type."""

    module: ModuleType
    name: str
    pointers: str
    numbers: str
    constants: dict[str, int | bool]
    float32: str = ""
    scalars: str = ""


SHAPE = "length channels"
KERNELS = (
    Kernel(group_norm, "_statistics", "picture bias", f"{SHAPE} part_rows",
           {"HAS_BIAS": True, "ROWS": 32, "TILE": 64}, float32="partial"),
    Kernel(group_norm, "_merge", "", f"{SHAPE} group_channels parts part_rows",
           {"PARTS": 8, "CHANNELS": 128}, float32="partial merged", scalars="eps"),
    Kernel(group_norm, "_normalise", "picture bias weight offset result", f"{SHAPE} group_channels groups",
           {"HAS_BIAS": True, "SILU": True, "ROWS": 64, "TILE": 64}, float32="merged"),
    Kernel(layer_norm, "_add_layer_norm", "update residual weight offset normed",
           "rows residual_rows channels", {"ROWS": 8, "CHANNELS": 512}, scalars="eps"),
    Kernel(elementwise, "_gate", "wide", "rows inner", {"ROWS": 16, "TILE": 128}),
    Kernel(elementwise, "_add", "update residual bias", "rows channels", {"ROWS": 16, "TILE": 128}),
    Kernel(short_attention, "_attend", "query key value result",
           "num_frames pixels head_dim row_step frame_step pixel_step channels",
           {"PIXELS": 4, "FRAMES": 16, "DIM": 64}, scalars="scale"),
)  # fmt: skip
TARGETS = [(70, "fp16"), (75, "fp32"), (80, "bf16"), (89, "fp16"), (90, "bf16"), (90, "fp32"), (120, "fp16")]
FEW = [(70, "fp16"), (90, "bf16")]


def compiled(kernel: Kernel, capability: int, dtype: str) -> Any:
    function = getattr(kernel.module, kernel.name)
    types = {
        **dict.fromkeys(kernel.pointers.split(), f"*{dtype}"),
        **dict.fromkeys(kernel.float32.split(), "*fp32"),
        **dict.fromkeys(kernel.numbers.split(), "i32"),
        **dict.fromkeys(kernel.scalars.split(), "fp32"),
        **dict.fromkeys(kernel.constants, "constexpr"),
    }
    assert types.keys() == set(function.arg_names)
    source = ASTSource(
        function,
        {name: types[name] for name in function.arg_names},
        {(function.arg_names.index(name),): value for name, value in kernel.constants.items()},
        # multiples of 16, as pointers and the shapes of the published model are
        {
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(function.arg_names)
            if types[name].startswith("*") or types[name] == "i32"
        },
    )
    options = {"enable_fp_fusion": True}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize(
    ("capability", "dtype"),
    [pytest.param(*target, marks=[] if target in FEW else [pytest.mark.slow]) for target in TARGETS],
)
def test_there_is_machine_code_for_a_card(kernel: Kernel, capability: int, dtype: str) -> None:
    made = compiled(kernel, capability, dtype)
    assert made.asm["cubin"]
    assert made.metadata.shared <= MOST_SHARED
    assert re.search(r"ld\.global\S*v4\.b32", made.asm["ptx"]), "no load of 16 bytes"
    assert "ld.local" not in made.asm["ptx"], "an array that did not go into registers"
