"""i2v.pipeline.make: a plan and a picture become a file, and nothing is left when that stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from i2v.core.crop import Crop
from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Cancelled, I2VError, InsufficientMemory, ModelUnavailable
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.results import Result
from i2v.core.settings import OutputSettings
from i2v.core.settings_sources import load_settings
from i2v.core.sound import Narration
from i2v.engines.base import Decoded, Denoised
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.media.image import Picture, fit_picture
from i2v.media.label import AIGC
from i2v.media.latents import KeptLatents
from i2v.media.outputs import OutputName
from i2v.media.provenance import Provenance
from i2v.media.unpublished import FrameRecorder
from i2v.media.upscale import is_installed
from i2v.media.video import probe, read_tags
from i2v.memory.plan import Planned
from i2v.pipeline.clip import ClipEvent, Loaded, Output
from i2v.pipeline.engines import EngineCache, LoadedEngine
from i2v.pipeline.fitting import fit_inputs
from i2v.pipeline.make import make_clip
from i2v.pipeline.marks import describe, mark
from i2v.pipeline.plan import ClipPlan
from i2v.pipeline.soundtrack import Soundtrack
from tests.clips import WHEN, read_frames

CPU = DeviceInfo("cpu", "CPU", 2**34)

Frames = NDArray[np.uint8]
needs_span = pytest.mark.skipif(
    not is_installed("span"), reason="SPAN is not installed: bash scripts/setup.sh upscale"
)


def make(
    engine: I2VGenXLEngine,
    generation: Generation,
    picture: Picture,
    folder: Path,
    on_event: Callable[[ClipEvent], None] = lambda event: None,
    recorder: FrameRecorder | None = None,
    latents: KeptLatents | None = None,
    **flags: object,
) -> Result:
    """Make the clip with an engine that is loaded already, into `folder`."""
    given = {name.replace("__", "."): value for name, value in flags.items()}
    settings = load_settings(flags={"models.directory": folder.parent / "no models", **given})
    cache = EngineCache(settings.models)
    cache.loaded = LoadedEngine(engine, CPU, "0" * 64)
    plan = ClipPlan({}, engine.spec, generation, CPU, Planned(engine.plan))
    output = Output(OutputName(folder, WHEN), recorder, latents=latents)
    return make_clip(plan, [picture], output, cache, settings, on_event)


@pytest.fixture(scope="module")
def engine(tiny_spec: EngineSpec, tiny_folder: Path) -> I2VGenXLEngine:
    return I2VGenXLEngine.load(tiny_spec, tiny_folder, MemoryPlan("cpu", "float32", decode_chunk=2))


@pytest.fixture
def picture(photo: Image.Image) -> Picture:
    return Picture(photo, photo.size, ())


def test_a_picture_becomes_a_video_with_every_frame_and_phase(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    asked = replace(generation, num_frames=5, fps=6)
    result = make(engine, asked, picture, tmp_path)
    assert result.path == tmp_path / "video_20250405_142310.mp4"
    info = probe(result.path)
    assert (info.num_frames, info.width, info.height, info.fps) == (5, 96, 64, 6)
    assert set(result.seconds) == {"picture", "load", "condition", "denoise", "decode", "encode"}
    assert all(spent > 0 for spent in result.seconds.values())
    assert result.to_dict()["seed"] == 7


def test_a_clip_that_was_killed_goes_on_from_its_kept_latents_and_another_one_does_not(
    engine: I2VGenXLEngine,
    generation: Generation,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("i2v.engines.diffusion.resume.SHARE", float("inf"))  # each step is kept
    steps: list[int] = []

    def run(asked: Generation, image: Picture, dies: bool = True, seconds: float = 1e-9) -> Result:
        def note(event: ClipEvent) -> None:
            if isinstance(event, Denoised):
                steps.append(event.step)
                if dies:
                    raise SystemExit

        latents = KeptLatents(tmp_path / "kept", "job", seconds)
        return make(engine, asked, image, tmp_path, note, latents=latents)

    asked = replace(generation, num_frames=4, num_inference_steps=2)
    with pytest.raises(SystemExit):
        run(asked, picture)
    other = replace(picture, image=picture.image.rotate(180))
    for changed in ((replace(asked, seed=8), picture, 1e5), (asked, other, 1e5), (asked, picture, 0)):
        with pytest.raises(SystemExit):
            run(*changed[:2], seconds=changed[2])
    result = run(asked, picture, dies=False)
    assert steps == [1, 1, 1, 1, 2], "the last one alone goes on"
    (notice,) = (each for each in result.notices if each.code == "denoise.resumed")
    assert notice.params == {"step": 1, "total": 2}


def test_frames_are_scaled_to_the_videos_size_without_changing_the_pictures_shape(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    asked = replace(generation, width=300, height=200, generated_width=96, generated_height=64)
    result = make(engine, asked, picture, tmp_path)
    info = probe(result.path)
    assert (info.width, info.height) == (300, 200)


@pytest.fixture
def enlarged(generation: Generation) -> Generation:
    size = {"width": 250, "height": 166, "generated_width": 96, "generated_height": 64}
    return replace(generation, upscaler="span", **size)


@needs_span
def test_a_network_makes_another_video_of_the_same_size_and_its_time_is_booked(
    engine: I2VGenXLEngine, enlarged: Generation, picture: Picture, tmp_path: Path
) -> None:
    seen: list[ClipEvent] = []
    resampled = replace(enlarged, upscaler="lanczos")
    result = make(engine, enlarged, picture, tmp_path, seen.append)
    plain = make(engine, resampled, picture, tmp_path)
    frames, others = read_frames(result.path), read_frames(plain.path)
    assert frames.shape == others.shape == (4, 166, 250, 3)
    assert 0.2 < np.abs(frames.astype(int) - others).mean() < 20
    assert result.seconds["upscale"] > 0
    assert "upscale" not in plain.seconds
    assert result.to_dict()["upscaler"] == "span"
    assert [len(event.frames) for event in seen if isinstance(event, Decoded)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Cancelled("job.interrupted"), (Cancelled, "job.interrupted")),
        (MemoryError("ncnn: -100"), (InsufficientMemory, "encode.out_of_memory")),
    ],
)
def test_stopping_while_frames_are_enlarged_leaves_nothing_behind(
    engine: I2VGenXLEngine,
    enlarged: Generation,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    message: tuple[type[I2VError], str],
) -> None:
    done: list[Frames] = []

    class Network:
        def __init__(self, name: str) -> None: ...

        def enlarge(self, frames: Frames) -> Frames:
            done.append(frames)
            if len(done) == 2 and isinstance(error, MemoryError):
                raise error
            return frames

    def stop(event: ClipEvent) -> None:
        if len(done) == 2:
            raise error

    monkeypatch.setattr("i2v.pipeline.delivery.Upscaler", Network)
    with pytest.raises(I2VError) as caught:
        make(engine, enlarged, picture, tmp_path, stop)
    assert (type(caught.value), caught.value.code) == message
    assert len(done) == 2, "of the four frames"
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_gone_is_reported_before_anything_is_computed(
    engine: I2VGenXLEngine,
    enlarged: Generation,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("i2v.media.upscale.find_spec", lambda name: None)
    seen: list[ClipEvent] = []
    recorder = FrameRecorder(tmp_path / "kept", "clip")
    with pytest.raises(ModelUnavailable) as caught:
        make(engine, enlarged, picture, tmp_path, seen.append, recorder)
    (tmp_path / "kept").rmdir()  # nothing is left in it
    assert (caught.value.code, list(tmp_path.iterdir())) == ("upscale.unusable", [])
    assert [type(event) for event in seen] == [Loaded], "the engine has not begun"


def test_what_was_cut_off_the_picture_is_in_the_result(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    asked = replace(generation, width=64, height=64, generated_width=64, generated_height=64, fit="crop")
    result = make(engine, asked, picture, tmp_path)
    cropped = next(notice for notice in result.notices if notice.code == "image.cropped")
    assert (cropped.params["left"], cropped.params["right"]) == (16, 16)


def test_a_clip_is_made_of_the_part_that_was_asked_for(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    crop = Crop(0.25, 0, 0.75, 1)
    plan = ClipPlan({}, engine.spec, replace(generation, crop=crop), CPU, Planned(engine.plan))
    inputs, _ = fit_inputs(plan, [picture])
    part = picture.image.crop(crop.box(picture.image.size))
    expected = fit_picture(part, generation.width, generation.height, "keep").image
    assert inputs.image.tobytes() == expected.tobytes()


def test_a_camera_that_moves_gets_the_same_part_of_the_picture_larger(
    engine: I2VGenXLEngine, generation: Generation, photo: Image.Image
) -> None:
    large = photo.resize((12 * generation.generated_width, 9 * generation.generated_height))
    crop = Crop(0.25, 0, 0.75, 1)
    moving = replace(generation, crop=crop, strength=0.5)
    plan = ClipPlan({}, engine.spec, moving, CPU, Planned(engine.plan))
    inputs, _ = fit_inputs(plan, [Picture(large, large.size, ())])
    assert inputs.large is not None
    width, height = generation.generated_width, generation.generated_height
    assert inputs.large.size == (4 * width, 4 * height)
    smaller = np.asarray(inputs.large.resize((width, height)), dtype=int)
    assert np.abs(smaller - np.asarray(inputs.image, dtype=int)).mean() < 4


@pytest.mark.parametrize(
    "error", [Cancelled("job.interrupted"), KeyboardInterrupt()], ids=["cancel", "Ctrl-C"]
)
def test_stopping_at_a_step_leaves_nothing_behind(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path, error: BaseException
) -> None:
    seen: list[ClipEvent] = []

    def stop(event: ClipEvent) -> None:
        seen.append(event)
        if isinstance(event, Denoised) and event.step == 2:
            raise error

    with pytest.raises(type(error)):
        make(engine, generation, picture, tmp_path, stop)
    assert seen[-1].step == 2
    assert list(tmp_path.iterdir()) == []


def test_a_video_says_where_it_comes_from_and_that_it_is_generated(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    heard: list[ClipEvent] = []
    path = make(engine, generation, picture, tmp_path, heard.append).path
    assert isinstance(heard[0], Loaded)
    provenance = heard[0].provenance
    assert Provenance.from_tags(read_tags(path), path) == provenance
    assert provenance.weights_sha256 == "0" * 64
    assert json.loads(read_tags(path)[AIGC])["ProduceID"] == provenance.digest()


@pytest.mark.parametrize(
    ("label", "in_file", "on_picture"),
    [("metadata", True, None), ("visible", True, "zh-CN"), ("none", False, None)],
)
def test_the_label_is_the_settings_choice(
    engine: I2VGenXLEngine,
    generation: Generation,
    picture: Picture,
    label: str,
    in_file: bool,
    on_picture: str | None,
) -> None:
    flags = {"output.label": label, "output.language": "zh-CN", "output.producer": "某某公司"}
    output = load_settings(flags=flags).output
    marks = mark(engine.spec, described(engine, generation, picture, output), output, {"more": "tags"})
    assert (AIGC in marks.tags) is in_file
    assert marks.visible == on_picture
    assert marks.tags["more"] == "tags"
    if in_file:
        assert json.loads(marks.tags[AIGC])["ContentProducer"] == "某某公司"


def test_synthetic_speech_is_generated_content_whatever_made_the_frames(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture
) -> None:
    output = load_settings(flags={"output.label": "visible", "output.prompts": False}).output
    camera = replace(engine.spec, is_generative=False)
    for speaker, is_marked in (("", False), ("espeak-ng 1.52.0", True)):
        spoken = replace(generation, narration=Narration("Hello there")) if speaker else generation
        plan = ClipPlan({}, camera, spoken, CPU, Planned(engine.plan))
        soundtrack = Soundtrack(1.0, speaker=speaker)
        loaded = LoadedEngine(engine, CPU, "0" * 64)
        provenance = describe(plan, [picture], loaded, output, soundtrack=soundtrack)
        marks = mark(camera, provenance, output, {})
        assert (AIGC in marks.tags, marks.visible is not None) == (is_marked, is_marked)
        assert json.loads(marks.tags["i2v"])["synthetic_speech"] == speaker
        assert "Hello there" not in marks.tags["i2v"], "it is left out where prompts are"


def described(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, output: OutputSettings
) -> Provenance:
    plan = ClipPlan({"prompt": "pan"}, engine.spec, generation, CPU, Planned(engine.plan))
    return describe(plan, [picture], LoadedEngine(engine, CPU, "0" * 64), output)


def test_prompts_stay_out_of_the_file_where_the_settings_say_so(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture
) -> None:
    output = load_settings(flags={"output.prompts": False}).output
    tags = mark(engine.spec, described(engine, generation, picture, output), output, {}).tags
    assert "the camera" not in "".join(tags.values())


@pytest.mark.slow
def test_a_visible_label_is_on_the_first_two_seconds_of_the_video(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    """Frames come in chunks of two here: the label counts on over them."""
    asked = replace(generation, num_frames=5, fps=2, width=192, height=128)
    videos = [
        make(engine, asked, picture, tmp_path, output__label="visible" if visible else "none").path
        for visible in (None, "en")
    ]
    plain, labelled = (read_frames(path) for path in videos)
    corner = np.abs(plain.astype(int) - labelled)[:, -16:, -60:].mean((1, 2, 3))
    assert (corner[:4] > 10).all()
    assert corner[4] < 5
