"""What a request may say to this engine alone: the move, in numbers."""

from __future__ import annotations

from i2v.engines.camera.options import CameraOptions


class CameraMoveOptions(CameraOptions):
    """The move in numbers. Where pan, tilt, zoom or roll is given, a prompt without a motion adds none."""
