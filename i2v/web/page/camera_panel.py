"""The camera's path over the picture in the form, as numbers for `camera.js`, which draws them.

Pure: what the frames see is the engine's to say (`Options.views`), so that neither this nor the browser has a
formula that could differ from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from i2v.core.engine_spec import EngineSpec
from i2v.web.page.framing import Framing

_MOST = 33  # views that the browser is sent; between them, straight lines are near enough

T = TypeVar("T")


def mark(framing: Framing, made: Mapping[str, object], spec: EngineSpec) -> str:
    """Return what `camera.js` draws the path from; "" where no camera moves over the picture.

    made: the numbers of a `Generation` of the engine.
    """
    views = seen(framing, made, spec)
    if not views:
        return ""
    seconds = cast("int", made["num_frames"]) / cast("int", made["fps"])
    numbers = json.dumps([[round(number, 4) for number in view] for view in views])
    return f'<span hidden class="i2v-camera" data-views="{numbers}" data-seconds="{seconds:.2f}"></span>'


def seen(framing: Framing, made: Mapping[str, object], spec: EngineSpec) -> list[list[float]]:
    """Return the corners of what some of the frames see, the first and the last among them.

    As parts of the picture's width and height, in the order of `Corners`.
    """
    if not framing.is_moving or framing.is_padded:
        return []
    left, top, width, height = _part(framing, spec)
    picture = (round(width * framing.size[0]), round(height * framing.size[1]))
    options = spec.options_model.model_validate(made["options"])
    views = options.views(cast("int", made["num_frames"]), picture, framing.clip)
    begins, scales = (left, top), (width / picture[0], height / picture[1])
    return [
        [begins[number % 2] + scales[number % 2] * side for number, side in enumerate(view)]
        for view in _some(views)
    ]


def _part(framing: Framing, spec: EngineSpec) -> tuple[float, float, float, float]:
    """Return (left, top, width, height) of the part of the picture over which the camera moves."""
    if not spec.capabilities.whole_picture:
        left, top, right, bottom = framing.cut
        return left, top, 1 - left - right, 1 - top - bottom
    crop = framing.crop
    if crop is None:
        return 0, 0, 1, 1
    return crop.left, crop.top, crop.right - crop.left, crop.bottom - crop.top


def _some(views: Sequence[T]) -> list[T]:
    """Return at most `_MOST` of the views, evenly spread."""
    if len(views) <= _MOST:
        return list(views)
    last = len(views) - 1
    return [views[round(number * last / (_MOST - 1))] for number in range(_MOST)]
