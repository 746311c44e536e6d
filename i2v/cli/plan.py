"""`i2v plan`: what each preset takes on this machine, or on a card that is thought of."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from i2v.cli.parsers import Commands
from i2v.core.durations import duration
from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.schema import GenerationRequest, PresetName

if TYPE_CHECKING:
    from i2v.core.engine_spec import EngineSpec
    from i2v.core.generation import Generation
    from i2v.core.memory_plan import DeviceInfo
    from i2v.core.settings import Settings
    from i2v.jobs.forecast import Forecast
    from i2v.memory.plan import Planned
    from i2v.pipeline.plan import ClipPlanner

PICTURE = (512, 512)
GIB = 2**30


@dataclass(frozen=True)
class Row:
    """A preset as it would be run.

    `phases`: seconds of each, where they are known; `is_guess`: no finished job of this machine tells them.
    """

    preset: str
    generation: Generation
    planned: Planned
    phases: dict[str, float] | None
    is_guess: bool

    @property
    def seconds(self) -> float | None:
        return None if self.phases is None else sum(self.phases.values())


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("plan", help="show how much memory and time each preset needs")
    parser.add_argument("--vram", metavar="GB", help="assume a GPU with this much memory (GB)")
    parser.add_argument("--ram", metavar="GB", help="assume this much free RAM (GB)")
    parser.add_argument(
        "--engine", help="auto, or a model listed by i2v models (default: engine.name in the settings)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.settings_sources import load_settings
    from i2v.engines.registry import engines
    from i2v.pipeline.choice import best_engine, choose_engine
    from i2v.pipeline.plan import ClipPlanner

    settings = load_settings(arguments.config, os.environ)
    vram, ram = _bytes("--vram", arguments.vram), _bytes("--ram", arguments.ram)
    device = _device(settings, vram, ram)
    engine = arguments.engine or settings.engine.name
    if vram is not None and engine == "auto":
        best = best_engine(engines())  # what a card is for
        engine = engine if best is None else best.name
    past = _forecast(settings) if vram is None else None
    planner = ClipPlanner(settings, engines())
    spec = choose_engine(engine, device, settings.models, engines())
    rows = [_row(name, spec, device, planner, past) for name in get_args(PresetName)]
    if arguments.json:
        print(json.dumps({"device": vars(device), "presets": [_fields(row) for row in rows]}))
        return 0
    print(f"{rows[0].generation.engine} on {device.name}")
    for row in rows:
        print(_line(row))
    return 0


def _bytes(flag: str, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        count = float(value)
    except ValueError:
        count = 0.0
    if not 0 < count <= 100_000:
        raise InvalidRequest(
            "request.invalid", field=flag, value=shown(value), allowed="a number of GB, such as 8"
        )
    return round(count * GIB)


def _device(settings: Settings, vram: int | None, ram: int | None) -> DeviceInfo:
    from i2v.core.memory_plan import DeviceInfo
    from i2v.memory.plan import probe_device

    if vram is not None:
        return DeviceInfo("cuda", f"a GPU with {vram / GIB:g} GB", vram, free_ram=ram)
    device = probe_device(settings.engine.device)
    if ram is None:
        return device
    return replace(device, free_ram=ram, free_memory=ram if device.type == "cpu" else device.free_memory)


def _forecast(settings: Settings) -> Forecast | None:
    """Return what this machine's finished jobs tell, `None` where there were none."""
    from i2v.engines.registry import engines
    from i2v.jobs.forecast import Forecast
    from i2v.jobs.store import JobStore
    from i2v.memory.model import denoising_work

    if not settings.database.is_file():
        return None
    try:
        with closing(JobStore(settings.database, create=False)) as store:
            return Forecast(store.recent_runs(), denoising_work(engines()))
    except I2VError as error:
        if error.code != "database.older":
            raise
        print(f"i2v: {error.message}", file=sys.stderr)  # times are guessed until then
        return None


def _row(
    preset: str, spec: EngineSpec, device: DeviceInfo, planner: ClipPlanner, past: Forecast | None
) -> Row:
    prompt = "any" if spec.capabilities.prompt == "required" else ""
    request = GenerationRequest.parse({"prompt": prompt, "preset": preset, "engine": spec.name})
    clip = planner.plan_clip(request, PICTURE, device, with_files=False)
    phases = past.phases(clip.generation) if past is not None else None
    if phases is not None:
        return Row(preset, clip.generation, clip.memory, phases, is_guess=False)
    return Row(preset, clip.generation, clip.memory, clip.memory.guessed_phases(device), is_guess=True)


def _fields(row: Row) -> dict[str, object]:
    figures, made = row.planned.estimate, row.generation
    return {
        "preset": row.preset,
        "fits": row.planned.fits,
        "bytes": None if figures is None else figures.device_bytes,
        "ram_bytes": None if figures is None else figures.ram_bytes,
        "stages": [] if figures is None else [vars(stage) for stage in figures.stages],
        "seconds": row.seconds,
        "seconds_by_phase": row.phases or {},
        "is_guess": row.is_guess,
        "width": made.generated_width,
        "height": made.generated_height,
        "num_frames": made.num_frames,
        "num_inference_steps": made.num_inference_steps,
        "plan": vars(row.planned.plan),
        "notices": [notice.to_dict() for notice in row.planned.notices],
    }


def _line(row: Row) -> str:
    made = row.generation
    clip = f"{made.generated_width} x {made.generated_height}, {made.num_frames} frames"
    steps = f"{made.num_inference_steps} steps" if made.num_inference_steps else ""
    summary = " ".join(notice.message for notice in row.planned.notices) or "No estimate for this model."
    time = (
        "" if row.seconds is None else f" About {duration(row.seconds)}{' (rough estimate)' * row.is_guess}."
    )
    return f"{row.preset:<9} {clip:<26} {steps:<10} {summary}{time}"
