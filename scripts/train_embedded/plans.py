"""What a batch is to be made of: photographs, geometry, prompts. Only numbers, drawn ahead of time.

Processes beside the trainer draw plans, so that the device never waits for Python. How a plan
becomes frames is `rendering`'s business.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import CLIPTokenizer

from scripts.train_embedded.motions import (
    Clip,
    Mix,
    Motion,
    origins,
    plain_prompt,
    reach,
    sample_clip,
)
from scripts.train_embedded.text import MAX_LENGTH

SIDE = 128  # pixels: smaller views show a part of a larger frame
_OBLONGS = ((0.875, 1.125), (1.125, 0.875), (0.75, 1.375), (1.375, 0.75))  # height and width over a square's
_MARGIN = 1.2  # a photograph's sides over a view's, at least: what comes in must come from somewhere
AHEAD = 8  # plans that each process draws ahead

Size = tuple[int, int]  # (height, width) in pixels


@dataclass(frozen=True)
class Recipe:
    """What a batch is made of.

    Attributes:
        num_frames: of the whole clip, which `mix` describes.
        shown: how many of them are shown, frame 0 among them.
        first: the first frame that may be shown after frame 0.
        view: in pixels; smaller ones than `SIDE` show a part of a larger frame.
        dropout: share of prompts that are replaced by plain ones, and, apart, of pictures not shown.
    """

    mix: Mix
    num_frames: int
    shown: int
    first: int = 1
    view: Size = (SIDE, SIDE)
    dropout: float = 0.0


@dataclass(frozen=True)
class Plan:
    """B clips of F frames that are to be rendered in a `view`.

    Attributes:
        places: of each clip, its photograph and which of that one's sizes.
        geometry: (B, F, 2, 3): from a view's pixel (x, y, 1), counted from its centre, to the photograph's,
            counted from its top left corner.
        ramp: (B, F) position of each frame in the whole clip; 0 is frame 0, 1 the last.
        ids, opposite_ids: (B, 77) tokens of the prompt, and of one that asks for the opposite motion.
        fps: (B,)
        shown: (B,) 1, or 0 where the image encoder's embedding is left out.
    """

    view: Size
    places: tuple[tuple[int, int], ...]
    geometry: torch.Tensor
    ramp: torch.Tensor
    ids: torch.Tensor
    opposite_ids: torch.Tensor
    fps: torch.Tensor
    shown: torch.Tensor
    clips: tuple[Clip, ...]


def oblongs(side: int) -> list[Size]:
    """Return views of about the area of a square one, sides in multiples of 16."""
    return [(round(side * high / 16) * 16, round(side * wide / 16) * 16) for high, wide in _OBLONGS]


def motion_in(clip: Clip, height: int, width: int) -> Motion:
    """Return the clip's motion in a view.

    In one that is a part of a larger frame pans stay what they are in pixels, and a zoom or a turn grows, so
    that its border moves by as many pixels: what is learned on parts holds for the whole.
    """
    factor = 2 * SIDE / (height + width)
    if factor < 1.5:
        return clip.motion(height, width)
    whole = clip.motion(SIDE, SIDE)
    return replace(whole, zoom=whole.zoom * factor, turn=whole.turn * factor)


def draw_plan(
    sizes: Sequence[Sequence[Size]], tokenizer: CLIPTokenizer, count: int, recipe: Recipe, rng: random.Random
) -> Plan:
    """Draw `count` clips of random photographs.

    Args:
        sizes: of each photograph, those that it is there in.
    """
    clips, places, geometry, ramps, prompts = [], [], [], [], []
    for _ in range(count):
        clip = sample_clip(rng, recipe.num_frames, recipe.mix)
        chosen = [0, *sorted(rng.sample(range(recipe.first, recipe.num_frames), recipe.shown - 1))]
        photo = rng.randrange(len(sizes))
        height, width = recipe.view
        roomy = [k for k, (h, w) in enumerate(sizes[photo]) if h >= _MARGIN * height and w >= _MARGIN * width]
        level = rng.choice(roomy or [0])
        motion = motion_in(clip, height, width)
        clips.append(clip)
        places.append((photo, level))
        geometry.append(geometry_of(sizes[photo][level], motion, recipe.view, clip.positions[chosen], rng))
        ramps.append(torch.tensor(chosen) / (recipe.num_frames - 1))
        prompts.append(plain_prompt(rng) if rng.random() < recipe.dropout else clip.prompt)
    return Plan(
        recipe.view, tuple(places), torch.stack(geometry), torch.stack(ramps),
        tokens(tokenizer, prompts), tokens(tokenizer, [clip.opposite_prompt for clip in clips]),
        torch.tensor([clip.fps for clip in clips]),
        torch.tensor([float(rng.random() >= recipe.dropout) for _ in clips]), tuple(clips),
    )  # fmt: skip


def tokens(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    ids: torch.Tensor = tokenizer(
        prompts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    return ids


def geometry_of(
    size: Size, motion: Motion, view: Size, positions: torch.Tensor, rng: random.Random
) -> torch.Tensor:
    """Return (F, 2, 3) for a random part of a photograph, mirrored half of the time.

    `motions.render` takes the same part with the same `rng`.
    """
    photo_height, photo_width = size
    reach_x, reach_y = reach(motion, *view)
    shrink = min(1.0, photo_width / (2 * reach_x), photo_height / (2 * reach_y))
    scale = shrink * rng.uniform(0.8, 1.0)  # photo pixels a view pixel; below 1 magnifies a little
    free_x = max(0.0, photo_width / 2 - scale * reach_x)
    free_y = max(0.0, photo_height / 2 - scale * reach_y)
    middle_x, middle_y = rng.uniform(-free_x, free_x), rng.uniform(-free_y, free_y)
    # a motion of the camera is affine: three points say it all
    x, y = origins(motion, positions, torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0]))
    corners = scale * torch.stack([x, y], dim=1)  # (F, 2, 3)
    matrix = torch.cat([corners[:, :, 1:] - corners[:, :, :1], corners[:, :, :1]], dim=2)
    matrix[:, 0, 2] += middle_x
    matrix[:, 1, 2] += middle_y
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    matrix[:, 0, 2] += photo_width / 2
    matrix[:, 1, 2] += photo_height / 2
    return matrix


@dataclass(frozen=True)
class Course:
    """What batches a stage draws, from its options.

    Attributes:
        num_frames: of clips; a batch has one of them, and so with `sides`, in pixels.
        batch: clips of 8 frames and the first side, or as many pixels.
        aspects: share of batches that are not square.
        pairs: share of batches with pairs of frames, which are seen quickly.
        shown: how many frames are shown; 0: all.
    """

    mix: Mix
    num_frames: tuple[int, ...]
    sides: tuple[int, ...]
    batch: int
    aspects: float = 0.0
    pairs: float = 0.0
    shown: int = 0
    first: int = 1
    dropout: float = 0.1

    def draw(self, rng: random.Random) -> tuple[int, Recipe]:
        """Return how many clips, and of what kind."""
        is_pairs = rng.random() < self.pairs
        num_frames, side = rng.choice(self.num_frames), rng.choice(self.sides)
        shown = 2 if is_pairs else self.shown or num_frames
        view = rng.choice(oblongs(side)) if rng.random() < self.aspects else (side, side)
        count = max(1, round(self.batch * 8 / shown * (self.sides[0] / side) ** 2))
        first = 3 if is_pairs else self.first
        return count, Recipe(self.mix, num_frames, shown, first, view, self.dropout)


class _Plans(IterableDataset[Plan]):
    def __init__(
        self, sizes: Sequence[Sequence[Size]], tokenizer: CLIPTokenizer, course: Course, seed: int, rank: int
    ) -> None:
        self.sizes, self.tokenizer, self.course, self.seed, self.rank = sizes, tokenizer, course, seed, rank

    def __iter__(self) -> Iterator[Plan]:
        info = get_worker_info()
        worker = info.id if info else 0
        shapes = random.Random(f"{self.seed}/{worker}")  # alike for all ranks: none waits for a larger batch
        rng = random.Random(f"{self.seed}/{worker}/{self.rank}")
        while True:
            count, recipe = self.course.draw(shapes)
            yield draw_plan(self.sizes, self.tokenizer, count, recipe, rng)


def plans(
    sizes: Sequence[Sequence[Size]],
    tokenizer: CLIPTokenizer,
    course: Course,
    seed: int,
    rank: int = 0,
    workers: int = 0,
) -> Iterator[Plan]:
    """Yield plans without end; `workers` processes draw them ahead. Start it before CUDA: they are forked."""
    dataset = _Plans(sizes, tokenizer, course, seed, rank)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=workers, prefetch_factor=AHEAD if workers else None
    )
    return iter(loader)
