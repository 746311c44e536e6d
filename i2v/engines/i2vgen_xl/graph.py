"""A clip's forward as one CUDA graph: thousands of kernels in a single launch.

Starting the kernels of a step takes the CPU nearly as long as running them takes the card. All steps of a
clip start the same ones over the same memory, so the second step is captured and the later ones replay it.
What a forward computes is not known here; nor is CUDA, but for `CudaGraphs`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import torch

from i2v.core.errors import Notice
from i2v.engines.i2vgen_xl.compiled import Forward
from i2v.engines.i2vgen_xl.unet import ClipContext, UNet

log = logging.getLogger(__name__)


class Graph(Protocol):
    """What was captured, and the memory that it works in."""

    def replay(self) -> None: ...

    def reset(self) -> None:
        """Give the memory back to torch."""
        ...


class Graphs(Protocol):
    def capture(self, work: Callable[[], torch.Tensor]) -> tuple[Graph, torch.Tensor]:
        """Return `work` as a graph, and where each replay puts the result; nothing has been computed yet.

        Raises `RuntimeError` where `work` cannot be captured, or memory runs out.
        """
        ...


class CudaGraphs:
    """Torch's graphs, captured on a side stream into a pool of memory of their own."""

    def capture(self, work: Callable[[], torch.Tensor]) -> tuple[Graph, torch.Tensor]:
        torch.cuda.empty_cache()  # the pool cannot use what earlier steps left there
        graph = torch.cuda.CUDAGraph()
        # other threads may use CUDA meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = work()
        return graph, result


class GraphForward:
    """A `Forward` for the steps of one clip; to be closed at its end, as a context manager or by `close`.

    Another size, context or chunk begins anew. Where capturing fails, steps go on without it.
    """

    def __init__(self, forward: Forward, graphs: Graphs) -> None:
        self._forward = forward
        self._graphs = graphs
        self._failure: Notice | None = None
        self._captured: _Captured | None = None
        self._last: _Arguments | None = None

    def __enter__(self) -> GraphForward:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the graph and its memory, and of the clip."""
        if self._captured is not None:
            self._captured.graph.reset()
        self._captured = self._last = None

    @property
    def failures(self) -> tuple[Notice, ...]:
        own = () if self._failure is None else (self._failure,)
        return own + self._forward.failures

    def __call__(
        self,
        unet: UNet,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        clip: ClipContext,
        chunk_tokens: int,
    ) -> torch.Tensor:
        """See `UNet.forward`."""
        arguments = _Arguments(unet, clip, chunk_tokens, latents.shape)
        is_first = self._last is None or not self._last.are(arguments)
        if is_first:
            self.close()
            self._last = arguments
        # The first step is run: kernels are compiled in it, and libraries set up, which no graph can hold.
        if not is_first and self._captured is None and self._failure is None:
            self._captured = self._capture(arguments, latents, timestep)
        if self._captured is None:
            return self._forward(unet, latents, timestep, clip, chunk_tokens)
        return self._captured.run(latents, timestep)

    def _capture(
        self, arguments: _Arguments, latents: torch.Tensor, timestep: torch.Tensor
    ) -> _Captured | None:
        inputs = latents.clone(), timestep.clone()
        try:
            graph, result = self._graphs.capture(
                lambda: self._forward(arguments.unet, *inputs, arguments.clip, arguments.chunk_tokens)
            )
        except RuntimeError as error:
            # If memory ran out, it was only the graph's: the step before this one had enough.
            log.warning("The steps could not be captured", exc_info=error)
            self._failure = Notice("graph.failed", {"reason": str(error).strip().split("\n")[0][:200]})
            return None
        return _Captured(graph, *inputs, result)


class _Arguments:
    """What does not change from step to step, held so that no other object gets its identity."""

    def __init__(self, unet: UNet, clip: ClipContext, chunk_tokens: int, shape: torch.Size) -> None:
        self.unet = unet
        self.clip = clip
        self.chunk_tokens = chunk_tokens
        self._shape = shape

    def are(self, other: _Arguments) -> bool:
        return (
            self.unet is other.unet
            and self.clip is other.clip
            and (self.chunk_tokens, self._shape) == (other.chunk_tokens, other._shape)
        )


class _Captured:
    def __init__(
        self, graph: Graph, latents: torch.Tensor, timestep: torch.Tensor, result: torch.Tensor
    ) -> None:
        self.graph = graph
        self._latents = latents
        self._timestep = timestep
        self._result = result

    def run(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        self._latents.copy_(latents)
        self._timestep.copy_(timestep)
        self.graph.replay()
        return self._result.clone()  # the next step overwrites it
