"""Where fast sampling is proven: of which weights, and for what is asked of them.

The table beside this file is written by `benchmarks/gate.py`, which holds fast clips of these very weights to
exact ones. Nothing is measured here, and no weights are read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from i2v.core.generation import Generation
from i2v.core.schedules import fast

Range = tuple[float, float]  # both ends are in it


@dataclass(frozen=True)
class Certificate:
    """What a gate passed for. `area_side`: the side of the square with the generated area, in pixels."""

    guidance_scale: Range
    num_inference_steps: Range
    num_frames: Range
    area_side: Range

    def covers(self, generation: Generation) -> bool:
        asked = {
            "guidance_scale": generation.guidance_scale,
            "num_inference_steps": generation.num_inference_steps,
            "num_frames": generation.num_frames,
            "area_side": (generation.generated_width * generation.generated_height) ** 0.5,
        }
        return all(getattr(self, name)[0] <= value <= getattr(self, name)[1] for name, value in asked.items())


def certificates_of(weights: str | None) -> tuple[Certificate, ...]:
    """Return what is proven of the weights with this digest (`weights_digest`); `None`: not known yet.

    A certificate for another schedule than the one that would be run now proves nothing.
    """
    rows = _table().get(weights, []) if weights else []
    return tuple(_certificate(row) for row in rows if _is_current(row))


@cache
def _table() -> dict[str, list[dict[str, Any]]]:
    table: dict[str, list[dict[str, Any]]] = json.loads(
        files("i2v").joinpath("weights/certificates.json").read_text(encoding="utf-8")
    )
    return table


def _certificate(row: dict[str, Any]) -> Certificate:
    ranges = ("guidance_scale", "num_inference_steps", "num_frames", "area_side")
    return Certificate(**{name: tuple(row[name]) for name in ranges})


def _is_current(row: dict[str, Any]) -> bool:
    low, high = row["num_inference_steps"]
    proven = tuple(row["schedule"]["timesteps"]), row["schedule"]["order"]
    return all(proven == (schedule.timesteps, schedule.order) for schedule in (fast(low), fast(high)))
