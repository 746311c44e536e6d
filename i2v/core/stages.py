"""The stages of a clip, in their order: one word each for engines, jobs, stopwatches and pages."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """What is being done to a clip. An engine goes through `CONDITION`, `DENOISE` and `DECODE`.

    Frames are decoded, enlarged, interpolated and encoded in turns: these overlap.
    """

    PICTURE = "picture"
    LOAD = "load"
    CONDITION = "condition"
    DENOISE = "denoise"
    DECODE = "decode"
    UPSCALE = "upscale"
    INTERPOLATE = "interpolate"
    ENCODE = "encode"
