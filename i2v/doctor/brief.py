"""The part of the examination that every start of the server can afford: a few tenths of a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psutil

from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.doctor.device import check_device, find_card
from i2v.doctor.findings import Finding
from i2v.doctor.graphics import Card, find_graphics
from i2v.doctor.machine import check_memory
from i2v.doctor.packages import find_torch
from i2v.doctor.product import check_ffmpeg, check_output
from i2v.engines.registry import engines
from i2v.pipeline.choice import choose_engine


def examine_briefly(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at card and driver, memory, the videos' disk and ffmpeg. The engine's name must be known."""
    card = find_card(find_graphics(environ), find_torch(), environ)
    yield from check_device(card, settings.engine)
    used = card if isinstance(card, Card) and settings.engine.device != "cpu" else None
    device = DeviceInfo("cuda" if used else "cpu", used.name if used else "CPU", 0)
    spec = choose_engine(settings.engine.name, device, settings.models, engines())
    memory = psutil.virtual_memory()
    yield check_memory(spec, used, memory.available, memory.total)
    yield check_output(settings.output)
    yield check_ffmpeg()
