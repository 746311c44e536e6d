"""The examination: which checks answer which published troubleshooting case."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import psutil

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT
from i2v.doctor.device import check_device, check_devices, check_threads, find_card, visible_cards
from i2v.doctor.findings import Finding, Status
from i2v.doctor.graphics import Card, Graphics, find_graphics
from i2v.doctor.machine import check_clock, check_memory, check_others, check_port
from i2v.doctor.packages import check_packages, check_python, find_torch
from i2v.doctor.product import (
    check_executor,
    check_ffmpeg,
    check_logs,
    check_output,
    check_reading,
    check_settings,
    check_weights,
    list_variables,
)
from i2v.engines.registry import engines
from i2v.pipeline.choice import choose_engine

DEFAULT_PORT = 7860  # the published one, checked where the settings take any

# The published troubleshooting cases, in the order of the report.
CASES = (
    "out_of_memory",
    "no_response",
    "stiff_motion",
    "black_output",
    "page_unreachable",
    "slow",
    "several_runs",
    "set_up",
)
Report = dict[str, list[Finding]]  # by case


def examine(config: Path | None, environ: Mapping[str, str], port: int | None) -> Report:
    """Return what was found, by case. Takes about a second, and loads no torch.

    port: where the web page listens, or will; the settings' if it is not given.
    """
    settings, of_settings = check_settings(config, environ)
    graphics = find_graphics(environ)
    parts = [_examine_machine(graphics, environ, ROOT / "logs"), {"set_up": [of_settings]}]
    if settings is not None:
        parts.append(_examine_with(settings, engines(), graphics, environ))
        port = port or settings.server.port or DEFAULT_PORT
    if port is not None:
        parts.append({"page_unreachable": [check_port(port)]})
    return _merged(CASES, parts)


def examine_service(
    settings: Settings, engines: Mapping[str, EngineSpec], environ: Mapping[str, str], logs: Path
) -> Report:
    """Return the same for a service that runs with `settings`, but for what it would not run without.

    Raises `InvalidRequest` where there is no engine of the settings' name.
    """
    graphics = find_graphics(environ)
    parts = [
        _examine_machine(graphics, environ, logs),
        _examine_with(settings, engines, graphics, environ),
    ]
    return _merged([case for case in CASES if case != "page_unreachable"], parts)


def _merged(cases: Iterable[str], parts: Sequence[Report]) -> Report:
    not_checked = Finding("info", Notice("doctor.not_checked", {}))
    return {
        case: [finding for part in parts for finding in part.get(case, ())] or [not_checked] for case in cases
    }


def _examine_machine(graphics: Graphics, environ: Mapping[str, str], logs: Path) -> Report:
    wanted_python = metadata.metadata("i2v")["Requires-Python"]
    return {
        "stiff_motion": [Finding("info", Notice("doctor.motion", {}), Notice("doctor.motion_fix", {}))],
        "black_output": [check_ffmpeg()],
        "several_runs": check_others(graphics.holders),
        "set_up": [
            check_python(platform.python_version(), wanted_python),
            *check_packages(metadata.requires("i2v") or ()),
            check_logs(logs),
            check_clock(time.time(), Path(__file__).stat().st_mtime),
            list_variables(environ),
        ],
    }


def _examine_with(
    settings: Settings, engines: Mapping[str, EngineSpec], graphics: Graphics, environ: Mapping[str, str]
) -> Report:
    """Return what depends on the settings."""
    torch = find_torch()
    card = find_card(graphics, torch, environ)
    is_cpu = "cpu" in (settings.engine.device, settings.worker.devices)
    used = card if isinstance(card, Card) and not is_cpu else None
    device = DeviceInfo("cuda" if used else "cpu", used.name if used else "CPU", 0)
    models = settings.models
    spec = choose_engine(settings.engine.name, device, models, engines)
    memory = psutil.virtual_memory()
    reading = check_reading(spec, models)
    with_files = [each for each in engines.values() if each.files]
    if_absent: Status = "warning" if used and spec.embedded else "info"  # the card has nothing to do
    cards = visible_cards(graphics.cards, environ) if isinstance(card, Card) else ()
    slow = [*check_device(card, settings.engine), *check_devices(cards, settings)]
    if used is None:
        slow.append(check_threads(settings.engine, environ, len(os.sched_getaffinity(0))))
    cluster = check_executor(settings.worker, settings.ray)
    return {
        "out_of_memory": [check_memory(spec, used, memory.available, memory.total)],
        "no_response": [
            *check_weights(with_files, models, settings.engine.name, if_absent),
            *([reading] if reading else []),
        ],
        "slow": slow,
        "set_up": [check_output(settings.output), *([cluster] if cluster else [])],
    }
