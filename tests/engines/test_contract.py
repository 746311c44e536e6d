"""The contract of engines: what every registered one promises, and a fake one that differs in everything."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import psutil
import pytest
from _pytest.mark import ParameterSet
from PIL import Image, ImageOps

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.results import Result
from i2v.core.schedules import evaluations
from i2v.core.schema import GenerationRequest
from i2v.core.settings import Settings
from i2v.core.settings_sources import load_presets, load_settings
from i2v.core.stages import Stage
from i2v.engines.base import (
    Conditioned,
    Decoded,
    Denoised,
    Engine,
    Event,
    Inputs,
    Sounded,
    SteppedDown,
    engine_class,
)
from i2v.engines.diffusion.engine import DiffusionEngine
from i2v.jobs.forecast import Forecast
from i2v.media.image import Picture
from i2v.media.latents import KeptLatents
from i2v.media.outputs import OutputFile
from i2v.media.provenance import Provenance
from i2v.media.unpublished import FrameRecorder, read_kept
from i2v.media.video import probe, read_tags
from i2v.memory.model import denoising_work, memory_model
from i2v.pipeline.clip import ClipEvent, Output
from i2v.pipeline.delivery import publish_kept
from i2v.pipeline.engines import EngineCache
from i2v.pipeline.loops import looped
from i2v.pipeline.make import make_clip
from i2v.pipeline.plan import ClipPlanner
from i2v.pipeline.resolve import resolve
from i2v.pipeline.segments import SegmentBegun, story_events
from i2v.workers.progress import Meter
from tests.clips import read_frames
from tests.engines.subjects import (
    SPECS,
    NoTensorWork,
    Rungs,
    Shortage,
    asked,
    frames_of,
    inputs_for,
    package_of,
    request_fields,
    write_weights,
)

CPU = DeviceInfo("cpu", "CPU", 2**34)
PLAN = MemoryPlan("cpu", "float32")


@dataclass
class Subject:
    """An engine that is loaded, and where its weights are."""

    spec: EngineSpec
    engine: Engine
    models: Path
    photo: Image.Image

    def run(self, generation: Generation) -> list[Event]:
        return list(self.engine.generate(generation, inputs_for(self.spec, generation, self.photo)))

    @cached_property
    def plain(self) -> list[Event]:
        """The events of the smallest clip; what is made once for all clips has been made then."""
        return self.run(asked(self.spec))

    @cached_property
    def calls(self) -> dict[Stage, int]:
        """How often the code of the engine's package is called in each stage of that clip."""
        assert self.plain
        generation = asked(self.spec)
        counted = Shortage(package_of(self.spec))
        list(counted.run(self.engine, generation, inputs_for(self.spec, generation, self.photo)))
        return counted.calls


def _subjects() -> Iterator[ParameterSet]:
    """Yield each engine's name; what runs the same code as an engine before it is left to slow runs."""
    seen: set[str] = set()
    for name, spec in SPECS.items():
        yield pytest.param(name, marks=[pytest.mark.slow] if package_of(spec) in seen else [])
        seen.add(package_of(spec))


@pytest.fixture(scope="module", params=_subjects())
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, photo: Image.Image
) -> Subject:
    spec, models = SPECS[request.param], tmp_path_factory.mktemp("models")
    folder = write_weights(spec, models / spec.name)
    return Subject(spec, engine_class(spec).load(spec, folder, PLAN), models, photo)


@pytest.fixture
def subject(loaded: Subject) -> Iterator[Subject]:
    yield loaded
    loaded.engine.adopt(PLAN)


def test_a_loaded_engine_says_what_it_is_and_how_it_works(subject: Subject) -> None:
    assert subject.engine.spec is subject.spec
    assert subject.engine.plan == replace(PLAN, threads=subject.engine.plan.threads)


