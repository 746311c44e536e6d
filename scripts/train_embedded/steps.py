"""One training step on the device: noise, loss, gradients, update. Python only sends it off.

Nothing is read back from the device in a step. On CUDA a step of known shapes is recorded once as a graph and
replayed; where that fails, it goes on without, and says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers import I2VGenXLUNet
from torch.nn.attention import SDPBackend, sdpa_kernel

from scripts.train_embedded.losses import drawn_drift, drawn_times, loss_of
from scripts.train_embedded.optimizers import Optimizer
from scripts.train_embedded.rendering import Batch

# cuDNN's and flash's backward are left out: bfloat16 weights became NaN in the second step with heads of 8
# channels.
BACKENDS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
WARM_UP = 3  # steps of a shape before it is recorded
LIKE_ENOUGH = 0.98  # cosine between gradients in bfloat16 and float32


@dataclass(frozen=True)
class Objective:
    """What a step minimizes; see `losses`. `shares`: of clips by timestep, see `losses.BANDS`."""

    shares: tuple[float, float, float] = (0.35, 0.25, 0.4)
    sigma_power: float = 1.0
    first_weight: float = 1.0
    drift: float = 0.0
    later_drift: float = 0.0


class Stepper:
    """Steps of one UNet.

    Attributes:
        rate, decay: (), of Muon and of the average; set them with `fill_`.
        loss: (), sum of the losses since it was last zeroed; a step that was skipped adds nothing.
    """

    def __init__(
        self, unet: I2VGenXLUNet, optimizer: Optimizer, alphas: torch.Tensor, objective: Objective
    ) -> None:
        self.unet, self.optimizer, self.objective = unet, optimizer, objective
        self.device = optimizer.values.device
        self.alphas = alphas.to(self.device)
        self.dtype = torch.float32
        self.rate, self.decay, self.loss = (torch.zeros((), device=self.device) for _ in range(3))
        self.records = self.device.type == "cuda"
        self._recorded: dict[tuple[object, ...], tuple[Batch, torch.cuda.CUDAGraph]] = {}
        self._seen: dict[tuple[object, ...], int] = {}
        # graphs are replayed one after the other and keep nothing: they share their memory
        self._pool = torch.cuda.graph_pool_handle() if self.records else None

    def backward(self, batch: Batch) -> torch.Tensor:
        """Put the gradients of a batch at drawn noise levels in place; return its loss, ()."""
        want, count = self.objective, len(batch.x0)
        self.optimizer.forget()
        t = drawn_times(count, want.shares, self.device)
        noise = torch.randn_like(batch.x0)
        drift = drawn_drift(batch.x0, want.drift, want.later_drift) if want.drift + want.later_drift else None
        with self.precision():
            loss = loss_of(
                self.unet, batch, t, noise, self.alphas, want.first_weight, drift, want.sigma_power
            ).mean()
        loss.backward()
        self.optimizer.collect()
        return loss.detach()

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Compute in `dtype`; norms, softmax and losses stay in float32, as autocast has them."""
        is_low = self.dtype != torch.float32
        with contextlib.ExitStack() as stack:
            if self.device.type == "cuda":
                stack.enter_context(sdpa_kernel(BACKENDS))
            if is_low:
                # a graph must not find weights that were cast before it
                stack.enter_context(torch.autocast(self.device.type, self.dtype, cache_enabled=False))
            yield

    def update(self, loss: torch.Tensor) -> None:
        """Follow the gradients in place, and add up the loss."""
        taken = self.optimizer.step(self.rate, self.decay)
        self.loss += torch.where(taken > 0, loss, 0.0)

    def __call__(self, batch: Batch, kind: object = None) -> None:
        """Take a step. `kind`: whatever beside shapes makes steps differ, such as confined convolutions."""
        key = (*(tensor.shape for tensor in batch.tensors), kind, self.dtype)
        self._seen[key] = self._seen.get(key, 0) + 1
        if self.records and self._seen[key] > WARM_UP:
            self._replay(key, batch)
        else:
            self.update(self.backward(batch))

    def read(self, steps: int) -> dict[str, float]:
        """Return the mean loss of the last `steps`, and how many were skipped in all. This waits."""
        loss, skipped = self.loss.item() / max(1, steps), self.optimizer.skipped.item()
        self.loss.zero_()
        return {"loss": loss, "skipped": skipped}

    def _replay(self, key: tuple[object, ...], batch: Batch) -> None:
        if key not in self._recorded:
            try:
                self._recorded[key] = self._record(batch)
            except RuntimeError as error:
                print(f"steps are not recorded as CUDA graphs: {str(error).splitlines()[0]}", flush=True)
                self.records = False
                self.update(self.backward(batch))
                return
        held, graph = self._recorded[key]
        for mine, given in zip(held.tensors, batch.tensors, strict=True):
            mine.copy_(given, non_blocking=True)
        graph.replay()

    def _record(self, batch: Batch) -> tuple[Batch, torch.cuda.CUDAGraph]:
        """Return a batch that the graph reads, and the graph. One step is taken before, on a side stream."""
        held = Batch(*(tensor.clone() for tensor in batch.tensors), clips=())
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.update(self.backward(held))
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self.update(self.backward(held))
        return held, graph


def choose_precision(stepper: Stepper, batch: Batch) -> dict[str, float]:
    """Let the stepper compute in bfloat16 where its first gradients are float32's, as they should be.

    Returns:
        Their cosine, the float32 gradient's norm, and the bits chosen.
    """
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        stepper.dtype = dtype
        torch.manual_seed(0)  # the same noise at the same levels
        stepper.backward(batch)
        found.append(stepper.optimizer.gradients.clone())
    plain, low = found
    cosine = torch.nn.functional.cosine_similarity(plain, low, dim=0).item()
    stepper.dtype = torch.bfloat16 if cosine > LIKE_ENOUGH else torch.float32  # NaN is not more
    return {"cosine": cosine, "norm": plain.norm().item(), "bits": 16 if cosine > LIKE_ENOUGH else 32}
