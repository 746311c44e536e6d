"""A clip's steps as one graph: what is captured when, what is let go of, and what a failure leads to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Denoised, Inputs
from i2v.engines.diffusion.state import State
from i2v.engines.i2vgen_xl.compiled import Forward
from i2v.engines.i2vgen_xl.components import load_components
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.graph import CudaGraphs, Graph, GraphForward
from i2v.engines.i2vgen_xl.sampling import denoise
from i2v.engines.i2vgen_xl.unet import ClipContext
from i2v.media.image import fit_picture
from tests.engines.i2vgen_xl.test_unet import conditions, noise

PLAN = MemoryPlan("cpu", "float32")


@dataclass
class FakeGraph:
    """Runs the work again, into where its result was: as a graph does, from the same inputs' memory."""

    work: Callable[[], torch.Tensor]
    result: torch.Tensor
    replays: int = 0
    is_reset: bool = False

    def replay(self) -> None:
        assert not self.is_reset
        self.replays += 1
        self.result.copy_(self.work())

    def reset(self) -> None:
        self.is_reset = True


@dataclass
class FakeGraphs:
    error: RuntimeError | None = None
    made: list[FakeGraph] = field(default_factory=list)
    tries: int = 0

    def capture(self, work: Callable[[], torch.Tensor]) -> tuple[Graph, torch.Tensor]:
        self.tries += 1
        if self.error is not None:
            raise self.error
        result = torch.full_like(work(), float("nan"))  # nothing is computed by capturing
        self.made.append(FakeGraph(work, result))
        return self.made[-1], result


@pytest.fixture(scope="module")
def engine(tiny_spec: EngineSpec, tiny_folder: Path) -> I2VGenXLEngine:
    return I2VGenXLEngine(tiny_spec, load_components(tiny_spec, tiny_folder, PLAN), PLAN)


@torch.inference_mode()
def context(engine: I2VGenXLEngine, frames: int = 4) -> ClipContext:
    unet = engine.components.unet
    return unet.encode_context(conditions(unet, 2, frames, 8, 8))


@torch.inference_mode()
def run(
    engine: I2VGenXLEngine, forward: Forward | GraphForward, clip: ClipContext, step: int
) -> torch.Tensor:
    latents = noise(1, 4, clip.features.shape[2], 8, 8, seed=step)
    return forward(engine.components.unet, latents, torch.tensor(900 - 10 * step), clip, 0)


def test_the_second_step_is_captured_and_later_ones_replay_it(engine: I2VGenXLEngine) -> None:
    graphs, clip, plain = FakeGraphs(), context(engine), Forward()
    with GraphForward(Forward(), graphs) as forward:
        made = [run(engine, forward, clip, step) for step in range(4)]
        assert (graphs.tries, graphs.made[0].replays) == (1, 3)
    for step, prediction in enumerate(made):
        assert torch.equal(prediction, run(engine, plain, clip, step)), "results are copies of their own"
    assert graphs.made[0].is_reset
    assert forward.failures == ()


def test_another_clip_or_size_begins_anew(engine: I2VGenXLEngine) -> None:
    graphs, clips = FakeGraphs(), (context(engine), context(engine, frames=5))
    with GraphForward(Forward(), graphs) as forward:
        for clip in (clips[0], clips[0], clips[1]):
            run(engine, forward, clip, 0)
        assert [graph.is_reset for graph in graphs.made] == [True]
        run(engine, forward, clips[1], 0)
        assert [graph.is_reset for graph in graphs.made] == [True, False]


def test_rows_in_turn_are_never_captured(engine: I2VGenXLEngine) -> None:
    graphs, clips = FakeGraphs(), (context(engine), context(engine))
    with GraphForward(Forward(), graphs) as forward:
        for step in range(3):
            for clip in clips:
                run(engine, forward, clip, step)
    assert graphs.tries == 0


