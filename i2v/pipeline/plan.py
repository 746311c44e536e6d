"""What a clip will be and how the device is used for it, settled before anything heavy starts.

`ClipPlanner.plan_clip` is the only place where a clip is planned: for the service, the command line and
benchmarks alike. Deliberately does not know jobs and pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from i2v.core.engine_spec import EngineSpec, Preset
from i2v.core.errors import Notice
from i2v.core.extension import ExtendRequest
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, PlannedMemory
from i2v.core.schema import GenerationRequest
from i2v.core.settings import EngineSettings, Settings
from i2v.core.settings_sources import load_presets
from i2v.memory.plan import Planned, hold_plan, plan_memory
from i2v.pipeline.added import add_style_lora, check_added, check_preset
from i2v.pipeline.checks import check_request
from i2v.pipeline.choice import CertificateCache, as_stored, choose_engine
from i2v.pipeline.enhance import Source
from i2v.pipeline.extend import resolve_extension
from i2v.pipeline.ladder import MemoryLadder
from i2v.pipeline.resolve import draw_seed, resolve
from i2v.pipeline.soundtrack import check_narration


@dataclass(frozen=True)
class ClipPlan:
    """How one clip is made: all that `make_clip` needs besides the pictures.

    Attributes:
        asked: the fields of the request that were given.
        memory: how the device is used, and whether that fits.
        notices: what is done another way than it was asked for, or should be known.
    """

    asked: Mapping[str, object]
    spec: EngineSpec
    generation: Generation
    device: DeviceInfo
    memory: Planned
    notices: tuple[Notice, ...] = ()

    @property
    def has_sound(self) -> bool:
        """Whether the clip may have sound."""
        return bool(self.spec.capabilities.sound or self.generation.sound or self.generation.narration)


class ClipPlanner:
    """Plans clips by one set of settings; threads share it."""

    def __init__(self, settings: Settings, engines: Mapping[str, EngineSpec]) -> None:
        self._settings = settings
        self._engines = engines
        self._presets = load_presets()
        self._certificates = CertificateCache(settings.models)

    def parse(self, fields: Mapping[str, object]) -> GenerationRequest:
        """Return the request that the fields describe, with the settings' engine where they name none."""
        return GenerationRequest.parse({"engine": self._settings.engine.name, **fields})

    def presets(self, spec: EngineSpec) -> dict[str, Preset]:
        """Return the presets as `spec` has them."""
        return {**self._presets, **spec.presets}

    def spec_for(self, request: GenerationRequest, device: DeviceInfo) -> EngineSpec:
        """Return the engine for the request; raises as `plan_clip` does."""
        spec = choose_engine(request.engine, device, self._settings.models, self._engines)
        check_request(request, spec)
        return spec

    def plan_extension(
        self, request: ExtendRequest, source: Source, ran: Generation, device: DeviceInfo
    ) -> ClipPlan:
        """Return how a clip is made longer on `device`; `ran` is what was run for it.

        Raises `InvalidRequest` as `plan_clip` and `resolve_extension` do.
        """
        models = self._settings.models
        spec = as_stored(choose_engine(ran.engine, device, models, self._engines), models)
        generation, notices = resolve_extension(request, source, ran, spec, draw_seed)
        check_added(generation, spec, models)
        memory = plan_memory(spec, generation, device, self._settings.engine)
        if memory.fits is False:
            notices += memory.notices
        return ClipPlan(request.model_dump(exclude_none=True), spec, generation, device, memory, notices)

    def plan_clip(
        self,
        request: GenerationRequest,
        picture_size: tuple[int, int],
        device: DeviceInfo,
        with_files: bool = True,
    ) -> ClipPlan:
        """Return how the request is carried out on `device`.

        Args:
            picture_size: (width, height) of the upright picture in pixels.
            with_files: LoRAs and a checkpoint that the request or its preset names must be there, and fit.
        Raises:
            InvalidRequest: `request.*`; the engine is not known, or cannot do what is asked for.
        """
        spec = choose_engine(request.engine, device, self._settings.models, self._engines)
        spec = as_stored(spec, self._settings.models)
        generation, notices = resolve(
            request,
            spec,
            self._presets,
            picture_size,
            certificates=self._certificates.of(spec),
            upscaling=self._settings.output.upscaler,
        )
        generation, with_lora = add_style_lora(generation, spec, self._settings.models)
        notices += with_lora
        if with_files:
            check_preset(spec, request.preset, self._settings.models)
            check_added(generation, spec, self._settings.models)
        check_narration(generation, self._settings.models)
        memory = plan_memory(spec, generation, device, self._settings.engine)
        if memory.fits is False:  # said, not refused: it is an estimate
            notices += memory.notices
        names = ("inputs", "checkpoint", "loras", "story", "loop", "options")
        empty = {name for name in names if not getattr(request, name)}
        if not request.story:
            empty.add("correct_drift")  # says nothing then
        asked = request.model_dump(mode="json", exclude_none=True, exclude=empty)
        return ClipPlan(asked, spec, generation, device, memory, notices)


def plan_again(
    asked: Mapping[str, object],
    spec: EngineSpec,
    generation: Generation,
    planned: PlannedMemory | None,
    device: DeviceInfo,
    options: EngineSettings,
    deaths: int = 0,
) -> ClipPlan:
    """Return the plan of a clip that was planned before, on `device` as it is now.

    It is made anew only where it does not hold any more: the device is another one, the settings want
    something else, it does not fit what is free now, or workers have died of it (`deaths`). That is said.
    """
    memory, notices = _kept_or_new(spec, generation, planned, device, options)
    if deaths:
        ladder = MemoryLadder(spec, generation, device, options)
        lowest, said = ladder.after_death(memory.plan, deaths)
        memory, notices = replace(memory, plan=lowest), (*notices, *said)
    return ClipPlan(asked, spec, generation, device, memory, notices)


def _kept_or_new(
    spec: EngineSpec,
    generation: Generation,
    planned: PlannedMemory | None,
    device: DeviceInfo,
    options: EngineSettings,
) -> tuple[Planned, tuple[Notice, ...]]:
    new = plan_memory(spec, generation, device, options)
    if planned is None or planned.memory == new.plan:
        return new, ()
    if (planned.device_type, planned.device_name) != (device.type, device.name):
        before, now = planned.device_name, device.name
        return new, (Notice("plan.other_device", {"before": before, "now": now}),)
    kept = hold_plan(spec, generation, device, options, planned.memory)
    return (new, (Notice("plan.made_again", {}),)) if kept is None else (kept, ())
