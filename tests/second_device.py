"""A second device for machines that have none: it computes, and its tensors do not mix with the CPU's.

It stands in for CUDA where a test asks what is on the device and when. Speed and memory it knows nothing of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# of the names that torch takes without a driver, the one that none of our tensors has otherwise
DEVICE = torch.device("meta")
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
# what reads a tensor of another device, as on CUDA; its result is where its first tensor is
_CROSSING = (torch.ops.aten.copy_.default, torch.ops.aten.index.Tensor)


class _Remote(torch.Tensor):
    """A tensor on the second device; `inner` holds its values."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> _Remote:
        with torch.inference_mode(False):  # torch makes no view of one kind from a tensor of the other
            self = torch.Tensor._make_wrapper_subclass(
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                device=DEVICE,
            )
        self.inner = inner
        return self

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: outside of `with second_device()`")


@contextmanager
def second_device() -> Iterator[None]:
    """Inside, `DEVICE` computes, and operations on tensors of both devices raise `RuntimeError`."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    # `Module.to` would otherwise keep a parameter that is there, and with it the `inner` of another dtype
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _SecondDevice():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


class _SecondDevice(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), _COMPOSITE):
            with self:  # inference mode does not take such operations apart by itself
                return func._op_dk(_COMPOSITE, *args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if kwargs.get("device") is not None:
            remote = kwargs["device"] == DEVICE
            kwargs["device"] = torch.device("cpu")
        elif func in _CROSSING:
            remote = isinstance(tensors[0], _Remote)
        else:
            remote = any(isinstance(tensor, _Remote) for tensor in tensors)
            if any(isinstance(tensor, _Remote) != remote and tensor.dim() for tensor in tensors):
                raise RuntimeError(f"{func}: tensors on two devices")
        known = {id(tensor.inner): tensor for tensor in tensors if isinstance(tensor, _Remote)}
        args, kwargs = tree_map(
            lambda leaf: leaf.inner if isinstance(leaf, _Remote) else leaf, (args, kwargs)
        )
        result = func(*args, **kwargs)

        def wrapped(leaf: Any) -> Any:
            if id(leaf) in known:  # what is changed in place stays the same object
                return known[id(leaf)]
            return _Remote(leaf) if isinstance(leaf, torch.Tensor) else leaf

        return tree_map(wrapped, result) if remote else result
