"""What came of a clip: where it is, what was run, and what each stage took; as an object and as JSON.

One JSON object for `--json`, the API and the job database, in which the generation's fields stand beside the
result's own. This module knows neither how a clip is made nor where its result is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from pydantic_core import to_jsonable_python

from i2v.core.errors import Notice, read_notices
from i2v.core.generation import Generation
from i2v.core.schedules import evaluations, fast
from i2v.core.stored import read_as


@dataclass(frozen=True)
class StageUse:
    """What a stage of a clip took: wall seconds, and bytes at the most.

    `bytes` is `None` where nothing could measure it, `estimated_bytes` where nothing was estimated.
    """

    name: str
    seconds: float = 0.0
    bytes: int | None = None
    estimated_bytes: int | None = None


@dataclass(frozen=True)
class MadeWith:
    """What computed a clip.

    Attributes:
        device: its name, as of the card.
        dtype: of the weights and of what is computed with them.
        kernels: see `i2v.engines.base.Engine.kernels`.
        versions: of Python, i2v, the libraries that compute, and ffmpeg.
        busy_cpus: how many CPUs the clip kept busy on average: fewer where others used the machine too.
            `None` on a GPU, and where an earlier version, which did not measure it, made the clip.
    """

    device: str
    dtype: str
    kernels: str = "torch"
    versions: dict[str, str] = field(default_factory=dict)
    busy_cpus: float | None = None


@dataclass(frozen=True)
class Result:
    """A finished clip: where it is, what was run, what to know of it, and what it took.

    Attributes:
        seconds: of each phase, on the wall.
        made_with: `None` where an earlier version, which did not tell, has made it.
        held_frames: how often the last frame is repeated, for as long as is spoken.
        extra: what its JSON says otherwise, or besides, where another version wrote it. It is written back.
    """

    path: Path
    generation: Generation
    notices: tuple[Notice, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    stages: tuple[StageUse, ...] = ()
    made_with: MadeWith | None = None
    held_frames: int = 0
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def video_frames(self) -> int:
        """How many frames the video has."""
        return self.generation.video_frames + self.held_frames

    @property
    def unet_evaluations(self) -> int:
        made = self.generation
        return evaluations(made.speed, made.num_inference_steps, made.strength) * len(made.segments)

    @property
    def solver(self) -> str:
        steps = self.generation.num_inference_steps
        if not steps:
            return "none"
        return fast(steps).solver if self.generation.speed == "fast" else "ddim"

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object."""
        own = to_jsonable_python(self)  # in a fifth of the time of `asdict`: each stored row is read by this
        return {
            "path": str(self.path),
            **own["generation"],
            "video_fps": self.generation.video_fps,
            "video_frames": self.video_frames,
            "held_frames": self.held_frames,
            "solver": self.solver,
            "unet_evaluations": self.unet_evaluations,
            "seconds": {phase: round(spent, 3) for phase, spent in self.seconds.items()},
            "stages": own["stages"],
            "made_with": own["made_with"],
            "notices": [notice.to_dict() for notice in self.notices],
            **self.extra,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, object], generation: Generation) -> Self:
        """Read a JSON object that any version may have written.

        generation: what is known of it anyway: has the fields that the object lacks.

        Raises:
            ValueError: it cannot be read.
        """
        own = read_as(_Own, stored)
        result = cls(
            path=own.path,
            generation=read_as(Generation, {**vars(generation), **stored}),
            notices=read_notices(stored.get("notices", [])),
            seconds=own.seconds,
            stages=own.stages,
            made_with=own.made_with,
            held_frames=own.held_frames,
        )
        known = result.to_dict()
        extra = {name: value for name, value in stored.items() if known.get(name, known) != value}
        return replace(result, extra=extra)


@dataclass(frozen=True)
class _Own:
    """The fields of a result's JSON that are neither the generation's nor notices."""

    path: Path
    seconds: dict[str, float] = field(default_factory=dict)
    stages: tuple[StageUse, ...] = ()
    made_with: MadeWith | None = None
    held_frames: int = 0
