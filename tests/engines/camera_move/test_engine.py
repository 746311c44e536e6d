"""i2v.engines.camera_move.engine: a request becomes a sharp clip through the one way that all clips go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2v.core.errors import InvalidRequest
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets, load_settings
from i2v.engines.base import Conditioned, Decoded, Inputs
from i2v.engines.camera_move.engine import CameraMoveEngine
from i2v.engines.camera_move.specs import CAMERA_MOVE
from i2v.media.image import Picture
from i2v.media.label import AIGC
from i2v.media.outputs import OutputFile
from i2v.media.provenance import Provenance
from i2v.media.unpublished import FrameRecorder
from i2v.media.video import probe, read_tags
from i2v.pipeline.clip import Output
from i2v.pipeline.engines import EngineCache
from i2v.pipeline.make import make_clip
from i2v.pipeline.plan import ClipPlan, ClipPlanner
from i2v.pipeline.resolve import resolve
from tests.models import models_in

CPU = DeviceInfo("cpu", "CPU", 2**34, 2**34, 2**34)


def plan(picture: Image.Image, **fields: object) -> ClipPlan:
    planner = ClipPlanner(load_settings(), {CAMERA_MOVE.name: CAMERA_MOVE})
    request = GenerationRequest.parse({"engine": "camera-move", "num_frames": 24, "fps": 24, **fields})
    return planner.plan_clip(request, picture.size, CPU)


def test_a_prompt_becomes_a_clip_of_the_pictures_own_size(photo: Image.Image, tmp_path: Path) -> None:
    clip = plan(photo, prompt="zoom in and pan left")
    assert {notice.code for notice in clip.notices} >= {"camera.pan_left", "camera.zoom_in"}
    settings = load_settings(flags={"output.label": "visible"})
    recorder = FrameRecorder(tmp_path / "kept", "clip")
    output = Output(OutputFile(tmp_path / "clip.mp4"), recorder)
    cache = EngineCache(models_in(tmp_path))
    result = make_clip(clip, [Picture(photo, photo.size, ())], output, cache, settings)
    info = probe(result.path)
    assert (info.width, info.height, info.num_frames, info.fps) == (*photo.size, 24, 24)
    tags = read_tags(result.path)
    assert AIGC not in tags, "no AI made it"
    provenance = Provenance.from_tags(tags, result.path)
    assert provenance.visible_label is None
    assert provenance.generation["options"]["pan"] < 0
    assert provenance.weights_sha256 == "none"
    assert not (tmp_path / "kept").exists(), "frames that take no time to make are not kept"
    again = GenerationRequest.parse(provenance.request_fields({}, CAMERA_MOVE.capabilities.unused))
    assert plan(photo, **again.model_dump(exclude_unset=True)).generation == clip.generation


def test_its_events_are_one_chunk_a_frame_and_closing_them_ends_the_work(photo: Image.Image) -> None:
    clip = plan(photo, options={"zoom": 1.5})
    engine = CameraMoveEngine.load(CAMERA_MOVE, None, MemoryPlan("cpu", "float32", threads=1))
    events = engine.generate(clip.generation, Inputs(photo))
    assert isinstance(next(events), Conditioned)
    first = next(events)
    assert isinstance(first, Decoded)
    assert (first.frames.shape, first.frames.dtype) == ((1, photo.height, photo.width, 3), np.uint8)
    events.close()
    assert next(events, None) is None


def test_a_still_camera_shows_the_picture_itself(photo: Image.Image, tmp_path: Path) -> None:
    clip = plan(photo, prompt="the camera stays still")
    engine = CameraMoveEngine.load(CAMERA_MOVE, None, clip.memory.plan)
    frames = [
        event.frames
        for event in engine.generate(clip.generation, Inputs(photo))
        if isinstance(event, Decoded)
    ]
    assert len(frames) == 24
    apart = np.abs(frames[-1][0].astype(int) - np.asarray(photo))
    assert apart.max() <= 1


@pytest.mark.parametrize(
    ("size", "preset", "video"),
    [
        ((6000, 4000), "standard", (1764, 1176)),
        ((6000, 4000), "extreme", (3528, 2352)),
        ((640, 480), "extreme", (640, 480)),
        ((12000, 1000), "extreme", (4080, 340)),
    ],
)
def test_a_clip_is_never_larger_than_its_picture_nor_than_4k(
    size: tuple[int, int], preset: str, video: tuple[int, int]
) -> None:
    request = GenerationRequest.parse({"preset": preset})
    generation, _ = resolve(request, CAMERA_MOVE, load_presets(), size)
    assert (generation.width, generation.height) == video


def test_without_a_motion_it_pushes_in_and_says_so(photo: Image.Image) -> None:
    clip = plan(photo, prompt="a quiet lake")
    assert "camera.default_move" in {notice.code for notice in clip.notices}
    assert clip.generation.options["zoom"] > 1
    assert clip.generation.options == plan(photo).generation.options


def test_what_does_nothing_is_refused(photo: Image.Image) -> None:
    for fields in ({"seed": 7}, {"guidance_scale": 9}, {"fit": "pad"}, {"num_frames": 12}, {"fps": 12}):
        with pytest.raises(InvalidRequest):
            plan(photo, **fields)


def test_it_needs_no_torch(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "photo.png")
    code = """
import sys
from PIL import Image
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Inputs, engine_class
from i2v.engines.registry import find_spec
spec = find_spec("camera-move")
engine_class(spec).load(spec, None, MemoryPlan("cpu", "float32"))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
