"""What only this family can be asked for: a camera's path to follow. Imports no torch."""

from __future__ import annotations

from typing import ClassVar

from i2v.core.generation import Generation
from i2v.engines.camera.options import CameraPathOptions


class I2VGenXLOptions(CameraPathOptions):
    """A path is followed where numbers ask for one; what the prompt says is the model's business."""


class DemoOptions(I2VGenXLOptions):
    """The demo model moves as asked, but its frames dissolve: it follows a path unless told not to.

    The strength is the largest at which frames stay sharp (`python -m benchmarks.camera_path`).
    """

    default_strength: ClassVar[float] = 0.1
    follows_prompt: ClassVar[bool] = True
    least_seconds: ClassVar[float] = 3.0  # in the second that its clips have, a usual move is hardly seen


def options_of(generation: Generation) -> I2VGenXLOptions:
    """Return the options of a clip of this family."""
    return I2VGenXLOptions.model_validate(generation.options)
