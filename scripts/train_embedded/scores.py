"""Marks for one clip, and what many of them amount to, with intervals. It generates nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from scripts.train_embedded.motions import CHINESE_PHRASES, MOTIONS, PHRASES, Clip
from scripts.train_embedded.registration import aligned, explained, flicker, shares_of, sharpness, track

ENOUGH = 0.5  # of the asked amount: less does not count as obeyed
STILL = 0.15  # full motions: a clip that was asked to stay still may move by less
SEEN = 0.3  # correlation: below it, registration has found nothing


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(((a.astype(float) - b.astype(float)) ** 2).mean() / 255**2 + 1e-12))


@dataclass(frozen=True)
class Row:
    """One clip.

    Attributes:
        amount: the share of the asked motion; of the worse axis where two were asked.
        stray: the largest share along an axis that was not asked, of the same.
        moved: full motions along the asked axes, signed as asked.
        explained: how surely the motion was seen (correlation).
        ease, ease_asked: how far it runs ahead (+) of or behind (-) a linear motion, mean over frames.
        later, later_static, first, reconstruction: PSNR in dB to the true warp of frames after the first, a
            static clip's, of frame 0 to the photograph, and the VAE's.
        flicker, flicker_true: warping errors of the clip and of the true warp.
        aligned: PSNR in dB of the last frame to the first one moved as found (`registration.aligned`).
        sharpness: what is left of the first frame's detail in the last one (`registration.sharpness`).
    """

    key: str
    group: str
    photo: str
    motion: str
    speed: str
    fps: int
    num_frames: int
    prompt: str
    amount: float
    stray: float
    moved: float
    asked: float
    explained: float
    ease: float
    ease_asked: float
    later: float
    later_static: float
    first: float
    reconstruction: float
    flicker: float
    flicker_true: float
    aligned: float
    sharpness: float

    @property
    def right(self) -> bool:
        if self.explained < SEEN:
            return False
        if not self.motion:
            return self.stray < STILL
        return self.amount >= ENOUGH and self.amount > self.stray

    @property
    def gain(self) -> float:
        """How much nearer than a static clip the frames after the first are to the true warp, in dB."""
        return self.later - self.later_static


def judge(
    frames: np.ndarray, truth: np.ndarray, clip: Clip, key: str, group: str, photo: str, vae: np.ndarray
) -> Row:
    """Mark (F, H, W, 3) uint8 frames against the true warp and what the clip's prompt asks."""
    path = track(frames)
    shares = shares_of(path, *frames.shape[1:3])
    asked = clip.amount * np.array(clip.take.shares)
    on = asked != 0
    ratios = shares[-1][on] / asked[on]
    size = np.abs(asked).max() if on.any() else 1.0
    strays = np.abs(shares[-1][~on]) / size
    still = np.repeat(truth[:1], len(truth) - 1, axis=0)
    u = np.arange(len(frames)) / (len(frames) - 1)
    direction = asked / np.linalg.norm(asked) if on.any() else asked
    along = shares @ direction
    ease = float(np.mean(along / along[-1] - u)) if on.any() and abs(along[-1]) > 0.1 else 0.0
    return Row(
        key=key, group=group, photo=photo, motion="+".join(clip.take.motions), speed=clip.take.speed,
        fps=clip.fps, num_frames=clip.num_frames, prompt=clip.prompt,
        amount=float(ratios.min()) if on.any() else 0.0, stray=float(strays.max()) if (~on).any() else 0.0,
        moved=float(along[-1]), asked=float(np.linalg.norm(asked)), explained=explained(frames, path),
        ease=ease, ease_asked=float(np.mean(clip.positions.numpy() - u)) if on.any() else 0.0,
        later=psnr(frames[1:], truth[1:]), later_static=psnr(still, truth[1:]),
        first=psnr(frames[0], truth[0]), reconstruction=psnr(vae, truth[0]),
        flicker=flicker(frames, path), flicker_true=flicker(truth, true_path(clip, *truth.shape[1:3])),
        aligned=aligned(frames, path), sharpness=sharpness(frames, path),
    )  # fmt: skip