@pytest.mark.parametrize("more", [pytest.param(0, marks=pytest.mark.slow), 5])
def test_events_come_in_order_with_the_sizes_and_counts_asked_for(subject: Subject, more: int) -> None:
    can = subject.spec.capabilities
    wanted = can.num_frames.nearest(asked(subject.spec).num_frames + more)
    generation = asked(subject.spec, num_frames=wanted)
    events = subject.run(generation)
    kinds = [type(event) for event in events]
    steps = evaluations(generation.speed, generation.num_inference_steps)
    chunks = kinds.count(Decoded)
    expected = [Conditioned, *[Denoised] * steps, *[Decoded] * chunks]
    assert kinds in (expected, [*expected, Sounded]) if can.sound else kinds == expected
    assert chunks > 0
    frames = [event.frames for event in events if isinstance(event, Decoded)]
    shape = (generation.generated_height, generation.generated_width, 3)
    assert {(part.dtype, part.shape[1:]) for part in frames} == {(np.dtype(np.uint8), shape)}
    assert sum(map(len, frames)) == generation.num_frames
    reported = [(event.step, event.total) for event in events if isinstance(event, Denoised)]
    assert reported == [(step, steps) for step in range(1, steps + 1)]


def test_previews_are_small_pictures_of_the_whole_clip(subject: Subject) -> None:
    generation = asked(subject.spec)
    for event in subject.plain:  # also long after their step
        if isinstance(event, Denoised):
            preview = event.preview()
            assert (preview.dtype, preview.ndim, preview.shape[3]) == (np.uint8, 4, 3)
            assert 1 <= len(preview) <= generation.num_frames
            assert preview.shape[2] * generation.generated_height == (
                preview.shape[1] * generation.generated_width
            )


def test_a_sound_is_one_that_can_be_encoded(subject: Subject) -> None:
    sounds = [event for event in subject.plain if isinstance(event, Sounded)]
    for sound in sounds:
        assert sound.samples.dtype == np.float32
        assert sound.samples.ndim == 2
        assert sound.samples.shape[1] in (1, 2)
        assert np.abs(sound.samples).max() <= 1
        assert 8_000 <= sound.sample_rate <= 192_000


@pytest.mark.parametrize(
    "kind", [Denoised, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (Conditioned, Decoded))]
)
def test_closing_the_stream_stops_the_work_and_the_next_clip_is_as_ever(
    subject: Subject, kind: type[Event]
) -> None:
    generation = asked(subject.spec)
    before = frames_of(subject.plain)
    threads, children = set(threading.enumerate()), psutil.Process().children()
    events = subject.engine.generate(generation, inputs_for(subject.spec, generation, subject.photo))
    for event in events:
        if isinstance(event, kind):
            break
    events.close()
    assert next(events, None) is None
    assert set(threading.enumerate()) <= threads
    assert psutil.Process().children() == children
    assert np.array_equal(frames_of(subject.run(generation)), before)


def test_a_seed_says_which_clip_it_is(subject: Subject) -> None:
    plain, again = frames_of(subject.plain), frames_of(subject.run(asked(subject.spec)))
    assert np.array_equal(again, plain)
    if subject.spec.capabilities.seed:
        other = frames_of(subject.run(asked(subject.spec, seed=8)))
        assert not np.array_equal(other, plain)


def test_each_picture_that_it_takes_bears_on_the_clip(subject: Subject) -> None:
    generation = asked(subject.spec)
    inputs = inputs_for(subject.spec, generation, subject.photo)
    for role in subject.spec.capabilities.inputs:
        if role in ("motion_mask", "style_image"):
            continue  # need a camera path or another model: diffusion/test_camera_path, test_ip_adapter
        other = ImageOps.invert(inputs.image)
        changed = replace(inputs, **({"keyframes": {1: other}} if role == "keyframe" else {role: other}))
        frames = frames_of(list(subject.engine.generate(generation, changed)))
        assert not np.array_equal(frames, frames_of(subject.plain)), role


def test_a_story_goes_on_from_the_frames_before_in_latents_where_the_engine_says_so(
    subject: Subject,
) -> None:
    """Each engine that makes stories: two segments of its smallest clip, joined."""
    can = subject.spec.capabilities
    if not can.story:
        return
    seconds = 1.5 * asked(subject.spec).num_frames / asked(subject.spec).fps
    generation = asked(subject.spec, num_inference_steps=can.step_counts.nearest(1), story=[str(seconds)])
    inputs = inputs_for(subject.spec, generation, subject.photo)
    given: list[Inputs] = []

    def make(part: Generation, inputs: Inputs) -> Generator[Event]:
        given.append(inputs)
        return subject.engine.generate(part, inputs)

    events = [each for each in story_events(generation, inputs, make) if not isinstance(each, SegmentBegun)]
    assert frames_of(events).shape[0] == generation.total_frames
    assert len(given) == len(generation.segments) > 1
    first, other = given[1].earlier[0], ImageOps.invert(given[1].earlier[0])
    one, two = (
        frames_of(list(subject.engine.generate(generation, replace(given[1], earlier=(first, last)))))
        for last in (first, other)
    )
    assert np.array_equal(one, two) is not can.holds_frames


