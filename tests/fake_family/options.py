"""What only this family can be asked for."""

from __future__ import annotations

from typing import Annotated

from i2v.core.bounds import Within
from i2v.core.engine_spec import Options


class FakeOptions(Options):
    """motion: how far frames drift from the picture. sound: whether the clip has one, of `tone` hertz."""

    motion: Annotated[float, Within(0, 1)] = 0.5
    sound: bool = True
    tone: Annotated[int, Within(50, 2000)] = 440
