"""Fixtures that several files share: a picture, and a tiny random model in the published layout."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# One thread: the suite's tensors are tiny, and thread counts must not change what determinism tests compare.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The suite starts hundreds of processes, which need not compile i2v each time, nor read the descriptions of
# all installed packages to find that pydantic has no plugin.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: tests send it.
# nohup does the same with SIGHUP.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import numpy as np
import pytest
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.engines.i2vgen_xl.facts import AS_STOCK, Facts
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from tests.tiny_model import write_tiny_model


def pytest_configure() -> None:
    """Look for garbage seldom: while tests are collected and libraries imported, all that is made stays."""
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(scope="session", autouse=True)
def malloc_stays_as_it_is() -> Iterator[None]:
    """Leave malloc as Python has it: set up for clips it gives nothing back, and peaks are measured here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("i2v.memory.allocator.configure", lambda: None)
        yield


@pytest.fixture(scope="module", autouse=True)
def libraries_are_no_garbage() -> None:
    """Spare the garbage collector what earlier modules have imported.

    i2v collects garbage after each job. With all libraries of the suite in one process, hundreds of thousands
    of objects that stay are gone through each time, which takes longer than such a job.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A 96 x 64 picture with edges and gradients, the same every time."""
    y, x = np.mgrid[0:64, 0:96]
    waves = 127 + 80 * np.sin(x / 7) * np.cos(y / 5)
    return Image.fromarray(np.stack([waves, x * 2.5, y * 3.5], axis=-1).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of I2VGen-XL's classes with random fp16 weights, a few hundred kilobytes."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_spec() -> EngineSpec:
    return EngineSpec(
        name="tiny",
        title="Tiny",
        implementation="i2v.engines.i2vgen_xl.engine:I2VGenXLEngine",
        multiple=16,
        memory="i2v.engines.i2vgen_xl.memory:MEMORY",
        facts=Facts(),
        stock_facts=AS_STOCK,
        trained_frames=(4, 8),
        trained_fps=(8, 8),
        default_negative_prompt="blurry",
        preview_factors=((0.2, 0.2, 0.2),) * 4 + ((0.5, 0.5, 0.5),),
        files=I2VGEN_XL.files,
        optional_files=I2VGEN_XL.optional_files,
    )


@pytest.fixture
def generation() -> Generation:
    return Generation(
        prompt="the camera pans left",
        negative_prompt="blurry",
        width=96,
        height=64,
        generated_width=96,
        generated_height=64,
        fit="keep",
        num_frames=4,
        fps=8,
        target_fps=8,
        num_inference_steps=3,
        guidance_scale=4.0,
        seed=7,
        engine="tiny",
    )


LONG = {"test_faults.py", "test_generate.py", "test_serve.py", "test_survival.py"}  # tests of many seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, lest all wait for it at the end; skip what needs a card without one.

    Files stay whole: while a browser is open, no other test of its process can run a loop.
    """
    first = {item.path for item in items if "browser" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in first and item.path.name not in LONG)
    needing = [item for item in items if item.get_closest_marker("cuda")]
    if needing:
        import torch

        if not torch.cuda.is_available():
            for item in needing:
                item.add_marker(pytest.mark.skip(reason="torch sees no NVIDIA card"))