@pytest.mark.slow
def test_a_loop_jumps_no_more_from_its_last_frame_to_its_first_than_between_neighbours(
    subject: Subject,
) -> None:
    can = subject.spec.capabilities
    if can.loop not in ("wrapped", "back"):
        return
    generation = asked(subject.spec, num_frames=can.num_frames.nearest(12), loop=True)
    events = subject.engine.generate(generation, inputs_for(subject.spec, generation, subject.photo))
    frames = frames_of(list(looped(events, generation)))
    assert len(frames) == generation.total_frames
    jumps = np.abs(np.roll(frames, -1, axis=0) - frames).mean(axis=(1, 2, 3))  # the last one: to the first
    # of random weights, each neighbour is as far away as any other, and chance makes one the largest
    assert jumps[-1] <= 1.02 * jumps[:-1].max()


def test_another_plan_is_adopted_without_moving_anything_and_makes_the_same_clip(subject: Subject) -> None:
    generation = asked(subject.spec)
    plain = frames_of(subject.plain)
    for plan in memory_model(subject.spec).ways_down(replace(PLAN, offload="model"), generation):
        with NoTensorWork():
            subject.engine.adopt(plan)
        assert subject.engine.plan == replace(plan, threads=subject.engine.plan.threads)
    assert np.abs(frames_of(subject.run(generation)) - plain).max() <= 2, "by the last of them"


@pytest.mark.parametrize(
    "stage",
    [
        Stage.DENOISE,
        *(pytest.param(stage, marks=pytest.mark.slow) for stage in (Stage.CONDITION, Stage.DECODE)),
    ],
)
@pytest.mark.parametrize("share", [pytest.param(0.0, marks=pytest.mark.slow), 0.5])
def test_a_clip_goes_on_where_memory_ran_out(subject: Subject, stage: Stage, share: float) -> None:
    """At the first call into the engine's code of each stage, and in the middle.

    An engine that has only one way says that memory ran out.
    """
    spec, generation = subject.spec, asked(subject.spec)
    inputs = inputs_for(spec, generation, subject.photo)
    plain, calls = frames_of(subject.plain), subject.calls
    if stage not in calls:
        assert stage is Stage.DENOISE
        assert generation.num_inference_steps == 0
        return
    shortage = Shortage(package_of(spec), stage, 1 + int(share * (calls[stage] - 1)))
    ladder = Rungs(spec, generation)
    if ladder.step_down(subject.engine.plan, stage) is None:
        with pytest.raises((MemoryError, InsufficientMemory)):
            list(shortage.run(subject.engine, generation, inputs, ladder))
        return
    ladder.asked.clear()
    events = list(shortage.run(subject.engine, generation, inputs, ladder))
    assert shortage.has_failed
    downs = [event for event in events if isinstance(event, SteppedDown)]
    assert [event.stage for event in downs] == ladder.asked == [stage]
    assert subject.engine.plan == downs[0].plan
    rest = [event for event in events if not isinstance(event, SteppedDown)]
    steps = [event.step for event in rest if isinstance(event, Denoised)]
    assert steps == list(range(1, evaluations(generation.speed, generation.num_inference_steps) + 1))
    assert [type(event) for event in rest].count(Conditioned) == 1
    assert frames_of(rest).shape == plain.shape
    assert np.abs(frames_of(rest) - plain).max() <= 2


