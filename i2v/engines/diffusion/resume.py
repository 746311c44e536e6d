"""Where denoising stands, kept now and then: a later attempt at the clip goes on from there.

Owns how a `State` becomes bytes, and when one is kept. Files, and whether one belongs to the clip, are
`media.latents`' business.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from i2v.engines.diffusion.state import State
from i2v.media.latents import KeptLatents

SHARE = 0.02  # of the time, at most, goes into keeping

_STEP, _LATENTS, _HISTORY, _ORDER = "step", "latents", "history.", "order."


class StateKeeper:
    """Keeps the state of one clip in `kept`; in nothing, where that is `None`."""

    def __init__(self, kept: KeptLatents | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._kept = kept
        self._clock = clock
        self._due = 0.0

    def begin(self, start: State) -> State | None:
        """Return what an earlier attempt at a clip that begins with `start` has kept, if anything.

        Raises `torch.OutOfMemoryError`.
        """
        if self._kept is None:
            return None
        self._due = self._clock() + self._kept.seconds
        content = self._kept.read()
        if content is None:
            return None
        try:
            state = from_bytes(content, start.latents.device)
        except torch.OutOfMemoryError:  # it is not the file's fault, and there may be another way
            raise
        except (SafetensorError, KeyError, RuntimeError) as error:
            self._kept.ignore(str(error))
            return None
        if state.latents.shape != start.latents.shape or state.step <= start.step:
            self._kept.ignore("they have another shape, or no step more")
            return None
        return state

    def offer(self, state: State, wait: Callable[[], None]) -> None:
        """Keep `state` where that is due. `wait` for the device: else its work would count as keeping."""
        if self._kept is None or self._clock() < self._due:
            return
        wait()
        began = self._clock()
        content = to_bytes(state)
        if content is not None:
            self._kept.write(content)
        ended = self._clock()
        self._due = ended + max(self._kept.seconds, (ended - began) / SHARE)


@torch.inference_mode()
def to_bytes(state: State) -> bytes | None:
    """Return the state as safetensors; `None` where it is not finite: no retry should begin with that."""
    tensors = {_LATENTS: state.latents}
    tensors |= {f"{_HISTORY}{number}": tensor for number, tensor in enumerate(state.history)}
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        return None
    stored = {_STEP: torch.tensor(state.step)}
    for name, tensor in tensors.items():
        # the order of its dimensions in memory too: it decides which kernels run, and how they round
        strides = tensor.stride()
        order = sorted(range(tensor.ndim), key=[-stride for stride in strides].__getitem__)
        stored[name] = tensor.cpu().permute(order).clone(memory_format=torch.contiguous_format)
        stored[f"{_ORDER}{name}"] = torch.tensor(order)
    return save(stored)


def from_bytes(content: bytes, device: torch.device) -> State:
    """Return the state on `device`; raises what safetensors and torch do where it is none."""
    stored = load(content)
    count = sum(name.startswith(_HISTORY) for name in stored)
    latents, *history = (
        stored[name].permute(torch.argsort(stored[f"{_ORDER}{name}"]).tolist()).to(device)
        for name in (_LATENTS, *(f"{_HISTORY}{number}" for number in range(count)))
    )
    return State(int(stored[_STEP]), latents, tuple(history))
