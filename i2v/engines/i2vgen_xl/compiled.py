"""The UNet's forward, through `torch.compile` where that is asked for and works, else as it is.

Compiling takes minutes for each size of clip, and pays where many clips of one size are made. What was
compiled is kept on the disk for the next start. What the forward computes is not known here.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from diffusers import I2VGenXLUNet

from i2v.core.errors import Notice
from i2v.engines.i2vgen_xl.unet import ClipContext, predict

KERNELS = Path("~/.cache/i2v/kernels")  # unless torch's own variable says otherwise
MOST_VARIANTS = 64

log = logging.getLogger(__name__)


class Forward:
    """`predict`, plain or compiled.

    Attributes:
        failure: why nothing is compiled here although it should be: all goes on plainly then.
    """

    def __init__(self, is_compiled: bool) -> None:
        self.failure: Notice | None = None
        self._compiled = None
        if is_compiled:
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(KERNELS.expanduser()))
            # one for each size, length and guidance: past the limit torch goes on plainly. The name that all
            # supported versions know.
            torch._dynamo.config.cache_size_limit = MOST_VARIANTS
            self._compiled = torch.compile(predict, dynamic=False)

    def __call__(
        self,
        unet: I2VGenXLUNet,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        clip: ClipContext,
        chunk_tokens: int,
    ) -> torch.Tensor:
        """See `i2v.engines.i2vgen_xl.unet.predict`."""
        if self._compiled is not None:
            from torch._dynamo.exc import TorchDynamoException  # takes seconds to import

            try:
                return self._compiled(unet, latents, timestep, clip, chunk_tokens)
            except TorchDynamoException as error:
                log.warning("torch.compile failed", exc_info=error)
                self._compiled = None
                reason = (str(error).strip().splitlines() or [""])[0][:200]
                self.failure = Notice("compile.failed", {"reason": reason or type(error).__name__})
        return predict(unet, latents, timestep, clip, chunk_tokens)
