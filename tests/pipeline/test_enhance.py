"""pipeline.enhance: a finished clip becomes a larger and smoother one, and says what it was made of."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from i2v.core.enhancement import EnhanceRequest
from i2v.core.errors import Cancelled, EncodeError, InvalidRequest
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.scenes import Scene
from i2v.media.label import AIGC
from i2v.media.outputs import OutputFile
from i2v.media.provenance import KEY, Provenance
from i2v.media.video import Mp4Writer, probe, read_tags
from i2v.pipeline.enhance import (
    Source,
    delivered,
    enhance_clip,
    read_source,
    resolve_enhancement,
    source_of,
)
from tests.clips import make_frames, make_sound, names, read_frames

SIZE = (96, 64)  # of the fixture `generation`


@pytest.fixture
def clip(tmp_path: Path, generation: Generation) -> Path:
    provenance = Provenance.of(
        {},
        generation,
        [Image.new("RGB", (8, 8))],
        "ab" * 32,
        MemoryPlan("cpu", "float32"),
        DeviceInfo("cpu", "CPU", 2**34),
        "en",
    )
    tags = {KEY: provenance.to_tag(True), AIGC: '{"Label": "1"}'}
    path = tmp_path / "clip.mp4"
    with Mp4Writer(OutputFile(path), fps=8, size=SIZE, tags=tags) as writer:
        writer.append(make_frames(4, SIZE))
        writer.add_sound(make_sound(0.5))
        writer.finish()
    return path


def settle(source: Source, **fields: object) -> Generation:
    return resolve_enhancement(EnhanceRequest.parse(fields), source, source.generation, "lanczos")[0]


def test_it_is_larger_and_smoother_and_as_long_and_says_what_it_was_made_of(
    clip: Path, tmp_path: Path, generation: Generation
) -> None:
    source, seen = read_source(clip), list[int]()
    asked = settle(source, output_fps=24, interpolation="blend", scale=2)
    target = OutputFile(tmp_path / "better.mp4")
    result = enhance_clip(
        source, asked, target, {"job": "its own"}, lambda event: seen.append(len(event.frames))
    )
    info, tags = probe(result.path), read_tags(result.path)
    assert (info.width, info.height, info.fps, info.num_frames, info.duration) == (192, 128, 24, 12, 0.5)
    assert info.sound is not None
    assert info.sound.duration == pytest.approx(0.5, abs=0.05)
    assert seen == [1, 1, 1, 1]
    assert (tags[AIGC], tags["job"]) == ('{"Label": "1"}', "its own")
    made = Provenance.from_tags(tags, result.path)
    digest = hashlib.sha256(clip.read_bytes()).hexdigest()
    assert made.generation["source"] == result.generation.source == digest
    assert (made.generation["output_fps"], made.generation["interpolation"]) == (24, "blend")
    assert (made.generation["prompt"], made.generation["num_frames"]) == (generation.prompt, 4)
    assert (made.weights_sha256, made.visible_label) == ("ab" * 32, "en")
    assert (result.generation.video_frames, result.generation.video_fps) == (12, 24)
    assert set(result.seconds) == {"interpolate", "encode"}
    first, old = read_frames(result.path)[0], read_frames(clip)[0]
    assert abs(first.mean() - old.mean()) < 2


def test_it_can_be_enhanced_again(clip: Path, tmp_path: Path) -> None:
    source = read_source(clip)
    smooth = enhance_clip(
        source,
        settle(source, output_fps=16, interpolation="blend"),
        OutputFile(tmp_path / "smooth.mp4"),
    )
    again = read_source(smooth.path)
    asked = settle(again, scale=1.5)
    assert (asked.output_fps, asked.interpolation) == (16, "blend"), "as it was made"
    assert delivered(asked, again.video).interpolation is None
    larger = probe(enhance_clip(again, asked, OutputFile(tmp_path / "larger.mp4")).path)
    assert (larger.width, larger.height, larger.fps, larger.num_frames) == (144, 96, 16, 8)


def test_all_frames_of_a_clip_are_counted_however_it_was_made(clip: Path) -> None:
    source, scenes = read_source(clip), (Scene(0.25, "a"),)
    for ran in (
        replace(source.generation, story=scenes, made_frames=2, overlap=1),
        replace(source.generation, loop=True, made_frames=2),
    ):
        asked, _ = resolve_enhancement(EnhanceRequest.parse({"scale": 2}), source, ran, "lanczos")
        done = delivered(asked, source.video)
        assert (done.total_frames, done.loop, len(done.segments)) == (4, ran.loop, 1)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({}, "request.nothing_to_enhance", None),
        ({"output_fps": 8}, "request.invalid", "output_fps"),
        ({"output_fps": 121}, "request.invalid", "output_fps"),
        ({"scale": 5}, "request.invalid", "scale"),
        ({"scale": "large"}, "request.invalid", "scale"),
        ({"scale": 2, "speed": "fast"}, "request.unknown_field", "speed"),
    ],
)
def test_what_makes_nothing_better_is_refused(
    clip: Path, fields: dict[str, object], code: str, field: str | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settle(read_source(clip), **fields)
    assert (caught.value.code, caught.value.params.get("field")) == (code, field)


def test_a_clip_that_would_be_too_large_is_refused(clip: Path) -> None:
    source = read_source(clip)
    huge = replace(source, video=replace(source.video, width=2000))
    with pytest.raises(InvalidRequest) as caught:
        settle(huge, scale=3)
    assert caught.value.params["allowed"] == "at most 2.05"


def test_cancelling_leaves_nothing_behind(clip: Path, tmp_path: Path) -> None:
    source, folder = read_source(clip), tmp_path / "out"

    def cancel(event: object) -> None:
        raise Cancelled("job.cancelled")

    with pytest.raises(Cancelled):
        enhance_clip(source, settle(source, scale=2), OutputFile(folder / "a.mp4"), on_frame=cancel)
    assert not folder.exists() or names(folder) == []


def test_a_clip_that_is_gone_or_is_not_ours_is_told(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        source_of(tmp_path / "none.clip")
    assert caught.value.code == "job.source_lost"
    with Mp4Writer(OutputFile(tmp_path / "other.mp4"), fps=8, size=SIZE) as writer:
        writer.append(make_frames(2, SIZE))
        writer.finish()
    with pytest.raises(InvalidRequest) as caught:
        read_source(tmp_path / "other.mp4")
    assert caught.value.code == "provenance.none"
    source = read_source(clip)
    cut = replace(source, video=replace(source.video, num_frames=9))
    with pytest.raises(EncodeError) as broken:
        enhance_clip(cut, settle(source, scale=2), OutputFile(tmp_path / "a.mp4"))
    assert broken.value.code == "encode.broken"
