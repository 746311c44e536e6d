"""The engine where memory runs out: at every stage, on every rung, and under a real limit on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.settings_sources import ROOT, load_settings
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Decoded, Denoised, Event, Inputs, Ladder, SteppedDown
from i2v.engines.i2vgen_xl.components import Components
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.media.image import fit_picture
from i2v.pipeline.ladder import MemoryLadder
from tests.second_device import DEVICE, second_device

PLAIN = MemoryPlan("cpu", "float32", decode_chunk=2)
STEPS, FRAMES = 3, 5


@pytest.fixture
def asked(request: pytest.FixtureRequest, generation: Generation) -> Generation:
    size = {"width": 48, "height": 32, "generated_width": 48, "generated_height": 32}
    steps = getattr(request, "param", STEPS)
    return replace(generation, num_inference_steps=steps, num_frames=FRAMES, **size)


@pytest.fixture(scope="module")
def image(photo: Image.Image) -> Image.Image:
    return fit_picture(photo, 48, 32, "crop").image


@pytest.fixture(scope="module")
def loaded(tiny_spec: EngineSpec, tiny_folder: Path) -> I2VGenXLEngine:
    return I2VGenXLEngine.load(tiny_spec, tiny_folder, PLAIN)


@pytest.fixture
def engine(loaded: I2VGenXLEngine) -> Iterator[I2VGenXLEngine]:
    yield loaded
    loaded.plan = replace(PLAIN, threads=loaded.plan.threads)


@pytest.fixture(scope="module")
def plain_runs() -> dict[int, NDArray[np.int_]]:
    return {}


@pytest.fixture
def plain(
    engine: I2VGenXLEngine, image: Image.Image, asked: Generation, plain_runs: dict[int, NDArray[np.int_]]
) -> NDArray[np.int_]:
    """The frames of the plain run, which has enough memory."""
    steps = asked.num_inference_steps
    if steps not in plain_runs:
        plain_runs[steps] = run(engine, asked, image)[1]
    return plain_runs[steps]


@pytest.fixture(autouse=True)
def releases(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """What fails must be gone by itself: Python's collector is not asked, but counted."""
    calls: list[None] = []
    monkeypatch.setattr("i2v.engines.recovery.allocator.release", lambda: calls.append(None))
    return calls


@pytest.fixture
def ladder(tiny_spec: EngineSpec, asked: Generation) -> MemoryLadder:
    return MemoryLadder(tiny_spec, asked, DeviceInfo("cpu", "CPU", 2**34), load_settings().engine)


