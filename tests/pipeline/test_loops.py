"""i2v.pipeline.loops: what a loop will be, and its frames in their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.base import Conditioned, Decoded, Event
from i2v.engines.camera_move.specs import CAMERA_MOVE
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.pipeline.loops import looped
from i2v.pipeline.resolve import resolve

CHUNKS = ([0, 1, 2], [3, 4], [5, 6, 7])


def settle(spec: EngineSpec, **fields: object) -> tuple[Generation, tuple[Notice, ...]]:
    request = GenerationRequest.parse({"prompt": "the camera pans left", "loop": True, **fields})
    return resolve(request, spec, load_presets(), (96, 64))


def shown(generation: Generation) -> list[int]:
    """Return the numbers of the frames that come of eight."""
    frames = [np.array(chunk, np.uint8)[:, None, None, None] for chunk in CHUNKS]
    events: list[Event] = [Conditioned(), *map(Decoded, frames)]
    chunks = [event.frames for event in looped(iter(events), generation) if isinstance(event, Decoded)]
    return [int(frame) for chunk in chunks for frame in chunk.ravel()]


def test_each_engine_says_how_it_makes_a_loop() -> None:
    made, notices = settle(I2VGEN_XL, num_frames=16)
    assert (made.loop, made.overlap, made.total_frames) == (True, 4, 12)
    assert Notice("loop.wrapped", {"num_frames": 16, "video_frames": 12}) in notices
    made, notices = settle(WAN_TI2V_5B, num_frames=17)
    assert (made.loop, made.overlap, made.total_frames) == (True, 0, 32)
    assert Notice("loop.back", {"num_frames": 17, "video_frames": 32}) in notices
    made, _ = settle(CAMERA_MOVE)
    assert (made.loop, made.options["loop"], made.total_frames) == (True, True, made.num_frames)
    assert settle(CAMERA_MOVE, loop=False, prompt="pan left in a loop")[0].loop, "as its prompt says"
    assert not settle(CAMERA_MOVE, loop=False)[0].loop
    made, _ = settle(EMBEDDED, num_frames=8)
    assert made.options["loop"], "the camera comes back as well"
    made, _ = settle(I2VGEN_XL, loop=False, num_frames=16)
    assert (made.loop, made.total_frames) == (False, 16)


def test_a_loop_shows_its_frames_once_or_there_and_back(generation: Generation) -> None:
    wrapped = replace(generation, loop=True, num_frames=8, overlap=2, made_frames=6)
    assert shown(wrapped) == [0, 1, 2, 3, 4, 5]
    back = replace(generation, loop=True, num_frames=8, made_frames=14)
    assert shown(back) == [0, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1]
    assert shown(replace(generation, num_frames=8)) == list(range(8))
    assert shown(replace(generation, num_frames=8, loop=True)) == list(range(8)), "the engine's own"


@pytest.mark.parametrize("others", [{"story": ["2"]}, {"inputs": [{"role": "last_image"}]}])
def test_a_loop_goes_with_neither_scenes_nor_later_pictures(others: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settle(ANIMATEDIFF, **others)
    assert caught.value.code == "request.loop_alone"
