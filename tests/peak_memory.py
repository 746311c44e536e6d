"""What tensors take at most at one time, counted: the same on every machine, and of fake tensors too."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):
    """`most` bytes of tensors made inside were alive at once; a kernel's own buffers are not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for storage in storages((args, kwargs)):
            self._see(storage, 0)  # made outside, or known already
        result = func(*args, **(kwargs or {}))
        for storage in storages(result):
            self._see(storage, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def _see(self, storage: Any, size: int) -> None:
        """Count `storage` from now to its end: later its address may be another's."""
        if storage._cdata not in self.alive:
            self.alive[storage._cdata] = size
            self.now += size
            weakref.finalize(storage, self._free, storage._cdata)

    def _free(self, storage: int) -> None:
        self.now -= self.alive.pop(storage)


def storages(tree: object) -> list[Any]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