def true_path(clip: Clip, height: int, width: int) -> np.ndarray:
    """(F, 4), as `track` would find it in the true warp."""
    motion = clip.motion(height, width)
    whole = np.array([*motion.pan, motion.zoom, motion.turn])
    return clip.positions.double().numpy()[:, None] * whole


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927), which holds near 0 and 1 too."""
    share, weight = right / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * (share * (1 - share) / count + weight / (4 * count)) ** 0.5
    return middle - half, middle + half


def bootstrap(
    rows: Sequence[Row], figure: Callable[[Sequence[Row]], float], rounds: int = 500, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a figure over photographs drawn anew (Efron 1979).

    Whole photographs are drawn, since clips of one photograph are alike.
    """
    photos: dict[str, list[Row]] = {}
    for row in rows:
        photos.setdefault(row.photo, []).append(row)
    names, rng = sorted(photos), random.Random(seed)
    drawn = [
        figure([row for name in rng.choices(names, k=len(names)) for row in photos[name]])
        for _ in range(rounds)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _mean(rows: Sequence[Row], figure: Callable[[Row], float]) -> dict[str, object]:
    def value(chosen: Sequence[Row]) -> float:
        return float(np.mean([figure(row) for row in chosen]))

    return {"mean": round(value(rows), 3), "interval": [round(end, 3) for end in bootstrap(rows, value)]}


def group_summary(rows: Sequence[Row]) -> dict[str, object]:
    right = sum(row.right for row in rows)
    moving = [row for row in rows if row.motion]
    summary: dict[str, object] = {
        "clips": len(rows),
        "photos": len({row.photo for row in rows}),
        "right": right,
        "right_share": round(right / len(rows), 3),
        "right_interval": [round(end, 3) for end in wilson(right, len(rows))],
        "right_over_photos": _mean(rows, lambda row: row.right)["interval"],
        "first_frame_psnr": _mean(rows, lambda row: row.first),
        "vae_psnr": _mean(rows, lambda row: row.reconstruction),
        "below_vae": _mean(rows, lambda row: row.reconstruction - row.first),
        "flicker": _mean(rows, lambda row: row.flicker),
        "flicker_of_the_true_warp": _mean(rows, lambda row: row.flicker_true),
    }
    if moving:
        summary |= {
            "right_direction": sum(row.amount > 0 for row in moving),
            "median_amount": round(float(np.median([row.amount for row in moving])), 3),
            "gain_over_static": _mean(moving, lambda row: row.gain),
            "psnr_later": _mean(moving, lambda row: row.later),
            "median_aligned": round(float(np.median([row.aligned for row in moving])), 2),
            "median_sharpness": round(float(np.median([row.sharpness for row in moving])), 3),
            "by_motion": {
                name: round(float(np.mean(found)), 2)
                for name in MOTIONS
                if (found := [row.right for row in moving if row.motion == name])
            },
        }
    return summary


def paired(rows: Sequence[Row], base: Sequence[Row]) -> dict[str, object]:
    """Return what changes against the same photographs and prompts in `base`."""
    before = {row.key.split("/", 1)[1]: row for row in base}
    pairs = {row: before[row.key.split("/", 1)[1]] for row in rows if row.key.split("/", 1)[1] in before}
    return {
        "pairs": len(pairs),
        "amount": _mean(list(pairs), lambda row: row.amount - pairs[row].amount),
        "gain": _mean(list(pairs), lambda row: row.gain - pairs[row].gain),
    } if pairs else {"pairs": 0}  # fmt: skip


def has_trained_phrase(row: Row) -> bool:
    """Return whether the prompt holds a whole trained phrase for its motion, whatever stands around it."""
    prompt = row.prompt.lower()
    return any(phrase in prompt for phrase in (*PHRASES[row.motion], *CHINESE_PHRASES[row.motion]))


def strength(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return the median of what was asked and of what moved, in full motions, by frames, fps and speed word.

    `Row.right` has no upper bound: a model that does not hear fps or "slowly" can be right, and is seen here.
    """
    settings: dict[tuple[int, int, str], list[Row]] = {}
    for row in rows:
        if row.group in ("seen", "fps", "speed", "frames16"):
            settings.setdefault((row.num_frames, row.fps, row.speed), []).append(row)
    return {
        f"{frames} frames at {fps} fps, {speed}": {
            "asked": round(float(np.median([row.asked for row in same])), 2),
            "moved": round(float(np.median([row.moved for row in same])), 2),
            "clips": len(same),
        }
        for (frames, fps, speed), same in sorted(settings.items())
    }


def summary(rows: Sequence[Row]) -> dict[str, object]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    found: dict[str, object] = {name: group_summary(chosen) for name, chosen in groups.items()}
    new_words = [row for row in groups.get("unseen", []) if not has_trained_phrase(row)]
    if new_words:
        found["unseen_without_a_trained_phrase"] = group_summary(new_words)
    found["strength"] = strength(rows)
    if "eased" in groups:
        signs = [np.sign(r.ease) == np.sign(r.ease_asked) and abs(r.ease) > 0.03 for r in groups["eased"]]
        found["easing_right"] = f"{sum(signs)} of {len(signs)}"
    if "guided" in groups:
        found["guidance_effect"] = paired(groups["guided"], groups.get("seen", []))
    if "negative" in groups:
        found["negative_prompt_effect"] = paired(groups["negative"], groups.get("guided", []))
    return found


def as_json(row: Row) -> dict[str, object]:
    return {**asdict(row), "right": row.right}
