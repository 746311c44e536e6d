"""i2v.web.page.camera_panel: the path is drawn where the camera moves, and over the part that is chosen."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest

from i2v.core.crop import Crop
from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.registry import engines
from i2v.pipeline.resolve import resolve
from i2v.web.page.camera_panel import mark, seen
from i2v.web.page.framing import Framing

SIZE = (400, 300)
CAMERA, MODEL, DEMO = (engines()[name] for name in ("camera-move", "i2vgen-xl", "embedded"))


def made(spec: EngineSpec, prompt: str = "x", **options: object) -> dict[str, object]:
    fields = {"prompt": prompt, "engine": spec.name, "options": options}
    return asdict(resolve(GenerationRequest.parse(fields), spec, load_presets(), SIZE)[0])


def test_the_path_lies_in_the_part_that_is_chosen() -> None:
    numbers = made(CAMERA, pan=0.3, easing="linear") | {"crop": asdict(Crop(0.5, 0, 1, 0.5))}
    views = seen(Framing.of("x", SIZE, numbers), numbers, CAMERA)
    assert len(views) == 33
    assert min(view[axis] for view in views for axis in (0, 2, 4, 6)) == pytest.approx(0.5, abs=0.01)
    assert max(view[axis] for view in views for axis in (1, 3, 5, 7)) <= 0.5 + 1e-6
    assert views[-1][0] > views[0][0]
    whole = made(CAMERA, zoom=2)
    first, *_, last = seen(Framing.of("x", SIZE, whole), whole, CAMERA)
    assert last[2] - last[0] == pytest.approx((first[2] - first[0]) / 2)


def test_nothing_is_drawn_where_no_camera_moves_over_the_picture() -> None:
    still = made(CAMERA, pan=0, tilt=0, zoom=1, roll=0)
    for numbers, spec in (
        (still, CAMERA),
        (made(MODEL), MODEL),
        (made(DEMO, "zoom in", camera_strength=1), DEMO),
    ):
        assert mark(Framing.of("x", SIZE, numbers), numbers, spec) == ""


def test_a_model_that_follows_a_path_has_one() -> None:
    led = made(MODEL, pan=0.2)
    found = mark(Framing.of("x", SIZE, led), led, MODEL)
    drawn = re.search(r'data-views="(.*?)" data-seconds="([\d.]+)"', found)
    assert drawn is not None
    for view in json.loads(drawn[1]):
        assert len(view) == 8
        assert -1e-3 <= min(view) <= max(view) <= 1.001
