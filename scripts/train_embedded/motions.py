"""Camera motions: what a prompt asks (`Take`), a clip of it (`Clip`), how it is rendered from a photograph.

A motion is the camera's: "pans left" moves the content right, "tilts up" moves it down; "rotates clockwise"
is what the content does on the screen. Frame 0 is the photograph unwarped; a later frame is frame 0 seen
after a fraction of the motion. Content that enters comes from the photograph around the crop, so there are
no borders. The words are `phrases`' business.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from PIL import Image

from scripts.train_embedded.phrases import CHINESE_PHRASES as CHINESE_PHRASES
from scripts.train_embedded.phrases import HELD_OUT_PHRASES as HELD_OUT_PHRASES
from scripts.train_embedded.phrases import PHRASES as PHRASES
from scripts.train_embedded.phrases import plain_prompt as plain_prompt
from scripts.train_embedded.phrases import sentence

SIDE = 128  # pixels: amounts of pans are told for a view of this side
PAN = 9.0  # pixels of such a view, over 8 frames at 8 fps
ZOOM = 0.105  # natural logarithm of the scale, over the same time
ROTATION = math.radians(6)  # over the same time
NUM_FRAMES = 8
FPS = 8

AXES = ("pan_x", "pan_y", "zoom", "turn")
SPEEDS = {"slow": 0.5, "normal": 1.0, "fast": 1.6}
EASINGS = {"linear": 0, "ease_in": -1, "ease_out": 1}
# Full motions that a clip may make, along all its axes together: what comes into view must be in the photo,
# and what cannot be measured cannot be learned.
LEAST, MOST = 0.3, 2.2


@dataclass(frozen=True)
class Motion:
    """What the content does: `pan` in pixels (right, down), `zoom` > 0 enlarges, `turn` > 0 is clockwise."""

    name: str
    opposite: str
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    turn: float = 0.0


MOTIONS = {
    motion.name: motion
    for motion in (
        Motion("pan_left", "pan_right", pan=(PAN, 0.0)),
        Motion("pan_right", "pan_left", pan=(-PAN, 0.0)),
        Motion("tilt_up", "tilt_down", pan=(0.0, PAN)),
        Motion("tilt_down", "tilt_up", pan=(0.0, -PAN)),
        Motion("zoom_in", "zoom_out", zoom=ZOOM),
        Motion("zoom_out", "zoom_in", zoom=-ZOOM),
        Motion("rotate_cw", "rotate_ccw", turn=ROTATION),
        Motion("rotate_ccw", "rotate_cw", turn=-ROTATION),
    )
}


def signs(name: str) -> tuple[int, ...]:
    """Return the sign of the motion along each of `AXES`; three are 0."""
    motion = MOTIONS[name]
    return tuple((value > 0) - (value < 0) for value in (*motion.pan, motion.zoom, motion.turn))


@dataclass(frozen=True)
class Take:
    """What a prompt asks: `motions` are none (static), one, or two of different axes."""

    motions: tuple[str, ...]
    speed: str = "normal"
    easing: str = "linear"

    @property
    def opposite(self) -> Take:
        return replace(self, motions=tuple(MOTIONS[name].opposite for name in self.motions))

    @property
    def shares(self) -> tuple[float, ...]:
        """(4,): full motions along `AXES` in the time of 8 frames at 8 fps."""
        columns = zip(*(signs(name) for name in self.motions), strict=True)
        return tuple(SPEEDS[self.speed] * sum(column) for column in columns) or (0.0,) * len(AXES)

    @property
    def targets(self) -> tuple[float, ...]:
        """(5,): the shares, and -1 for easing in, 1 for easing out."""
        return (*self.shares, float(EASINGS[self.easing]))


@dataclass(frozen=True)
class Clip:
    """A take of so many frames, and the prompt that asks for it; `opposite_prompt` asks for the opposite."""

    take: Take
    num_frames: int
    fps: int
    prompt: str
    opposite_prompt: str

    @property
    def amount(self) -> float:
        """The clip's time over that of 8 frames at 8 fps: twice the fps is half the motion a frame."""
        return (self.num_frames - 1) / self.fps * FPS / (NUM_FRAMES - 1)

    @property
    def total(self) -> float:
        """Full motions along all axes together."""
        return self.amount * sum(abs(share) for share in self.take.shares)

    @property
    def positions(self) -> torch.Tensor:
        """(F,) fractions of the clip's motion, eased: 0 for frame 0, 1 for the last."""
        u = torch.arange(self.num_frames) / (self.num_frames - 1)
        return {"linear": u, "ease_in": u**2, "ease_out": 1 - (1 - u) ** 2}[self.take.easing]

    def motion(self, height: int, width: int) -> Motion:
        """Return the whole clip's motion in a view of that size."""
        x, y, zoom, turn = (self.amount * share for share in self.take.shares)
        pan = PAN * math.sqrt(height * width) / SIDE
        return Motion("+".join(self.take.motions), "", (pan * x, pan * y), ZOOM * zoom, ROTATION * turn)


