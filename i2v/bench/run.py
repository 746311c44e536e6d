"""The bench from beginning to end: what there is, each check in turn, and the file after each row."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import psutil

from i2v.bench.against_stock import check_stock, work_of_stock
from i2v.bench.apart import run_apart
from i2v.bench.checks import Check, Measure
from i2v.bench.faults import check_cancel, check_memory, check_numbers, work_of_large, work_of_small
from i2v.bench.presets import check_presets, work_of_presets
from i2v.bench.report import Figures, Private, Report, Row
from i2v.bench.trials import Trial, look
from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo
from i2v.core.schema import GenerationRequest, PresetName, Speed
from i2v.core.settings import Settings
from i2v.doctor.graphics import find_graphics
from i2v.engines.registry import engines
from i2v.memory.model import memory_model
from i2v.memory.plan import Planned, plan_memory
from i2v.pipeline.choice import choose_engine
from i2v.pipeline.plan import ClipPlanner
from i2v.service.overview import cpu_name, take_overview
from i2v.weights import find_weights, weights_digest
from i2v.weights.records import records_folder

CHECKS = (
    Check("stock", check_stock, work_of_stock),
    Check("presets", check_presets, work_of_presets),
    Check("nan", check_numbers, work_of_small(2)),
    Check("cancel", check_cancel, work_of_small(3)),
    Check("memory", check_memory, work_of_large),
)
NAMES = tuple(check.name for check in CHECKS)

PICTURE = (512, 512)
PROMPT = "the camera pans left"
SMALL_STEPS, LARGE_STEPS = 4, 2


@dataclass(frozen=True)
class Asked:
    """What a person asked for. `engine`: a name, or "auto"."""

    engine: str
    only: Sequence[str] = NAMES
    is_quick: bool = False


class Screen(Protocol):
    """Where a person sees what happens."""

    def show(self, name: str, left: float | None) -> None:
        """Say what is measured, and in how many seconds all should be done."""
        ...

    def add(self, row: Row) -> None: ...


class Bench:
    """One run of the bench; the `Lab` of its checks."""

    def __init__(
        self, settings: Settings, asked: Asked, environ: Mapping[str, str], scratch: Path, screen: Screen
    ) -> None:
        """Look at the device, in a process of its own: this one keeps nothing on it.

        Raises `InvalidRequest` for an engine that is not known, `ModelUnavailable` without its weights.
        """
        self.is_quick = asked.is_quick
        self._asked, self._settings, self._screen, self._scratch = asked, settings, screen, scratch
        self._planner = ClipPlanner(settings, engines())
        self._began = time.monotonic()
        self._done = self._outstanding = 0.0  # work
        wanted, patience = settings.engine.device, settings.worker.start_seconds
        seen = run_apart(look, wanted, scratch, lambda share: None, patience)
        self.device = DeviceInfo(**{field.name: seen[field.name] for field in fields(DeviceInfo)})  # type: ignore[arg-type]
        self.spec: EngineSpec = choose_engine(asked.engine, self.device, settings.models, engines())
        self._folder = find_weights(self.spec, settings.models)
        self.report = Report(self._about(seen, environ))

    def run(self, path: Path) -> Report:
        """Run the checks, and write the report to `path` after every row: whatever ends this, it is whole."""
        private = Private.of(self._scratch, self._folder, self._settings.models.directory)
        chosen = [check for check in CHECKS if check.name in self._asked.only]
        work = {check.name: check.work(self) for check in chosen}
        for number, check in enumerate(chosen):
            self._outstanding = sum(work[later.name] for later in chosen[number:])
            done = self._done
            for row in check.run(self):
                self.report.rows.append(row)
                self._save(path, private)
                self._screen.add(row)
            self._done = done + work[check.name]
        self.report.complete = True
        self._save(path, private)
        return self.report

    def _save(self, path: Path, private: Private) -> None:
        self.report.seconds = time.monotonic() - self._began
        self.report.save(path, private)

    # --- as the checks see it

    def measure(self, measure: Measure, trial: Trial, name: str) -> Figures:
        work = self.work(trial.generation)
        done = self._done

        def on_progress(share: float) -> None:
            self._done = done + share * work
            self._screen.show(name, self._left())

        self._screen.show(name, self._left())
        patience = self._settings.worker.hang_seconds
        figures = run_apart(measure, trial, self._scratch, on_progress, patience)
        self._done = done + work
        return figures

    def trial(self, generation: Generation, planned: Planned) -> Trial:
        return Trial(
            self.spec,
            self._folder,
            generation,
            planned.plan,
            self.device,
            self._settings,
            self._scratch,
        )

    def preset(self, name: PresetName, speed: Speed) -> tuple[Generation, Planned]:
        return self._planned({"preset": name, "speed": speed})

    def small_clip(self) -> tuple[Generation, Planned]:
        return self._planned({**self._size(), "num_inference_steps": SMALL_STEPS})

    def large_clip(self) -> tuple[Generation, Planned]:
        asked = {**self._size(), "num_inference_steps": LARGE_STEPS, "guidance_scale": 9}  # for two passes
        generation, planned = self._planned(asked)
        if self.device.type == "cpu":  # little goes a long way there, and small clips take too little
            width, height = 2 * generation.generated_width, 2 * generation.generated_height
            generation = replace(generation, generated_width=width, generated_height=height)
            planned = plan_memory(self.spec, generation, self.device, self._settings.engine)
        return generation, planned

    def guessed_seconds(self, planned: Planned) -> float | None:
        return planned.guessed_seconds(self.device)

    def work(self, generation: Generation) -> float:
        return memory_model(self.spec).step_flops(generation) * generation.num_inference_steps

    # --- within

    def _size(self) -> dict[str, object]:
        size = "512p" if self.device.type == "cuda" else "256p"
        return {"preset": "quick", "resolution": size, "speed": "exact"}

    def _planned(self, asked: Mapping[str, object]) -> tuple[Generation, Planned]:
        request = GenerationRequest.parse({"prompt": PROMPT, "seed": 0, "engine": self.spec.name, **asked})
        clip = self._planner.plan_clip(request, PICTURE, self.device, with_files=False)
        # all steps, and no LoRA of a preset, which may not be there: the network is what is timed
        generation = replace(clip.generation, strength=1.0, loras=())
        return generation, plan_memory(self.spec, generation, self.device, self._settings.engine)

    def _left(self) -> float | None:
        spent = time.monotonic() - self._began
        return None if self._done <= 0 else spent / self._done * max(0.0, self._outstanding - self._done)

    def _about(self, seen: Figures, environ: Mapping[str, str]) -> dict[str, object]:
        """Return what the report says of itself and of the machine."""
        overview = take_overview(self._settings, None)
        drivers = {card.name: card.driver for card in find_graphics(environ).cards}
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "quick": self.is_quick,
            "only": list(self._asked.only),
            "versions": overview.versions,
            "machine": {
                "system": overview.system,
                "cpu": cpu_name(),
                "cores": psutil.cpu_count(logical=False),
                "ram_bytes": psutil.virtual_memory().total,
            },
            "device": {**seen, "driver": drivers.get(self.device.name)},
            "engine": {
                "name": self.spec.name,
                "weights_sha256": weights_digest(
                    self.spec, self._folder, records_folder(self._folder, self._settings.models)
                ),
            },
        }
