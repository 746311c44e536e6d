"""What quality is measured on: held-out photographs with prompts and seeds, and where their references lie.

A reference is what the exact way makes of a case at a given number of DDIM steps. It costs minutes, so it is
kept in a folder, under a key of all that decides over it: weights, picture, prompts, size, seed and steps.
This knows no model and no metric.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_picture
from scripts.train_embedded import photos
from scripts.train_embedded.motions import MOTIONS

REFERENCES = ROOT / "checkpoints" / "references"
GUIDANCE_SCALES = (1.0, 2.5)  # the embedded model's default, without guidance, and with
SIDE = EMBEDDED.presets["standard"].area_side  # pixels of the square pictures
COUNT = 27  # of the held-out photographs


@dataclass(frozen=True)
class Clip:
    """What a run made: `latents` (1, C, F, h, w) float32, and `frames` (F, H, W, 3) uint8."""

    latents: NDArray[np.float32]
    frames: NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """One held-out photograph and what is asked of it; a model's standard is 50 steps."""

    name: str
    photo: photos.Photo
    generation: Generation

    @cached_property
    def picture(self) -> Image.Image:
        """The photograph, cropped to the generated size as the program crops it."""
        wanted = self.generation
        image = photos.open_photo(self.photo)
        return fit_picture(image, wanted.generated_width, wanted.generated_height, "crop").image

    def at(self, num_inference_steps: int) -> Case:
        return replace(self, generation=replace(self.generation, num_inference_steps=num_inference_steps))

    def key(self, weights: str) -> str:
        """Return the name of what the exact way makes of this with `weights` (their digest)."""
        asked = self.generation
        decisive = (
            weights,
            hashlib.sha256(np.asarray(self.picture).tobytes()).hexdigest(),
            (asked.prompt, asked.negative_prompt, asked.guidance_scale, asked.seed),
            (asked.generated_width, asked.generated_height, asked.num_frames, asked.target_fps),
            asked.num_inference_steps,
        )
        digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]
        return f"{self.name}-{asked.num_inference_steps}-{digest}"


def cases(guidance_scale: float, count: int = COUNT, side: int = SIDE) -> list[Case]:
    """Return the first `count` cases: the k-th photograph, the model's motions in turn, seed k.

    Photographs that Python packages bring come first: a few cases need no `photos fetch`.
    """
    chosen = sorted(photos.manifest("heldout"), key=lambda photo: not photo.package.startswith("python:"))
    prompts = EMBEDDED.motions[: len(MOTIONS)]  # where nothing moves there is no motion to be wrong about
    preset = EMBEDDED.presets["standard"]
    return [
        Case(
            name=f"{Path(photo.path.replace('#', '/')).stem}-{prompts[k % len(prompts)].split()[-1]}"
            f"-{guidance_scale:g}",
            photo=photo,
            generation=Generation(
                prompt=prompts[k % len(prompts)], negative_prompt="", width=side, height=side,
                generated_width=side, generated_height=side, fit="crop", num_frames=preset.num_frames,
                fps=preset.fps, target_fps=preset.fps, num_inference_steps=50,
                guidance_scale=guidance_scale, seed=k, engine=EMBEDDED.name,
            ),
        )
        for k, photo in enumerate(chosen[:count])
    ]  # fmt: skip


class References:
    """The kept references of one set of weights."""

    def __init__(self, weights: str, folder: Path = REFERENCES) -> None:
        self._weights = weights
        self._folder = folder / weights[:12]

    def path(self, case: Case) -> Path:
        return self._folder / f"{case.key(self._weights)}.npz"

    def find(self, case: Case) -> Clip | None:
        """Return what was kept for `case`, if anything."""
        try:
            with np.load(self.path(case), allow_pickle=False) as kept:
                return Clip(kept["latents"], kept["frames"])
        except FileNotFoundError:
            return None

    def get(self, case: Case, make: Callable[[Case], Clip]) -> Clip:
        """Return the reference of `case`; `make` is called, and its clip kept, where there is none yet."""
        found = self.find(case)
        if found is None:
            found = make(case)
            path = self.path(case)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, latents=found.latents, frames=found.frames)
            partial.replace(path)  # whole or not there: another process may read meanwhile
        return found