@dataclass(frozen=True)
class Mix:
    """What clips are drawn: shares of static, combined, slow, fast and eased ones; fps are drawn alike."""

    motions: tuple[str, ...] = tuple(MOTIONS)
    static: float = 0.06
    combined: float = 0.25
    slow: float = 0.2
    fast: float = 0.2
    eased: float = 0.2
    fps: tuple[int, ...] = (8, 8, 8, 4, 6, 12, 16, 24)

    def only(self, motions: tuple[str, ...]) -> Mix:
        return replace(self, motions=motions)

    def draw(self, rng: random.Random) -> Take:
        if rng.random() < self.static:
            return Take(())
        names = (rng.choice(self.motions),)
        if rng.random() < self.combined:
            others = [n for n in self.motions if not any(map(_both, signs(n), signs(names[0])))]
            names += (rng.choice(others),) if others else ()
        draw, ease = rng.random(), rng.random()
        speed = "slow" if draw < self.slow else "fast" if draw < self.slow + self.fast else "normal"
        easing = rng.choice(("ease_in", "ease_out")) if ease < self.eased else "linear"
        return Take(names, speed, easing)


def _both(a: int, b: int) -> bool:
    return bool(a and b)


EASY = Mix(static=0.0, combined=0.0, slow=0.0, fast=0.0, eased=0.0, fps=(FPS,))


def prompt_for(take: Take, rng: random.Random, unseen: bool = False) -> str:
    """Return a prompt that asks for the take; an `unseen` one by a phrasing that was held out of training."""
    return sentence(take.motions, take.speed, take.easing, rng, unseen)


def sample_prompt(name: str, rng: random.Random) -> str:
    """Return a prompt for one full, linear motion: a trained phrase, often inside a subject and a style."""
    return prompt_for(Take((name,)), rng)


def clip_of(take: Take, num_frames: int, fps: int, rng: random.Random, unseen: bool = False) -> Clip:
    """Return the take with its prompt; the opposite prompt has the same words around the motion."""
    wording = rng.random()
    prompt, opposite = (
        prompt_for(asked, random.Random(wording), unseen) for asked in (take, take.opposite)
    )  # fmt: skip
    return Clip(take, num_frames, fps, prompt, opposite)


def sample_clip(rng: random.Random, num_frames: int = NUM_FRAMES, mix: Mix | None = None) -> Clip:
    """Draw a clip whose motion lies within `LEAST` and `MOST`; `ValueError` where the mix has none."""
    mix = mix or Mix()
    for _ in range(1000):
        clip = Clip(mix.draw(rng), num_frames, rng.choice(mix.fps), "", "")
        if not clip.take.motions or LEAST <= clip.total <= MOST:
            return clip_of(clip.take, num_frames, clip.fps, rng)
    raise ValueError(f"no clip of {num_frames} frames moves {LEAST} to {MOST} full motions in {mix}")


def pyramid(image: Image.Image, smallest: int = 176, largest: int = 640) -> list[torch.Tensor]:
    """Return the picture at short sides `largest`, /sqrt(2), ... >= `smallest`: each (3, H, W) uint8."""
    levels = []
    side = min(largest, min(image.size))
    while side >= smallest:
        scale = side / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        pixels = torch.frombuffer(
            bytearray(image.resize(size, Image.Resampling.LANCZOS).tobytes()), dtype=torch.uint8
        )
        levels.append(pixels.view(size[1], size[0], 3).permute(2, 0, 1).contiguous())
        side = round(side / math.sqrt(2))
    return levels


def origins(
    motion: Motion, positions: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where in frame 0 the content at (x, y) of each frame was: the inverse of its own motion.

    Pixels from the centre: zoomed and turned about it, then panned.
    """
    p = positions.view(-1, *[1] * x.ndim)
    x0, y0 = x - motion.pan[0] * p, y - motion.pan[1] * p
    shrink = torch.exp(-motion.zoom * p)
    cos, sin = torch.cos(motion.turn * p), torch.sin(motion.turn * p)
    return shrink * (cos * x0 + sin * y0), shrink * (-sin * x0 + cos * y0)


def reach(motion: Motion, height: int, width: int) -> tuple[float, float]:
    """Return how far from the view's centre the motion looks in frame 0, right and down, in pixels."""
    x = torch.tensor([-1.0, 1.0, -1.0, 1.0]) * width / 2
    y = torch.tensor([-1.0, -1.0, 1.0, 1.0]) * height / 2
    x0, y0 = origins(motion, torch.linspace(0, 1, 9), x, y)
    return x0.abs().max().item(), y0.abs().max().item()


def render(
    photo: torch.Tensor, motion: Motion, height: int, width: int, positions: torch.Tensor, rng: random.Random
) -> torch.Tensor:
    """Render a clip.

    Args:
        photo: (3, H, W) uint8, larger than the view by enough for the motion where possible.
        positions: (F,) fractions of the motion, 0 for frame 0.
    Returns:
        (F, 3, height, width) float32 in [-1, 1].
    """
    _, photo_height, photo_width = photo.shape
    reach_x, reach_y = reach(motion, height, width)
    shrink = min(1.0, photo_width / (2 * reach_x), photo_height / (2 * reach_y))
    scale = shrink * rng.uniform(0.8, 1.0)  # photo pixels a view pixel; below 1 magnifies a little
    free_x = max(0.0, photo_width / 2 - scale * reach_x)
    free_y = max(0.0, photo_height / 2 - scale * reach_y)
    centre_x, centre_y = rng.uniform(-free_x, free_x), rng.uniform(-free_y, free_y)
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
    )
    x0, y0 = origins(motion, positions, x, y)
    grid = torch.stack(
        ((centre_x + scale * x0) * 2 / photo_width, (centre_y + scale * y0) * 2 / photo_height), dim=-1
    )
    source = (photo.float() / 127.5 - 1)[None].expand(len(positions), -1, -1, -1)
    clip = F.grid_sample(source, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return clip.clamp(-1, 1)
