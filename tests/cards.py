"""GPUs that are not there: a worker process that finds on its device what a test says; the CPU computes.

`work` takes the place of `executors.entry.work`. The variable `CARDS` has a JSON list of what each card is:
its `name`, its `free` bytes, and a `fault`: as long as that file is there, no worker starts on the card.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.workers import attempt
from i2v.workers.devices import Slot
from i2v.workers.executors import entry, supervisor

CARDS = "TEST_CARDS"


@dataclass(frozen=True)
class Card:
    name: str = "Card"
    free: int = 2**34
    fault: str = ""


def insert_cards(monkeypatch: pytest.MonkeyPatch, cards: Sequence[Card]) -> None:
    """Let workers that are started from now on find these."""
    monkeypatch.setenv(CARDS, json.dumps([asdict(card) for card in cards]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(supervisor, "work", work)


def work(
    settings: Settings,
    owner: str,
    channel: Connection,
    engines: Mapping[str, EngineSpec],
    logs: Path,
    slot: Slot,
) -> None:
    cards = [Card(**card) for card in json.loads(os.environ[CARDS])]

    def measured(device: DeviceInfo) -> DeviceInfo:
        card = cards[int(os.environ.get("CUDA_VISIBLE_DEVICES", "0"))]
        if card.fault and Path(card.fault).exists():
            raise InsufficientMemory("device.no_cuda")
        return replace(device, name=card.name, total_memory=card.free, free_memory=card.free)

    entry.probe_device = lambda wanted, share: measured(DeviceInfo("cpu", "", 0, share=share))  # type: ignore[attr-defined]
    attempt.measure_free = measured  # type: ignore[attr-defined]
    entry.work(settings, owner, channel, engines, logs, slot)