@pytest.mark.parametrize(
    "error",
    [RuntimeError("not permitted when stream is capturing"), torch.OutOfMemoryError("CUDA out of memory.")],
    ids=str,
)
def test_what_cannot_be_captured_goes_on_plainly_and_is_said_once(
    engine: I2VGenXLEngine, error: RuntimeError
) -> None:
    graphs, clip = FakeGraphs(error), context(engine)
    with GraphForward(Forward(), graphs) as forward:
        for step in range(4):
            assert torch.equal(run(engine, forward, clip, step), run(engine, Forward(), clip, step))
    assert graphs.tries == 1
    assert [(failure.code, failure.params["reason"]) for failure in forward.failures] == [
        ("graph.failed", str(error))
    ]


def test_what_a_step_raises_lets_go_of_the_graph(engine: I2VGenXLEngine) -> None:
    graphs, clip = FakeGraphs(), context(engine)

    def steps() -> None:
        with GraphForward(Forward(), graphs) as forward:
            for step in range(2):
                run(engine, forward, clip, step)
            raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        steps()
    assert graphs.made[0].is_reset


# --- in the engine


@pytest.mark.parametrize(
    ("changes", "captures"),
    [
        ({}, 1),
        pytest.param({"offload": "model"}, 0, marks=pytest.mark.slow),
        pytest.param({"offload": "encoders"}, 0, marks=pytest.mark.slow),
        pytest.param({"cfg_passes": 2}, 0, marks=pytest.mark.slow),
        pytest.param({"cuda_graph": "off"}, 0, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_clip_has_a_graph_where_memory_is_not_short(
    engine: I2VGenXLEngine,
    generation: Generation,
    photo: object,
    changes: dict[str, object],
    captures: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs = FakeGraphs()
    monkeypatch.setattr(engine, "graphs", graphs)
    monkeypatch.setattr(engine, "plan", replace(PLAN, **changes))
    asked = replace(generation, num_inference_steps=4)
    events = list(engine.generate(asked, Inputs(fit_picture(photo, 96, 64, "crop").image)))
    assert sum(isinstance(event, Denoised) for event in events) == 4
    assert [(graph.replays, graph.is_reset) for graph in graphs.made] == [(3, True)] * captures


def test_a_failure_is_in_the_events_once(
    engine: I2VGenXLEngine, generation: Generation, photo: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "graphs", FakeGraphs(RuntimeError("no")))
    asked = replace(generation, num_inference_steps=4)
    events = engine.generate(asked, Inputs(fit_picture(photo, 96, 64, "crop").image))
    reported = [event.notices for event in events if isinstance(event, Denoised)]
    assert [[notice.code for notice in notices] for notices in reported] == [[], ["graph.failed"], [], []]


@pytest.mark.cuda
def test_a_real_graph_predicts_what_its_forward_does(tiny_spec: EngineSpec, tiny_folder: Path) -> None:
    plan = MemoryPlan("cuda", "float16")
    components = load_components(tiny_spec, tiny_folder, plan)
    engine = I2VGenXLEngine(tiny_spec, components, plan)
    given = conditions(components.unet, 2, 4, 8, 8)
    fields = ("prompt_embeds", "image_embeddings", "image_latents")
    given = replace(given, **{name: getattr(given, name).to("cuda", torch.float16) for name in fields})
    given = replace(given, fps=given.fps.cuda())
    start = State(0, noise(1, 4, 4, 8, 8).to("cuda", torch.float16))
    asked = Generation(
        prompt="", negative_prompt="", width=64, height=64, generated_width=64, generated_height=64,
        fit="keep", num_frames=4, fps=8, target_fps=8, num_inference_steps=6, guidance_scale=4.0, seed=7,
        engine="tiny",
    )  # fmt: skip
    plain = list(
        denoise(components, given, start, asked, plan, forward=Forward(operations=engine.operations))
    )
    with GraphForward(Forward(operations=engine.operations), CudaGraphs()) as forward:
        replayed = list(denoise(components, given, start, asked, plan, forward=forward))
        assert forward.failures == ()
    for one, other in zip(plain, replayed, strict=True):
        assert torch.allclose(one.state.latents, other.state.latents, atol=1e-2)
