"""What a sampler does at each of its steps: where it asks the network, and how much of it.

Pure numbers, so that a page, a forecast and a benchmark can count evaluations without loading a model. Weights
and tensors are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A way from noise to a clip.

    Attributes:
        timesteps: of the training schedule, falling: one step each, from its noise level to the next one's,
            the last to none.
        order: of the solver, as `i2v.engines.i2vgen_xl.solvers` has it; 1 is DDIM.
    """

    timesteps: tuple[int, ...]
    order: int = 1

    def __post_init__(self) -> None:
        if not self.timesteps or any(a <= b for a, b in zip(self.timesteps, self.timesteps[1:], strict=False)):
            raise ValueError(f"timesteps must fall: {self.timesteps}")


def ddim(num_inference_steps: int, num_train_timesteps: int = 1000, steps_offset: int = 1) -> Schedule:
    """Return DDIM's schedule in the spacing that diffusers calls leading."""
    ratio = num_train_timesteps // num_inference_steps
    return Schedule(tuple(i * ratio + steps_offset for i in reversed(range(num_inference_steps))))
