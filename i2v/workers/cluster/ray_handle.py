"""An actor by Ray: where it is placed, and its methods as plain calls. Ray's errors are `WorkerLost` here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import cast

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import I2VError
from i2v.workers.cluster.actor import CONTROL, GROUPS, MAKING, Actor
from i2v.workers.cluster.node import Leaving
from i2v.workers.cluster.places import Place
from i2v.workers.cluster.wire import Answer, Errand, Introduction, Message, Shared
from i2v.workers.maker import Order, WorkerLost

CALL_SECONDS = 30.0  # that a call may take which does nothing that takes time


class RayHandle:
    """See `handles.Handle`. The actor is started when this is made, and killed by `end`."""

    def __init__(self, place: Place, shared: Shared, engines: Mapping[str, EngineSpec]) -> None:
        on_gpu = place.kind == "cuda"
        remote = ray.remote(
            concurrency_groups=GROUPS,
            num_cpus=0 if on_gpu else place.cpus,
            num_gpus=1 / place.share if on_gpu else 0,
            max_restarts=0,  # its job is given to another one, and counted, by the store
            max_task_retries=0,
        )(_RayActor)
        strategy = NodeAffinitySchedulingStrategy(place.node.id, soft=False)
        with _lost():
            self._actor: ActorHandle = remote.options(scheduling_strategy=strategy).remote(
                place.node.name,
                place.kind,
                place.share,
                shared,
                engines,
                place.cpus if on_gpu else None,
            )

    def look(self, seconds: float) -> Introduction:
        """Return what the actor says of itself; raises `I2VError` where its device cannot be used."""
        return cast("Introduction", self._call("look", seconds=seconds))

    def make(self, order: Order, inputs: list[bytes]) -> RayCall:
        with _lost():
            method = self._actor.make.options(num_returns="streaming", concurrency_group=MAKING)
            return RayCall(method.remote(order, inputs))

    def fetch(self, errand: Errand) -> RayCall:
        with _lost():
            method = self._actor.fetch.options(num_returns="streaming", concurrency_group=MAKING)
            return RayCall(method.remote(errand))

    def give(self, answer: Answer) -> None:
        self._call("give", answer)

    def stop(self, job_id: str) -> None:
        self._call("stop", job_id)

    def read(self, kind: str, offset: int, size: int) -> bytes:
        return cast("bytes", self._call("read", kind, offset, size))

    def forget(self) -> None:
        self._call("forget")

    def leaving(self) -> Leaving:
        return cast("Leaving", self._call("leaving"))

    def models(self) -> tuple[str, ...]:
        return cast("tuple[str, ...]", self._call("models"))

    def end(self) -> None:
        """Have it remove its files, and kill it."""
        with suppress(WorkerLost, I2VError):
            self._call("end", seconds=2.0)
        with suppress(RayError):
            ray.kill(self._actor)

    def _call(self, name: str, *arguments: object, seconds: float = CALL_SECONDS) -> object:
        with _lost():
            method = getattr(self._actor, name).options(concurrency_group=CONTROL)
            return ray.get(method.remote(*arguments), timeout=seconds)


class RayCall:
    """See `handles.Call`."""

    def __init__(self, stream: Iterator[object]) -> None:
        self._stream = stream

    def next(self, seconds: float) -> Message | None:
        with _lost():
            ready, _ = ray.wait([self._stream], timeout=seconds)
            if not ready:
                return None
            return cast("Message", ray.get(next(self._stream), timeout=CALL_SECONDS))


class _RayActor(Actor):
    """The actor with the GPU that Ray has given it."""

    def __init__(
        self,
        name: str,
        kind: str,
        share: int,
        shared: Shared,
        engines: Mapping[str, EngineSpec],
        threads: int | None,
    ) -> None:
        gpus = ray.get_gpu_ids()  # numbers, or what CUDA_VISIBLE_DEVICES has in their place
        gpu = str(gpus[0]) if gpus else None
        super().__init__(name, "cuda" if kind == "cuda" else "cpu", share, shared, engines, gpu, threads)


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, I2VError):
            raise error.cause from None
        raise WorkerLost(str(error)) from error
    except RayError as error:
        raise WorkerLost(str(error).splitlines()[0]) from error
