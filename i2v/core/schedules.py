"""What a sampler does: at which timesteps it asks the network, and of which order its solver is.

Pure numbers, so that a page, a forecast and a benchmark can count evaluations without loading a model.
Weights and tensors are not known here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import cos, log, pi, sqrt
from typing import Literal

Solver = Literal["ddim", "unipc"]

# The fast way, as tuned on held-out photographs (benchmarks/gate.py): how many evaluations equal how many
# steps of DDIM; between which parts of the training schedule; spaced evenly in log SNR but for the warp, with
# which the first ones are further apart. Quality hangs on where it begins more than on how many there are.
_EVALUATIONS = 11
_EQUAL = 50
_FIRST, _LAST = 0.99, 0.006
_WARP = 0.85


@dataclass(frozen=True)
class Schedule:
    """A way from noise to a clip.

    Attributes:
        timesteps: of the training schedule, falling: one evaluation of the network each. A step leads from
            its noise level to the next one's, the last to none.
        order: of the solver: 1 is DDIM, 3 is `i2v.engines.diffusion.solvers`' multistep one.
    """

    timesteps: tuple[int, ...]
    order: int = 1

    def __post_init__(self) -> None:
        if not self.timesteps or any(now <= then for now, then in pairwise(self.timesteps)):
            raise ValueError(f"timesteps must fall: {self.timesteps}")

    @property
    def solver(self) -> Solver:
        return "ddim" if self.order == 1 else "unipc"


def ddim(num_inference_steps: int, num_train_timesteps: int = 1000, steps_offset: int = 1) -> Schedule:
    """Return DDIM's schedule in the spacing that diffusers calls leading."""
    ratio = num_train_timesteps // num_inference_steps
    return Schedule(tuple(i * ratio + steps_offset for i in reversed(range(num_inference_steps))))


def trailing(num_inference_steps: int, num_train_timesteps: int = 1000) -> Schedule:
    """Return the schedule in the spacing that diffusers calls trailing: it begins where the training ends."""
    ratio = num_train_timesteps / num_inference_steps
    return Schedule(tuple(round(num_train_timesteps - i * ratio) - 1 for i in range(num_inference_steps)))


def consistency(
    num_inference_steps: int, num_train_timesteps: int = 1000, original_inference_steps: int = 50
) -> Schedule:
    """Return the schedule of latent consistency models (Luo et al. 2023, arXiv 2310.04378).

    Some of the `original_inference_steps` timesteps that they were distilled at, as diffusers' `LCMScheduler`
    chooses them; so there are no more steps than that.
    """
    ratio, count = num_train_timesteps // original_inference_steps, original_inference_steps
    places = (i * count // num_inference_steps for i in range(num_inference_steps))
    return Schedule(tuple((count - place) * ratio - 1 for place in places))


def fast(num_inference_steps: int, alphas_cumprod: Sequence[float] | None = None) -> Schedule:
    """Return the schedule that comes as near to the exact solution as so many steps of DDIM, or nearer.

    `alphas_cumprod`: the model's signal^2 at each timestep; `None`: the published model's.
    """
    kept = alphas_cumprod or published_noise()
    # log(signal / noise) falls with the timestep: searched backwards
    log_snr = [log(share / (1 - share)) / 2 if share else float("-inf") for share in reversed(kept)]
    last_step = len(kept) - 1
    first, last = (log_snr[last_step - int(share * len(kept))] for share in (_FIRST, _LAST))
    steps = evaluations("fast", num_inference_steps)
    wanted = [first + (last - first) * (k / max(1, steps - 1)) ** _WARP for k in range(steps)]
    return Schedule(tuple(last_step - _nearest(log_snr, value) for value in wanted), order=3)


def evaluations(speed: str, num_inference_steps: int, strength: float = 1.0) -> int:
    """Return how often the network is asked for one clip (`Generation` says what `strength` is)."""
    steps = num_inference_steps
    if speed == "fast" and steps <= _EQUAL:
        steps = min(steps, _EVALUATIONS)
    elif speed == "fast":
        steps = round(_EVALUATIONS * sqrt(steps / _EQUAL))
    return max(min(steps, 1), round(strength * steps))


def _nearest(rising: Sequence[float], value: float) -> int:
    above = min(bisect_left(rising, value), len(rising) - 1)
    return above - 1 if above and value - rising[above - 1] < rising[above] - value else above


@cache
def published_noise(num_train_timesteps: int = 1000) -> tuple[float, ...]:
    """Return signal^2 at each timestep of the published model and the embedded one.

    A cosine (Nichol and Dhariwal 2021, arXiv 2102.09672), shifted and scaled so that no signal is left at the
    last timestep (Lin et al. 2023, arXiv 2305.08891).
    """

    def bar(time: float) -> float:
        return cos((time + 0.008) / 1.008 * pi / 2) ** 2

    signals, share = [], 1.0
    for step in range(num_train_timesteps):
        share *= 1 - min(1 - bar((step + 1) / num_train_timesteps) / bar(step / num_train_timesteps), 0.999)
        signals.append(sqrt(share))
    first, last = signals[0], signals[-1]
    return tuple(((signal - last) * first / (first - last)) ** 2 for signal in signals)