@dataclass
class Shortage:
    """Has a module fail at its `first` call of all, and so `often` in a row."""

    first: int
    often: int = 1
    calls: int = 0
    last: list[weakref.ref[torch.Tensor]] = field(default_factory=list)

    def __call__(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.calls += 1
        if self.first <= self.calls < self.first + self.often:
            self.last.append(weakref.ref(inputs[0]))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.10 GiB.")


def frames_of(events: list[Event]) -> NDArray[np.int_]:
    return np.concatenate([event.frames for event in events if isinstance(event, Decoded)]).astype(int)


def run(
    engine: I2VGenXLEngine, asked: Generation, image: Image.Image, ladder: Ladder = NO_LADDER
) -> tuple[list[Event], NDArray[np.int_]]:
    events = list(engine.generate(asked, Inputs(image), ladder))
    return events, frames_of(events)


def modules(components: Components) -> dict[str, torch.nn.Module]:
    return {
        "text": components.text_encoder,
        "picture": components.image_encoder,
        "first frame": components.vae.encoder,
        "step": components.unet.conv_out,  # the last: nearly all that a step computes is there
        "chunk": components.vae.decoder.conv_out,
    }


@pytest.mark.parametrize(
    ("where", "call", "stage"),
    [
        ("picture", 1, "condition"),
        ("step", 2, "denoise"),
        ("chunk", 2, "decode"),
        *(
            pytest.param(*place, marks=pytest.mark.slow)
            for place in (
                ("text", 1, "condition"),
                ("first frame", 1, "condition"),
                ("step", 1, "denoise"),
                ("step", STEPS, "denoise"),
                ("chunk", 1, "decode"),
                ("chunk", 3, "decode"),
            )
        ),
    ],
)
def test_out_of_memory_at_any_stage_ends_in_the_plain_runs_frames(
    engine: I2VGenXLEngine,
    asked: Generation,
    image: Image.Image,
    ladder: MemoryLadder,
    plain: NDArray[np.int_],
    releases: list[None],
    where: str,
    call: int,
    stage: Stage,
) -> None:
    shortage = Shortage(call)
    with modules(engine.components)[where].register_forward_pre_hook(shortage):
        events, frames = run(engine, asked, image, ladder)
    (rung,) = (event for event in events if isinstance(event, SteppedDown))
    assert rung.stage == stage
    assert rung.plan == replace(PLAIN, chunk_tokens=4096, threads=engine.plan.threads)
    assert [event.step for event in events if isinstance(event, Denoised)] == [1, 2, 3]
    assert len(frames) == FRAMES
    assert np.abs(frames - plain).max() <= 1
    assert engine.plan == rung.plan
    finished = {"step": STEPS + 1, "chunk": 4}.get(where, 0)
    assert not finished or shortage.calls == finished, "what was finished is computed once"
    assert [reference() for reference in shortage.last] == [None], "the failed try is kept alive"
    assert len(releases) == 1


@pytest.mark.parametrize("asked", [1], indirect=True)
@pytest.mark.parametrize(
    ("where", "call"),
    [("step", 1), *(pytest.param(*place, marks=pytest.mark.slow) for place in (("text", 1), ("chunk", 2)))],
)
def test_every_rung_is_tried_down_to_the_bottom(
    engine: I2VGenXLEngine,
    asked: Generation,
    image: Image.Image,
    ladder: MemoryLadder,
    plain: NDArray[np.int_],
    where: str,
    call: int,
) -> None:
    """One more of them fails each time, at last all; tiles, which are the last, alone change the frames."""
    start = engine.plan
    rungs = list(all_rungs(ladder, start))
    assert [rung.vae_tiling for rung in rungs] == [False, False, False, True]
    for failing in range(1, len(rungs) + 2):
        engine.plan = start
        shortage = Shortage(call, often=failing)
        with modules(engine.components)[where].register_forward_pre_hook(shortage):
            if failing > len(rungs):
                with pytest.raises(InsufficientMemory, match=r"CUDA out of memory"):
                    run(engine, asked, image, ladder)
                break
            events, frames = run(engine, asked, image, ladder)
        stepped = [event.plan for event in events if isinstance(event, SteppedDown)]
        assert stepped == rungs[:failing]
        assert frames.shape == plain.shape
        assert np.abs(frames - plain).max() <= 1 or stepped[-1].vae_tiling
        assert {reference() for reference in shortage.last} == {None}


def all_rungs(ladder: MemoryLadder, plan: MemoryPlan) -> Iterator[MemoryPlan]:
    while (lower := ladder.step_down(plan)) is not None:
        yield lower
        plan = lower


# --- moving parts


@contextmanager
def on_second_device(engine: I2VGenXLEngine) -> Iterator[None]:
    """Have the whole engine there, as a plan without offloading has it on CUDA."""
    with second_device():
        engine.components.device = DEVICE
        engine.components.settle("none")
        yield


class Away:
    """A ladder whose only rung has the whole model wait in CPU memory."""

    def step_down(self, plan: MemoryPlan, stage: Stage) -> MemoryPlan | None:
        return replace(plan, offload="model") if plan.offload == "none" else None

    def is_short(self) -> bool:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("asked", [2], indirect=True)
@pytest.mark.parametrize(("where", "call"), [("step", 2), ("chunk", 2)])
def test_parts_leave_the_device_where_memory_ran_out_and_come_back_for_their_phase(
    tiny_spec: EngineSpec,
    tiny_folder: Path,
    asked: Generation,
    image: Image.Image,
    plain: NDArray[np.int_],
    where: str,
    call: int,
) -> None:
    engine = I2VGenXLEngine.load(tiny_spec, tiny_folder, PLAIN)
    components = engine.components
    parts = (components.text_encoder, components.image_encoder, components.vae, components.unet)

    def there() -> list[bool]:
        return [next(part.parameters()).device == DEVICE for part in parts]

    modules(components)[where].register_forward_pre_hook(Shortage(call))
    with on_second_device(engine):
        assert there() == [True] * 4
        seen: list[list[bool]] = []
        events: list[Event] = []
        for event in engine.generate(asked, Inputs(image), Away()):
            events.append(event)
            if isinstance(event, Denoised | Decoded):
                seen.append(there())
        assert there() == [False] * 4
        assert engine.plan.offload == "model"
        before, after = seen[0], seen[-1]
        assert after == [False, False, True, False]
        if where == "step":
            assert before == [True] * 4
            assert seen[1] == [False, False, False, True]
        assert np.abs(frames_of(events) - plain).max() <= 1
        engine.plan = replace(engine.plan, offload="none")  # the next clip has room again
        next(engine.generate(asked, Inputs(image)))
        assert there() == [True] * 4


# --- loading


def test_weights_that_do_not_fit_are_a_lack_of_memory(
    tiny_spec: EngineSpec, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.10 GiB.")

    monkeypatch.setattr("i2v.engines.i2vgen_xl.engine.load_components", fail)
    with pytest.raises(InsufficientMemory) as caught:
        I2VGenXLEngine.load(tiny_spec, tiny_folder, PLAIN)
    assert caught.value.code == "engine.out_of_memory"
    assert caught.value.__context__ is None, "it would keep alive what was loaded"


# --- for real


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_under_a_real_limit_the_plain_plan_fails_and_the_ladder_ends_in_its_frames() -> None:
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.capped"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    print(f"\nplain {figures['plain'] >> 20} MiB, lowest {figures['lowest'] >> 20} MiB: {figures['rungs']}")
    assert figures["lowest"] < figures["plain"] - 2**23
    assert "can't allocate memory" in figures["reason"]
    assert "denoise: ladder.cfg_passes" in figures["rungs"]
    assert "decode: ladder.vae_tiling" not in figures["rungs"]
    assert figures["difference"] <= 1
