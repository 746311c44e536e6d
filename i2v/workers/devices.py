"""Which workers there are: the one place where it is decided who works on which device.

Owns the ids of devices ("cuda:1", "cpu"; GPUs are counted as nvidia-smi does) and how a process is kept to
its own. Deliberately does not know processes, nor which job goes where: `JobStore.claim` has that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings

CPU = "cpu"
Activity = Literal["starting", "ready", "busy", "set_aside", "leaving"]


@dataclass(frozen=True)
class Slot:
    """Where one worker works.

    Attributes:
        wanted: as `memory.plan.probe_device` has it.
        index: the GPU's number; `None` on the CPU, and as long as nobody has counted the GPUs.
        number: which of the device's workers it is, from 1.
        share: how many those are.
    """

    wanted: Literal["auto", "cpu", "cuda"]
    index: int | None = None
    number: int = 1
    share: int = 1

    @property
    def device(self) -> str | None:
        """The device's id, as far as it is known before a worker has looked."""
        if self.wanted == "cpu":
            return CPU
        return None if self.index is None else cuda_id(self.index)

    def device_of(self, kind: Literal["cpu", "cuda"]) -> str:
        """Return the device's id, where a worker has found one of this kind."""
        if self.device is not None:
            return self.device
        return CPU if kind == "cpu" else cuda_id(self.index or 0)

    @property
    def log_name(self) -> str:
        """The name of its log: each has its own, and the first one that of a single worker."""
        if self.number == 1 and not self.index:
            return "worker.log"
        place = CPU if self.index is None else f"cuda{self.index}"
        return f"worker-{place}-{self.number}.log"


@dataclass(frozen=True)
class Fetch:
    """How far a machine is with an engine's weights, in bytes; `total` is 0 until it is known."""

    engine: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class DeviceState:
    """A worker's device at one moment; devices with several workers are there several times.

    Attributes:
        id: "" as long as nobody knows which it will be.
        number: which of the device's workers it is, from 1.
        info: `None` as long as no worker has looked at it.
        activity: "ready" has it take the next job, whether or not its process runs meanwhile; "set_aside": it
            did not start several times in a row, and is tried again later; "leaving": its machine ends.
        job_id: what it is at.
        problem: why it takes no job now.
        models: the engines whose weights its machine has; `None` where it is this one.
        fetch: the weights that it gets for its machine now.
    """

    id: str
    number: int
    info: DeviceInfo | None
    activity: Activity
    job_id: str | None = None
    problem: I2VError | None = None
    models: tuple[str, ...] | None = None
    fetch: Fetch | None = None


def cuda_id(index: int | str) -> str:
    """Return the id of a GPU. One that CUDA_VISIBLE_DEVICES names by its UUID keeps the UUID's beginning."""
    return f"cuda:{str(index)[:12]}"


def device_type(device: str | None) -> Literal["cpu", "cuda"] | None:
    """Return the type of the device with this id; `None` for any."""
    if device is None:
        return None
    return "cpu" if device == CPU else "cuda"


def first_slots(settings: Settings) -> tuple[Slot, ...]:
    """Return the slots that the settings name.

    Where they leave it to what there is, that is one: its worker counts the GPUs, and `slots_beside` has the
    others.
    """
    devices, share = settings.worker.devices, settings.worker.per_device
    if isinstance(devices, tuple):
        return tuple(slot for index in devices for slot in _slots("cuda", index, share))
    if devices == CPU or settings.engine.device == "cpu":
        return _slots("cpu", None, share)
    return (Slot(settings.engine.device, share=share),)


def slots_beside(first: Slot, cards: int) -> tuple[Slot, ...]:
    """Return all slots besides the `first`, whose worker has found so many GPUs."""
    if first.wanted == "cpu" or first.index is not None:
        return ()
    if not cards:
        return _slots("cpu", None, first.share)[1:] if first.wanted == "auto" else ()
    return tuple(slot for index in range(cards) for slot in _slots("cuda", index, first.share))[1:]


def _slots(wanted: Literal["cpu", "cuda"], index: int | None, share: int) -> tuple[Slot, ...]:
    return tuple(Slot(wanted, index, number + 1, share) for number in range(share))


def environment(device: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a process sets before it loads torch, to see `device` alone; `None`: any.

    Args:
        environ: the process's: CUDA_VISIBLE_DEVICES there says which GPUs are counted.
    """
    if device == CPU:
        return {}
    ordered = {"CUDA_DEVICE_ORDER": environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")}  # nvidia-smi's
    if device is None:
        return ordered
    index = int(device.removeprefix("cuda:"))
    listed = environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return {**ordered, "CUDA_VISIBLE_DEVICES": str(index)}
    names = [name.strip() for name in listed.split(",")]
    return {**ordered, "CUDA_VISIBLE_DEVICES": names[index] if index < len(names) else "-1"}  # -1: none


def is_needed(
    device: str | None, takers: Sequence[str | None], claimable: Callable[[str | None, int], Sequence[str]]
) -> bool:
    """Tell whether there is a job left for a worker on `device`, when each of the `takers` has taken one.

    Args:
        takers: the devices of workers that run and have no job.
        claimable: the ids of the first jobs that could be claimed for a device, at most so many.
    """
    limit = len(takers) + 1
    jobs = {each: claimable(each, limit) for each in {device, *takers}}
    taken: set[str] = set()
    for taker in takers:
        taken.update([job for job in jobs[taker] if job not in taken][:1])
    return any(job not in taken for job in jobs[device])
