"""pipeline.extend: a finished clip is made longer, and its seam is held."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2v.core.errors import Cancelled, InvalidRequest
from i2v.core.extension import ExtendRequest
from i2v.core.generation import Generation
from i2v.core.loras import Lora
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.scenes import Scene
from i2v.engines.camera_move.specs import CAMERA_MOVE
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.label import AIGC
from i2v.media.outputs import OutputFile
from i2v.media.provenance import KEY, Provenance
from i2v.media.video import Mp4Writer, probe
from i2v.pipeline.enhance import Source, read_source
from i2v.pipeline.extend import described, read_before, resolve_extension, taken_over
from tests.clips import make_frames

SIZE = (96, 64)
SEED = 7


@pytest.fixture
def ran(generation: Generation) -> Generation:
    return replace(
        generation,
        engine="embedded",
        num_frames=8,
        fps=8,
        width=SIZE[0],
        height=SIZE[1],
        generated_width=48,
        generated_height=32,
        options={"camera_strength": 1.0, "pan": 0.2},
        inputs=(),
        loras=(Lora("a"),),
    )


def source_of(ran: Generation, path: Path, num_frames: int = 8, fps: int = 8) -> Source:
    provenance = Provenance.of(
        {}, ran, [Image.new("RGB", (8, 8))], "ab" * 32, MemoryPlan("cpu", "float32"),
        DeviceInfo("cpu", "CPU", 2**34), "en",
    )  # fmt: skip
    tags = {KEY: provenance.to_tag(True), AIGC: '{"Label": "1"}'}
    with Mp4Writer(OutputFile(path), fps=fps, size=SIZE, tags=tags) as writer:
        writer.append(make_frames(num_frames, SIZE))
        writer.finish()
    return read_source(path)


@pytest.fixture
def source(ran: Generation, tmp_path: Path) -> Source:
    return source_of(ran, tmp_path / "clip.mp4")


def settle(source: Source, ran: Generation, **fields: object) -> Generation:
    request = ExtendRequest.parse({"seconds": 2, **fields})
    return resolve_extension(request, source, ran, EMBEDDED, lambda: SEED)[0]


def test_it_has_the_clip_as_its_first_scene_and_all_else_as_it_was(source: Source, ran: Generation) -> None:
    made = settle(source, ran)
    assert made.story == (Scene(1.0, ran.prompt), Scene(2.0, ran.prompt))
    assert (made.extends, made.made_frames, made.fresh_frames, made.overlap) == (8, 24, 16, 2)
    assert (made.seed, made.source, made.loras) == (SEED, source.sha256, ran.loras)
    assert [(each.start, each.frames) for each in made.segments] == [(6, 8), (12, 8), (18, 6)]
    assert (made.is_enhanced, made.video_frames, made.seconds) == (False, 24, 3)
    assert made.options["pan"] == 0.2, "the same move, of the same prompt"
    other = settle(source, ran, prompt="zoom in", seed=1)
    assert (other.story[-1].prompt, other.seed, "pan" in other.options) == ("zoom in", 1, False)


def test_a_longer_clip_is_made_longer_again(source: Source, ran: Generation, tmp_path: Path) -> None:
    first = settle(source, ran, prompt="zoom in")
    again = settle(source_of(first, tmp_path / "longer.mp4", 24), first, seconds=1)
    assert [(each.seconds, each.prompt) for each in again.story] == [
        (1.0, ran.prompt), (2.0, "zoom in"), (1.0, "zoom in"),
    ]  # fmt: skip
    assert (again.extends, [each.start for each in again.segments]) == (24, [22, 28])


def test_a_smoother_clip_stays_as_smooth_and_is_as_long_as_it_says(
    source: Source, ran: Generation, tmp_path: Path
) -> None:
    smooth = source_of(ran, tmp_path / "smooth.mp4", 30, 30)
    made = settle(smooth, ran)
    assert (made.output_fps, made.interpolation, made.extends, made.video_frames) == (30, "motion", 8, 90)


@pytest.mark.parametrize("seconds", [0.1, 599.5])
def test_too_little_and_too_much_are_refused(source: Source, ran: Generation, seconds: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settle(source, ran, seconds=seconds)
    assert (caught.value.code, caught.value.params["field"]) == ("request.invalid", "seconds")
    assert caught.value.params["allowed"].startswith("0.25 to 599")


def test_what_the_message_allows_is_taken(source: Source, ran: Generation) -> None:
    odd = replace(ran, fps=7, num_frames=24)  # 6 frames at 7 a second: 0.857142...
    with pytest.raises(InvalidRequest) as caught:
        settle(source, odd, seconds=0.5)
    least, _, most, *_ = caught.value.params["allowed"].split()
    assert [settle(source, odd, seconds=each).extends for each in (least, most.rstrip(","))] == [7, 7]


def test_a_clip_that_is_too_short_or_full_is_told_so(source: Source, ran: Generation, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as short:
        settle(source_of(ran, tmp_path / "short.mp4", 1), ran)
    assert (short.value.code, short.value.params["least"]) == ("extend.too_short", 2)
    with pytest.raises(InvalidRequest) as full:
        settle(source, replace(ran, story=(Scene(0.02, "a"),) * 50, made_frames=8))
    assert full.value.code == "extend.full"


def test_a_story_that_was_cut_is_one_scene(source: Source, ran: Generation) -> None:
    story = replace(ran, story=(Scene(1, "a"), Scene(1, "b")), made_frames=16)
    assert settle(source, story).story == (Scene(1.0, ran.prompt), Scene(2.0, "b"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fps", 0),
        ("num_inference_steps", 0),
        ("strength", -1.0),
        ("num_frames", 1),
        ("generated_width", 47),
        ("options", {"pan": 9}),
        ("options", {"later": 1}),
    ],
)
def test_what_its_engine_cannot_have_made_is_refused(
    source: Source, ran: Generation, field: str, value: object
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settle(source, replace(ran, **{field: value}))
    assert caught.value.code == "provenance.unreadable"
    assert field in caught.value.params["reason"]


def test_another_prompt_has_the_words_of_the_clips_style_once(source: Source, ran: Generation) -> None:
    inked = replace(ran, style="sketch", prompt="zoom in, pencil sketch, hatching, graphite on paper")
    assert settle(source, inked, prompt="pan left").story[-1].prompt.startswith("pan left, pencil sketch")
    for prompt in ("zoom in", inked.prompt):
        made = settle(source, inked, prompt=prompt)
        assert (made.story[-1].prompt, "pan" in made.options) == (inked.prompt, True)


def test_an_engine_that_makes_no_more_of_a_clip_is_named(source: Source, ran: Generation) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve_extension(ExtendRequest(seconds=2), source, ran, CAMERA_MOVE, lambda: SEED)
    assert (caught.value.code, caught.value.params["title"]) == ("extend.engine", CAMERA_MOVE.title)
    with pytest.raises(InvalidRequest) as caught:
        settle(source, replace(ran, prompt=""))
    assert caught.value.params["field"] == "prompt"


def test_the_engine_gets_the_last_frames_at_its_own_size_and_rate(
    source: Source, ran: Generation, tmp_path: Path
) -> None:
    smooth = source_of(ran, tmp_path / "smooth.mp4", 24, 24)
    seen = list[int]()
    before, inputs = read_before(smooth, settle(smooth, ran), lambda: seen.append(1))
    assert ([frame.shape for frame in before.frames], len(seen)) == ([(32, 48, 3)] * 2, 24)
    bright = make_frames(24, SIZE)[[18, 21]].mean((1, 2, 3))
    assert [frame.mean() for frame in before.frames] == pytest.approx(bright, abs=3)
    assert (inputs.image.size, inputs.large) == ((48, 32), None)
    followed = replace(settle(smooth, ran), strength=0.1)
    large = read_before(smooth, followed, lambda: None)[1].large
    assert large is not None
    assert large.size == SIZE
    assert np.asarray(large).mean() == pytest.approx(make_frames(24, SIZE)[-1].mean(), abs=3)


def test_reading_can_be_cancelled(source: Source, ran: Generation) -> None:
    def cancel() -> None:
        raise Cancelled("job.cancelled")

    with pytest.raises(Cancelled):
        read_before(source, settle(source, ran), cancel)


def test_it_says_what_both_parts_were_made_with(source: Source, ran: Generation) -> None:
    update = {"generation": {"seed": 9, "prompt": "b"}, "picture_sha256": ""}
    new = source.provenance.model_copy(update=update)
    made = described(new, source)
    assert made.generation["seed"] == 9
    assert made.picture_sha256 == source.provenance.picture_sha256
    assert [each["weights_sha256"] for each in made.extended] == ["ab" * 32]
    assert made.extended[0]["generation"]["seed"] == ran.seed
    assert len(described(new, replace(source, provenance=made)).extended) == 2
    assert ran.prompt in made.to_tag(with_prompts=True)
    assert ran.prompt not in made.to_tag(with_prompts=False)
    assert taken_over(source) == {AIGC: '{"Label": "1"}'}
    assert probe(source.video.path).num_frames == 8
