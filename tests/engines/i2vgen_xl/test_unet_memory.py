"""What the UNet's activations take at the published size: counted on fake tensors, in float16, guided.

512 pixels, 16 frames. Counts are the same on every machine; a kernel's own buffers are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from diffusers import I2VGenXLUNet
from torch._subclasses.fake_tensor import FakeTensorMode

from i2v.engines.i2vgen_xl.blocks import UNetConfig
from i2v.engines.i2vgen_xl.unet import UNet
from tests.engines.i2vgen_xl.test_unet import TIMESTEP, conditions, diffusers_prediction
from tests.peak_memory import PeakMemory

FRAMES, SIDE = 16, 64


@contextmanager
def half_precision() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def peaks() -> dict[str, float]:
    """GiB by what is run."""
    found = {}
    with half_precision(), FakeTensorMode(), torch.inference_mode():
        stock, unet = I2VGenXLUNet().eval(), UNet(UNetConfig()).eval()
        latents, given = torch.empty(1, 4, FRAMES, SIDE, SIDE), conditions(unet, 2, FRAMES, SIDE, SIDE)
        with PeakMemory() as memory:
            diffusers_prediction(stock, latents, given)
        found["diffusers"] = memory.most / 2**30
        unet.lay_out(joint_projections=False)
        for name, passes, chunk_tokens in (("all at once", 1, 10**9), ("options", 2, 2**15)):
            row = unet.encode_context(given.split(passes)[0])
            with PeakMemory() as memory:
                unet(latents, torch.tensor(TIMESTEP), row, chunk_tokens)
            found[name] = memory.most / 2**30
    return found


@pytest.mark.slow
def test_diffusers_takes_what_was_measured_of_it(peaks: dict[str, float]) -> None:
    assert peaks["diffusers"] == pytest.approx(2.59, abs=0.01)


@pytest.mark.slow
def test_ours_takes_about_half_of_it(peaks: dict[str, float]) -> None:
    assert peaks["all at once"] < 0.55 * peaks["diffusers"]


@pytest.mark.slow
def test_two_passes_and_chunks_take_a_quarter_of_it(peaks: dict[str, float]) -> None:
    assert peaks["options"] < 0.25 * peaks["diffusers"]
