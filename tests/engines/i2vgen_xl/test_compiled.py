"""torch.compile: the same prediction where it works, a word and the same prediction where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: torch reads where kernels are kept, and the compiler's name, when it is imported.
PROGRAM = """
import sys
from pathlib import Path

import torch

from benchmarks.forward import conditions
from i2v.engines.i2vgen_xl.compiled import Forward
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.i2vgen_xl.components import load_components
from i2v.core.schema import MemoryPlan

torch.manual_seed(0)
unet = load_components(EMBEDDED, Path(sys.argv[1]), MemoryPlan("cpu", "float32")).unet
latents, time = torch.randn(1, 4, 4, 8, 8), torch.tensor(481)
forward = Forward(is_compiled=True)
with torch.inference_mode():
    clip = unet.encode_context(conditions(unet, 1, latents.shape[1:]))
    made, plain = (each(unet, latents, time, clip, 100) for each in (forward, Forward()))
print(torch.allclose(made, plain, atol=1e-3), [failure.code for failure in forward.failures])
"""


def compiled(model: Path, kernels: Path, **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model)],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(kernels), **environment},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_what_is_compiled_predicts_the_same_and_is_kept_on_the_disk(
    tiny_folder: Path, tmp_path: Path
) -> None:
    assert compiled(tiny_folder, tmp_path) == "True []"
    assert any(tmp_path.rglob("*.so"))


@pytest.mark.slow
def test_without_a_compiler_the_prediction_is_made_plainly_and_the_reason_is_kept(
    tiny_folder: Path, tmp_path: Path
) -> None:
    assert compiled(tiny_folder, tmp_path, CXX="/bin/false") == "True ['compile.failed']"
