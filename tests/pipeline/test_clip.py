"""From a request to a file: what is settled before anything runs, and that nothing is left when it stops."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from i2v.core.errors import Cancelled, I2VError, InsufficientMemory, InvalidRequest, ModelUnavailable
from i2v.core.schema import DeviceInfo, EngineSpec, Generation, GenerationRequest, MemoryPlan, Upscaling
from i2v.core.settings import load_presets, load_settings
from i2v.engines.base import Decoded, Denoised, Event
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.specs import EMBEDDED, I2VGEN_XL
from i2v.media.image import Picture
from i2v.media.label import AIGC
from i2v.media.outputs import OutputName
from i2v.media.provenance import Provenance
from i2v.media.unpublished import FrameRecorder
from i2v.media.upscale import is_installed
from i2v.media.video import probe, read_tags
from i2v.pipeline.clip import Marks, describe, generate_video, mark, resolve
from i2v.pipeline.loading import LoadedEngine
from i2v.weights.certificates import Certificate
from tests.clips import WHEN, read_frames

PHOTO = (3000, 2000)

Frames = NDArray[np.uint8]
needs_span = pytest.mark.skipif(
    not is_installed("span"), reason="SPAN is not installed: bash scripts/setup.sh upscale"
)


def settle(spec: EngineSpec, size: tuple[int, int] = PHOTO, **fields: object) -> tuple[Generation, list[str]]:
    request = GenerationRequest.parse({"prompt": "the camera pans left", **fields})
    generation, notices = resolve(request, spec, load_presets(), size, draw=lambda: 1234)
    return generation, [notice.code for notice in notices]


@pytest.mark.parametrize(
    ("preset", "side", "num_frames", "steps"),
    [("quick", 512, 8, 30), ("standard", 512, 16, 50), ("high", 768, 24, 80), ("extreme", 1024, 32, 100)],
)
def test_the_published_presets(preset: str, side: int, num_frames: int, steps: int) -> None:
    generation, _ = settle(I2VGEN_XL, size=(900, 900), preset=preset)
    assert (generation.width, generation.height) == (side, side)
    assert (generation.num_frames, generation.num_inference_steps) == (num_frames, steps)
    assert (generation.fps, generation.guidance_scale, generation.seed) == (8, 9.0, 1234)
    assert generation.negative_prompt == I2VGEN_XL.default_negative_prompt


PROVEN = Certificate((1.0, 1.0), (12, 50), (8, 8), (150, 170))


@pytest.mark.parametrize(
    ("speed", "guidance", "proofs", "settled", "told"),
    [
        ("auto", 1.0, [PROVEN], "fast", []),
        ("auto", 2.5, [PROVEN], "exact", ["speed.not_measured"]),
        ("auto", 1.0, [], "exact", ["speed.not_measured"]),
        ("auto", 1.0, None, "exact", []),
        ("fast", 1.0, [PROVEN], "fast", []),
        ("fast", 2.5, [PROVEN], "fast", ["speed.unproven"]),
        ("exact", 1.0, [PROVEN], "exact", []),
    ],
)
def test_fast_is_what_is_proven_or_asked_for(
    speed: str, guidance: float, proofs: list[Certificate] | None, settled: str, told: list[str]
) -> None:
    fields = {"prompt": "the camera pans left", "speed": speed, "guidance_scale": guidance}
    request = GenerationRequest.parse(fields)
    generation, notices = resolve(request, EMBEDDED, {}, (512, 512), proofs=proofs)
    assert generation.speed == settled
    assert [notice.code for notice in notices] == told


def test_few_steps_are_exact_without_a_word() -> None:
    request = GenerationRequest.parse({"prompt": "a", "num_inference_steps": 11})
    generation, notices = resolve(request, EMBEDDED, {}, (512, 512), proofs=())
    assert (generation.speed, notices) == ("exact", ())


def test_an_engine_without_a_fast_way_is_exact() -> None:
    request = GenerationRequest.parse({"prompt": "a", "speed": "fast"})
    spec = replace(EMBEDDED, has_fast=False)
    assert resolve(request, spec, {}, (512, 512), proofs=())[0].speed == "exact"


def test_explicit_fields_beat_the_preset() -> None:
    fields = {
        "num_frames": 20,
        "num_inference_steps": 7,
        "guidance_scale": 1.0,
        "fps": 10,
        "seed": 0,
        "negative_prompt": "",
    }
    generation, notices = settle(I2VGEN_XL, preset="extreme", **fields)
    assert {name: getattr(generation, name) for name in fields} == fields
    assert notices == []


def test_an_engine_has_its_own_numbers_for_the_presets() -> None:
    generation, notices = settle(EMBEDDED)
    own = EMBEDDED.presets["standard"]
    assert (generation.num_frames, generation.num_inference_steps) == (
        own.num_frames,
        own.num_inference_steps,
    )
    assert (generation.width, generation.height) == (generation.generated_width, generation.generated_height)
    assert notices == []


def test_keep_has_the_pictures_shape_and_the_area_asked_for() -> None:
    generation, _ = settle(I2VGEN_XL, resolution="512p")
    assert (generation.width, generation.height) == (640, 448)
    assert generation.width * generation.height == pytest.approx(512**2, rel=0.1)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_crop_and_pad_are_square(fit: str) -> None:
    generation, _ = settle(I2VGEN_XL, resolution="256p", fit=fit)
    assert (generation.width, generation.height) == (256, 256)


def test_a_size_that_the_model_cannot_have_is_generated_near_it_and_delivered_as_asked() -> None:
    generation, notices = settle(I2VGEN_XL, width=500, height=301)
    assert (generation.width, generation.height) == (500, 300)
    assert (generation.generated_width, generation.generated_height) == (512, 320)
    assert notices == ["request.size_changed", "request.size_rounded"]


@pytest.mark.parametrize(
    ("asked", "used"), [((161, 113), (160, 112)), ((161, 112), (160, 112)), ((65, 65), (64, 64))]
)
def test_a_size_that_is_changed_is_said_with_both(asked: tuple[int, int], used: tuple[int, int]) -> None:
    request = GenerationRequest.parse({"prompt": "zoom in", "width": asked[0], "height": asked[1]})
    _, notices = resolve(request, EMBEDDED, load_presets(), PHOTO)
    (changed,) = (notice.params for notice in notices if notice.code == "request.size_changed")
    assert (changed["asked_width"], changed["asked_height"]) == asked
    assert (changed["width"], changed["height"]) == used


@pytest.mark.parametrize("fields", [{"width": 160, "height": 112}, {"resolution": "256p"}, {}])
def test_a_size_that_is_kept_is_not_said(fields: dict[str, object]) -> None:
    assert "request.size_changed" not in settle(EMBEDDED, **fields)[1]


def test_syntax_of_other_programs_is_said_of_both_prompts() -> None:
    prompts = {"prompt": "(zoom in:1.2), slowly", "negative_prompt": "((blurry))"}
    request = GenerationRequest.parse(prompts)
    _, notices = resolve(request, EMBEDDED, load_presets(), PHOTO)
    pieces = {notice.code: notice.params["pieces"] for notice in notices if "syntax" in notice.code}
    assert pieces == {"prompt.syntax": "(zoom in:1.2)", "prompt.negative_syntax": "((blurry))"}


@pytest.mark.parametrize("fields", [{"resolution": "1024p"}, {"width": 1536, "height": 1024}])
def test_the_embedded_model_generates_at_its_own_size_and_scales_up_with_a_notice(
    fields: dict[str, object],
) -> None:
    generation, notices = settle(EMBEDDED, **fields)
    assert (generation.generated_width, generation.generated_height) == (192, 128)
    assert generation.width * generation.height == pytest.approx(1024**2, rel=0.55)
    assert notices == ["request.scaled_up"]


@pytest.mark.parametrize(
    ("fields", "told", "notices"),
    [
        ({"fps": 12}, 12, []),
        ({"fps": 24}, 16, ["request.target_fps_clamped"]),
        ({"fps": 4}, 8, ["request.target_fps_clamped"]),
        ({"fps": 4, "target_fps": 4}, 4, []),
        ({"target_fps": 30}, 30, []),
    ],
)
def test_fps_is_the_playback_rate_and_clamped_the_models_condition(
    fields: dict[str, object], told: int, notices: list[str]
) -> None:
    generation, said = settle(I2VGEN_XL, **fields)
    assert (generation.fps, generation.target_fps) == (fields.get("fps", 8), told)
    assert said == notices


@pytest.mark.parametrize(("num_frames", "noticed"), [(15, True), (16, False), (32, False), (33, True)])
def test_frames_beyond_the_trained_ones_get_a_notice(num_frames: int, noticed: bool) -> None:
    assert settle(I2VGEN_XL, num_frames=num_frames)[1] == ["request.untrained_frames"] * noticed


def test_gradient_checkpointing_is_accepted_and_answered() -> None:
    assert settle(I2VGEN_XL, gradient_checkpointing=True)[1] == ["request.gradient_checkpointing"]


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "\u3000", "\u200b\ufeff"])
def test_a_blank_prompt_is_refused_where_the_engine_needs_one(prompt: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settle(EMBEDDED, prompt=prompt)
    assert caught.value.code == "request.blank_prompt"


@pytest.mark.parametrize(
    ("upscaling", "installed", "upscaler", "told"),
    [
        ("auto", ["span", "real-esrgan"], "real-esrgan", ["request.upscaled"]),
        ("auto", ["span"], "span", ["request.upscaled"]),
        ("auto", [], "lanczos", ["request.scaled_up"]),
        ("span", [], "lanczos", ["request.scaled_up", "upscale.missing"]),
        ("span", ["span", "real-esrgan"], "span", ["request.upscaled"]),
        ("real-esrgan", ["span"], "lanczos", ["request.scaled_up", "upscale.missing"]),
        ("lanczos", ["span"], "lanczos", ["request.scaled_up"]),
    ],
)
def test_frames_are_enlarged_by_what_is_wanted_and_installed(
    monkeypatch: pytest.MonkeyPatch,
    upscaling: Upscaling,
    installed: list[str],
    upscaler: str,
    told: list[str],
) -> None:
    monkeypatch.setattr("i2v.media.upscale.is_installed", lambda name: name in installed)
    large = GenerationRequest.parse({"prompt": "pan", "resolution": "512p"})
    generation, notices = resolve(large, EMBEDDED, load_presets(), PHOTO, upscaling=upscaling)
    assert generation.upscaler == upscaler
    assert [notice.code for notice in notices] == told
    native, notices = resolve(
        GenerationRequest(prompt="pan"), EMBEDDED, load_presets(), PHOTO, upscaling=upscaling
    )
    assert (native.upscaler, notices) == ("lanczos", ()), "nothing is enlarged"


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
    result = generate_video(engine, asked, picture, OutputName(tmp_path, WHEN), Marks())
    assert result.path == tmp_path / "video_20250405_142310.mp4"
    info = probe(result.path)
    assert (info.num_frames, info.width, info.height, info.fps) == (5, 96, 64, 6)
    assert set(result.seconds) == {"picture", "condition", "denoise", "decode", "encode"}
    assert all(spent > 0 for spent in result.seconds.values())
    assert result.to_dict()["seed"] == 7


def test_frames_are_scaled_to_the_videos_size_without_changing_the_pictures_shape(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    asked = replace(generation, width=300, height=200, generated_width=96, generated_height=64)
    result = generate_video(engine, asked, picture, OutputName(tmp_path, WHEN), Marks())
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
    seen: list[Event] = []
    resampled = replace(enlarged, upscaler="lanczos")
    result = generate_video(engine, enlarged, picture, OutputName(tmp_path, WHEN), Marks(), seen.append)
    plain = generate_video(engine, resampled, picture, OutputName(tmp_path, WHEN), Marks())
    frames, others = read_frames(result.path), read_frames(plain.path)
    assert frames.shape == others.shape == (4, 166, 250, 3)
    assert 0.2 < np.abs(frames.astype(int) - others).mean() < 20
    assert result.seconds["upscale"] > 0
    assert "upscale" not in plain.seconds
    assert result.to_dict()["upscaler"] == "span"
    assert [len(event.frames) for event in seen if isinstance(event, Decoded)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("error", "told"),
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
    told: tuple[type[I2VError], str],
) -> None:
    done: list[Frames] = []

    class Network:
        def __init__(self, name: str) -> None: ...

        def enlarge(self, frames: Frames) -> Frames:
            done.append(frames)
            if len(done) == 2 and isinstance(error, MemoryError):
                raise error
            return frames

    def stop(event: Event) -> None:
        if len(done) == 2:
            raise error

    monkeypatch.setattr("i2v.pipeline.delivery.Upscaler", Network)
    with pytest.raises(I2VError) as caught:
        generate_video(engine, enlarged, picture, OutputName(tmp_path, WHEN), Marks(), stop)
    assert (type(caught.value), caught.value.code) == told
    assert len(done) == 2, "of the four frames"
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_gone_is_told_before_anything_is_computed(
    engine: I2VGenXLEngine,
    enlarged: Generation,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("i2v.media.upscale.find_spec", lambda name: None)
    seen: list[Event] = []
    target, recorder = OutputName(tmp_path, WHEN), FrameRecorder(tmp_path / "kept", "clip")
    with pytest.raises(ModelUnavailable) as caught:
        generate_video(engine, enlarged, picture, target, Marks(), seen.append, recorder=recorder)
    (tmp_path / "kept").rmdir()  # nothing is left in it
    assert (caught.value.code, seen, list(tmp_path.iterdir())) == ("upscale.unusable", [], [])


def test_what_was_cut_off_the_picture_is_in_the_result(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    asked = replace(generation, width=64, height=64, generated_width=64, generated_height=64, fit="crop")
    result = generate_video(engine, asked, picture, OutputName(tmp_path, WHEN), Marks())
    cropped = next(notice for notice in result.notices if notice.code == "image.cropped")
    assert (cropped.params["left"], cropped.params["right"]) == (16, 16)


@pytest.mark.parametrize(
    "error", [Cancelled("job.interrupted"), KeyboardInterrupt()], ids=["cancel", "Ctrl-C"]
)
def test_stopping_at_a_step_leaves_nothing_behind(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path, error: BaseException
) -> None:
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Denoised) and event.step == 2:
            raise error

    with pytest.raises(type(error)):
        generate_video(engine, generation, picture, OutputName(tmp_path, WHEN), Marks(), stop)
    assert seen[-1].step == 2
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def provenance(engine: I2VGenXLEngine, generation: Generation, picture: Picture) -> Provenance:
    loaded = LoadedEngine(engine, DeviceInfo("cpu", "CPU", 2**34), "0" * 64)
    return describe(GenerationRequest(prompt="pan"), generation, picture, loaded, load_settings().output)


def test_a_video_says_where_it_comes_from_and_that_it_is_generated(
    engine: I2VGenXLEngine,
    generation: Generation,
    picture: Picture,
    provenance: Provenance,
    tmp_path: Path,
) -> None:
    marks = mark(provenance, load_settings().output)
    path = generate_video(engine, generation, picture, OutputName(tmp_path, WHEN), marks).path
    assert Provenance.from_tags(read_tags(path), path) == provenance
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
    loaded = LoadedEngine(engine, DeviceInfo("cpu", "CPU", 2**34), "0" * 64)
    marks = mark(describe(GenerationRequest(prompt="pan"), generation, picture, loaded, output), output)
    assert (AIGC in marks.tags) is in_file
    assert marks.visible == on_picture
    if in_file:
        assert json.loads(marks.tags[AIGC])["ContentProducer"] == "某某公司"


def test_prompts_stay_out_of_the_file_where_the_settings_say_so(provenance: Provenance) -> None:
    tags = mark(provenance, load_settings(flags={"output.prompts": False}).output).tags
    assert "the camera" not in "".join(tags.values())


def test_a_visible_label_is_on_the_first_two_seconds_of_the_video(
    engine: I2VGenXLEngine, generation: Generation, picture: Picture, tmp_path: Path
) -> None:
    """Frames come in chunks of two here: the label counts on over them."""
    asked = replace(generation, num_frames=5, fps=2, width=192, height=128)
    videos = [
        generate_video(engine, asked, picture, OutputName(tmp_path, WHEN), Marks(visible=visible)).path
        for visible in (None, "en")
    ]
    plain, labelled = (read_frames(path) for path in videos)
    corner = np.abs(plain.astype(int) - labelled)[:, -16:, -60:].mean((1, 2, 3))
    assert (corner[:4] > 10).all()
    assert corner[4] < 5
