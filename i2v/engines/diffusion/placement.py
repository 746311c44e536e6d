"""Where the parts of a loaded diffusion model are: on the device for their phase, at home between.

Owns when parts move. Which parts a model has, and what they compute, is its family's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from diffusers import AutoencoderKL
from torch import nn

from i2v.core.memory_plan import Offload

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass
class LateWeights:
    """The values of `part`, which was built without: `fill` has them on a device when it first runs."""

    part: nn.Module
    fill: Callable[[torch.device], None]
    are_there: bool = False

    def ensure(self, home: torch.device) -> None:
        if self.are_there:
            return
        with torch.inference_mode(False):  # else they could not be moved later
            self.fill(home)
        self.are_there = True


class PlacedParts(ABC):
    """Base of a family's components: what denoises, a VAE, and what encodes the request.

    Tensors are made on `device`, where the parts compute. When they do not, the encoders' weights are at
    `encoders_home`, the others' at `home`: `device` too, unless the plan offloads.
    """

    vae: nn.Module
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    is_settled: bool  # all parts are at home, or where they compute

    @property
    @abstractmethod
    def encoders(self) -> tuple[nn.Module, ...]:
        """What is used in the first stage alone."""

    @property
    @abstractmethod
    def denoisers(self) -> tuple[nn.Module, ...]:
        """What a denoising step runs."""

    def home_of(self, part: nn.Module) -> torch.device:
        """Return where `part` is while it does not compute."""
        encodes = any(part is encoder for encoder in self.encoders)
        return self.encoders_home if encodes else self.home

    def blocks_of(self, part: nn.Module) -> Sequence[nn.Module]:
        """Return what of `part` is on the device only while it runs, where the part is offloaded."""
        return ()

    @property
    def late(self) -> tuple[LateWeights, ...]:
        """Those of the encoders that are not loaded before they are needed, which may be never."""
        return ()

    @property
    def vae_scale_factor(self) -> int:
        """Pixels a latent, in each direction."""
        config = cast("AutoencoderKL", self.vae).config
        return int(2 ** (len(config.block_out_channels) - 1))

    @contextmanager
    def on_device(self, *parts: nn.Module) -> Iterator[None]:
        """Have `parts` on `device` inside, and back at home after, whatever ends it.

        Nothing is copied where the two are the same. Where they are not, one clip is made at a time.
        """
        with ExitStack() as phase:
            for part in parts:
                for weights in self.late:
                    if weights.part is part:
                        weights.ensure(self.home_of(part))
                if self.home_of(part) != self.device:
                    phase.enter_context(copied(part, self.device, self.blocks_of(part)))
            yield

    def settle(self, offload: Offload) -> None:
        """Have the parts at home where `offload` wants them, from now on."""
        wanted = homes(self.device, offload)
        if self.is_settled and wanted == (self.home, self.encoders_home):
            return  # asking every tensor takes 50 ms a clip
        self.is_settled = False  # until all have moved: memory may run out on the way
        self.home, self.encoders_home = wanted
        absent = [weights.part for weights in self.late if not weights.are_there]
        for part in (*self.denoisers, self.vae, *self.encoders):
            if not any(part is each for each in absent):
                part.to(self.home_of(part))
        self.is_settled = True

    def wait(self) -> None:
        """Return when the device has done all that it was asked: where a stage ends, so must its time."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@contextmanager
def copied(part: nn.Module, device: torch.device, blocks: Sequence[nn.Module] = ()) -> Iterator[None]:
    """Have copies of the part's tensors on `device` in their place inside.

    What is at home stays there: weights do not change, so that nothing has to be copied back. A change of the
    copies ends with them. Of `blocks`, which are modules of `part`, there are copies only while they run.
    """
    apart = {module for block in blocks for module in block.modules()}
    stores = [
        cast("dict[str, torch.Tensor | None]", store)
        for module in part.modules()
        if module not in apart
        for store in (module._parameters, module._buffers)
    ]
    home = [dict(store) for store in stores]
    copies: dict[torch.Tensor, torch.Tensor] = {}  # one tensor may be in several modules
    try:
        for store in stores:
            for name, tensor in store.items():
                if tensor is None:
                    continue
                if tensor not in copies:
                    copy = tensor.detach().to(device)
                    is_parameter = isinstance(tensor, nn.Parameter)
                    copies[tensor] = nn.Parameter(copy, tensor.requires_grad) if is_parameter else copy
                store[name] = copies[tensor]
        copies.clear()
        with ExitStack() as streams:
            for block in blocks:
                streams.enter_context(_streamed(block, device))
            yield
    finally:
        for store, tensors in zip(stores, home, strict=True):
            store.update(tensors)


@contextmanager
def _streamed(block: nn.Module, device: torch.device) -> Iterator[None]:
    """Have `block` copied to `device` whenever it is called inside, for as long as it runs."""
    running = ExitStack()

    def fetch(*_: object) -> None:
        running.enter_context(copied(block, device))

    def drop(*_: object) -> None:
        running.close()

    with (
        running,
        block.register_forward_pre_hook(fetch),
        block.register_forward_hook(drop, always_call=True),
    ):
        yield


def homes(device: torch.device, offload: Offload) -> tuple[torch.device, torch.device]:
    """Return where UNet and VAE wait for their phase, and where the encoders do."""
    cpu = torch.device("cpu")
    return cpu if offload == "model" else device, device if offload == "none" else cpu
