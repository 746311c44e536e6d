"""The UNet's forward: its layers through `torch.compile` where that is asked for and works, else as they are.

What a layer is made of is compiled, not the whole forward: each part once for a size of tensors, whatever
layer it is in, so a new size of clip takes a fraction of the time. It pays where many clips of one size are
made. What was compiled is kept on the disk for the next start. What the parts compute is not known here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from i2v.core.errors import Notice
from i2v.engines.i2vgen_xl.resnet import ResnetBlock, TemporalConvLayer
from i2v.engines.i2vgen_xl.transformer import SpatialTransformer, TemporalTransformer
from i2v.engines.i2vgen_xl.unet import ClipContext, UNet
from i2v.engines.kernels.plain import PLAIN, Operations

KERNELS = Path("~/.cache/i2v/kernels")  # unless torch's own variable says otherwise
MOST_VARIANTS = 256
PARTS = (ResnetBlock, TemporalConvLayer, SpatialTransformer, TemporalTransformer)  # of a layer

log = logging.getLogger(__name__)


class Forward:
    """The UNet's forward, by `operations` or compiled."""

    def __init__(self, is_compiled: bool = False, operations: Operations = PLAIN) -> None:
        self._operations = operations
        self._failure: Notice | None = None
        self._compiled: _Compiled | None = None
        if is_compiled:
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(KERNELS.expanduser()))
            # one for each size of tensors at each level, length and guidance: past the limit torch goes on
            # plainly. The name that all supported versions know.
            torch._dynamo.config.cache_size_limit = MOST_VARIANTS
            self._compiled = _Compiled()

    @property
    def failures(self) -> tuple[Notice, ...]:
        """Why what should be compiled, or fused, is not: all goes on without it then."""
        return tuple(each for each in (self._failure, self._operations.failure) if each is not None)

    def __call__(
        self,
        unet: UNet,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        clip: ClipContext,
        chunk_tokens: int,
    ) -> torch.Tensor:
        """See `UNet.forward`."""
        if self._compiled is not None:
            from torch._dynamo.exc import TorchDynamoException  # takes seconds to import

            try:
                # the compiler fuses by itself
                return unet.forward(latents, timestep, clip, chunk_tokens, PLAIN, self._compiled)
            except TorchDynamoException as error:
                log.warning("torch.compile failed", exc_info=error)
                self._compiled = None
                reason = (str(error).strip().splitlines() or [""])[0][:200]
                self._failure = Notice("compile.failed", {"reason": reason or type(error).__name__})
        return unet.forward(latents, timestep, clip, chunk_tokens, self._operations)


class _Compiled:
    """Runs what was compiled of each kind of part (`unet.Run`)."""

    def __init__(self) -> None:
        self._forwards: dict[type[nn.Module], Callable[..., torch.Tensor]] = {
            kind: torch.compile(kind.forward, dynamic=False) for kind in PARTS
        }

    def __call__(self, part: nn.Module, *arguments: object) -> torch.Tensor:
        result: torch.Tensor = self._forwards[type(part)](part, *arguments)
        return result
