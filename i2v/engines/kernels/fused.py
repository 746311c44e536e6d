"""The operations by Triton's kernels; where one cannot run, plainly, and from then on all of them.

A kernel takes tensors that lie in memory as the forward has them on CUDA: others go the plain way, without a
word. A lack of memory is no failure of a kernel: it is raised, for who provides for that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from subprocess import CalledProcessError
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from i2v.core.errors import Notice
from i2v.engines.diffusion.shortage import out_of_memory
from i2v.engines.kernels.plain import PLAIN, Padding

# What one program of `short_attention` holds of a pixel's head.
MAX_FRAMES = 32
MAX_HEAD_DIM = 128

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Kernels(NamedTuple):
    """What `load` imports: see the functions of these names.

    Attributes:
        errors: raised by what compiles and starts kernels, a compiler that is missing among them.
    """

    group_norm: Callable[..., torch.Tensor]
    add: Callable[..., torch.Tensor]
    add_layer_norm: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    gate: Callable[..., torch.Tensor]
    attend_over_time: Callable[..., torch.Tensor]
    errors: tuple[type[Exception], ...]


def load() -> Kernels:
    """Import Triton and the kernels. Raises `ImportError`."""
    from triton.errors import TritonError

    from i2v.engines.kernels.elementwise import add, gate
    from i2v.engines.kernels.group_norm import group_norm
    from i2v.engines.kernels.layer_norm import add_layer_norm
    from i2v.engines.kernels.short_attention import attend_over_time

    errors = (TritonError, CalledProcessError, OSError, RuntimeError)
    return Kernels(group_norm, add, add_layer_norm, gate, attend_over_time, errors)


class Fused:
    """See `plain.Operations`."""

    def __init__(self, kernels: Kernels, multiprocessors: int) -> None:
        """multiprocessors: of the device; work is split until each has some."""
        self.failure: Notice | None = None
        self._kernels = kernels
        self._multiprocessors = multiprocessors

    @property
    def name(self) -> str:
        return "triton" if self.failure is None else PLAIN.name

    def group_norm(
        self, norm: nn.GroupNorm, picture: torch.Tensor, bias: torch.Tensor | None = None, silu: bool = False
    ) -> torch.Tensor:
        def plainly() -> torch.Tensor:
            return PLAIN.group_norm(norm, picture, bias, silu)

        if not _is_channels_last(picture) or norm.weight is None:
            return plainly()
        return self._try(
            lambda: self._kernels.group_norm(
                picture, norm.num_groups, norm.weight, norm.bias, norm.eps, bias, silu, self._multiprocessors
            ),
            plainly,
        )

    def convolve(
        self, picture: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, padding: Padding
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        # Torch adds a bias in a pass of its own after cuDNN's convolution: what comes next adds it.
        return F.conv2d(picture, weight, padding=padding), bias

    def add(
        self, update: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        if bias is None or not (_is_channels_last(update) and _is_channels_last(residual)):
            return PLAIN.add(update, residual, bias)
        return self._try(
            lambda: self._kernels.add(update, residual, bias), lambda: PLAIN.add(update, residual, bias)
        )

    def add_layer_norm(
        self, update: torch.Tensor, residual: torch.Tensor, norm: nn.LayerNorm
    ) -> tuple[torch.Tensor, torch.Tensor]:
        def plainly() -> tuple[torch.Tensor, torch.Tensor]:
            return PLAIN.add_layer_norm(update, residual, norm)

        if not (update.is_contiguous() and residual.is_contiguous()) or norm.weight is None:
            return plainly()
        return self._try(
            lambda: self._kernels.add_layer_norm(update, residual, norm.weight, norm.bias, norm.eps), plainly
        )

    def gated(self, widen: nn.Linear, tokens: torch.Tensor) -> torch.Tensor:
        if self.failure is not None:
            return PLAIN.gated(widen, tokens)
        wide = F.linear(tokens, widen.weight, widen.bias)
        return self._try(lambda: self._kernels.gate(wide), lambda: PLAIN.gated(widen, tokens))

    def attend_over_time(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int
    ) -> torch.Tensor:
        def plainly() -> torch.Tensor:
            return PLAIN.attend_over_time(query, key, value, heads)

        num_frames, head_dim = query.shape[1], query.shape[3] // heads
        if num_frames > MAX_FRAMES or head_dim > MAX_HEAD_DIM:
            return plainly()
        return self._try(lambda: self._kernels.attend_over_time(query, key, value, heads), plainly)

    def _try(self, kernel: Callable[[], Result], plainly: Callable[[], Result]) -> Result:
        """Run a kernel. One that fails to be compiled or started has written nothing yet."""
        if self.failure is None:
            try:
                return kernel()
            except self._kernels.errors as error:
                if _is_of_the_device(error):
                    raise
                log.warning("Triton failed", exc_info=error)
                self.failure = failed(str(error).strip() or type(error).__name__)
        return plainly()


def failed(reason: str) -> Notice:
    """Return what is said where kernels cannot be used. Of a `reason`, the first line is taken."""
    return Notice("kernels.failed", {"reason": reason.splitlines()[0][:200]})


def _is_of_the_device(error: Exception) -> bool:
    """Tell whether memory ran out, or something that ran before went wrong: no kernel is to blame."""
    return out_of_memory(error) is not None or "CUDA error" in str(error)


def _is_channels_last(picture: torch.Tensor) -> bool:
    return picture.permute(0, 2, 3, 1).is_contiguous()