@pytest.mark.parametrize("left", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_clip_that_was_cut_off_goes_on_from_the_latents_that_were_kept(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """With so many steps `left`: with none, decoding begins. The frames are the same to the bit."""
    monkeypatch.setattr("i2v.engines.diffusion.resume.SHARE", float("inf"))  # each step is kept
    generation = asked(subject.spec)
    kept = KeptLatents(tmp_path, "clip", 0, "key")
    inputs = replace(inputs_for(subject.spec, generation, subject.photo), latents=kept)
    with closing(subject.engine.generate(generation, inputs)) as events:
        for event in events:
            if isinstance(event, Denoised) and event.total - event.step == left:
                break
    assert kept.path.exists() == isinstance(subject.engine, DiffusionEngine)
    if not kept.path.exists():
        return
    rest = list(subject.engine.generate(generation, inputs))
    reached = [(event.step, event.total) for event in rest if isinstance(event, Denoised)]
    total = evaluations(generation.speed, generation.num_inference_steps)
    assert reached == [(total, total)] * left
    assert Notice("denoise.resumed", {"step": total - left, "total": total}) in rest[0].notices
    assert np.array_equal(frames_of(rest), frames_of(subject.plain))


# --- through the pipeline


def make(
    subject: Subject, folder: Path, heard: list[ClipEvent], recorder: FrameRecorder | None = None
) -> tuple[Generation, Result]:
    settings: Settings = load_settings(
        flags={
            "models.directory": subject.models,
            "models.search_paths": (),
            "models.sources": (),
            "service.data_dir": folder / "data",
        }
    )
    request = GenerationRequest.parse(request_fields(subject.spec))
    plan = ClipPlanner(settings, SPECS).plan_clip(request, subject.photo.size, CPU)
    picture = Picture(subject.photo, subject.photo.size, ())
    output = Output(OutputFile(folder / "clip.mp4"), recorder)
    result = make_clip(plan, [picture], output, EngineCache(settings.models), settings, heard.append)
    return plan.generation, result


def test_a_request_becomes_a_video_that_says_how_it_was_made(subject: Subject, tmp_path: Path) -> None:
    spec, heard = subject.spec, []
    generation, result = make(subject, tmp_path, heard)
    assert bool(list(tmp_path.glob("data/embeddings/*"))) == bool(spec.text_parts)
    info = probe(result.path)
    assert (info.num_frames, info.width, info.height) == (
        generation.num_frames,
        generation.width,
        generation.height,
    )
    assert info.fps == pytest.approx(generation.fps, rel=1e-4)
    assert (info.sound is not None) == any(isinstance(event, Sounded) for event in heard)
    meter = Meter(generation)
    progress = [meter.read(event) for event in heard]
    assert [each.fraction for each in progress] == sorted(each.fraction for each in progress)
    assert progress[-1].phase == "encoding"
    made = {stage.name: stage for stage in result.stages}
    figures = memory_model(spec).estimate(spec, generation, PLAN)
    assert set(made) <= {Stage.CONDITION, Stage.DENOISE, Stage.DECODE}
    assert all((stage.estimated_bytes is not None) == (figures is not None) for stage in made.values())
    forecast = Forecast([(generation, result)], denoising_work(SPECS))
    assert (forecast.seconds(generation) or 0) > 0
    provenance = Provenance.from_tags(read_tags(result.path), result.path)
    again = provenance.request_fields({}, spec.capabilities.unused)
    assert resolve(GenerationRequest.parse(again), spec, load_presets(), subject.photo.size)[0] == generation
    assert set(spec.packages) <= provenance.versions.keys()


@pytest.mark.slow
def test_what_only_failed_to_be_encoded_is_published_later_with_its_sound(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for an engine without steps: its frames are made again sooner than they are kept."""

    def fail(*_: object) -> None:
        raise RuntimeError("a defect in the delivery")

    generation, plain = make(subject, tmp_path, [])
    (tmp_path / "again").mkdir()
    with FrameRecorder(tmp_path / "kept", "clip") as recorder, monkeypatch.context() as broken:
        broken.setattr("i2v.pipeline.delivery.resize_frames", fail)
        with pytest.raises(RuntimeError, match="a defect"):
            make(subject, tmp_path / "again", [], recorder)
    assert {path.name for path in (tmp_path / "again").iterdir()} <= {"data"}
    assert recorder.path.exists() == (generation.num_inference_steps > 0)
    if recorder.path.exists():
        path = publish_kept(read_kept(recorder.path), OutputFile(tmp_path / "later.mp4")).path
        assert np.array_equal(read_frames(path), read_frames(plain.path))
        assert probe(path).sound == probe(plain.path).sound
