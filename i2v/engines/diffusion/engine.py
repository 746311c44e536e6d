"""An engine of a diffusion family: its parts loaded once, and the story of one clip in three stages.

Owns the order of things: condition, denoise, decode; where the parts are meanwhile, and what of a clip is
finished when memory runs out. What each stage computes is the family's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL.Image import Image
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.engines.base import Conditioned, Decoded, Denoised, Event, Inputs
from i2v.engines.camera.options import CameraPathOptions
from i2v.engines.diffusion.camera_path import CameraFrames, camera_frames
from i2v.engines.diffusion.held import Held
from i2v.engines.diffusion.pixels import pixels_of
from i2v.engines.diffusion.placement import PlacedParts
from i2v.engines.diffusion.resume import StateKeeper
from i2v.engines.diffusion.shortage import out_of_memory
from i2v.engines.diffusion.state import State, Step
from i2v.engines.diffusion.vae import encode
from i2v.engines.preview import preview_of

Parts = TypeVar("Parts", bound=PlacedParts)
Given = TypeVar("Given")


class DiffusionEngine(ABC, Generic[Parts]):
    """Base of a family's `Engine` (`i2v.engines.base`), which adds `generate`."""

    def __init__(self, spec: EngineSpec, components: Parts, plan: MemoryPlan) -> None:
        self.spec = spec
        self.components = components
        self.plan = plan

    @property
    def kernels(self) -> str:
        return "torch"

    @staticmethod
    @abstractmethod
    def load_parts(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Parts:
        """Load the family's parts from `folder`; raises `ModelUnavailable`."""

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path | None, plan: MemoryPlan) -> Self:
        """Load weights from `folder`; raises as `i2v.engines.base.Engine` says."""
        if folder is None:
            raise ValueError(f"{spec.name} has weights: a folder is needed")
        if plan.threads:
            torch.set_num_threads(plan.threads)
        plan = replace(plan, threads=torch.get_num_threads())
        try:
            return cls(spec, cls.load_parts(spec, folder, plan), plan)
        except Exception as error:
            reason = out_of_memory(error)
            if reason is None:
                raise
        raise InsufficientMemory("engine.out_of_memory", reason=reason)

    def adopt(self, plan: MemoryPlan) -> None:
        """Work by `plan` from the next clip on, which is of the device and the dtype that were loaded for."""
        self.plan = replace(plan, threads=self.plan.threads)


class DiffusionClip(ABC, Generic[Parts, Given]):
    """One clip in the making: what is finished outlives a lack of memory (`i2v.engines.recovery.Work`).

    `Given` is what the conditioning makes.
    """

    frames_axis: ClassVar[int] = 2  # of latents: (1, C, F, h, w)

    def __init__(self, engine: DiffusionEngine[Parts], generation: Generation, inputs: Inputs) -> None:
        self.engine = engine
        self.components = engine.components
        self.generation = generation
        self.inputs = inputs
        self.stage: Stage | None = Stage.CONDITION
        self._given: Given | None = None
        self._said: tuple[Notice, ...] = ()  # of the conditioning
        self.held = Held(self.frames_axis, generation.overlap if generation.loop else 0)
        self._state: State | None = None
        self._keeper = StateKeeper(inputs.latents)
        self._begun = 0  # the step that denoising begins with
        self.decoded = 0  # frames

    @property
    def options(self) -> CameraPathOptions | None:
        """The options of the clip where they say where the camera goes."""
        return None

    @property
    def conditioners(self) -> tuple[nn.Module, ...]:
        """What `condition` and `encode` find on the device; none where a family brings parts there itself."""
        return (*self.components.encoders, self.components.vae)

    @property
    def denoisers(self) -> tuple[nn.Module, ...]:
        """What `steps` finds on the device; none where it brings parts there itself."""
        return self.components.denoisers

    def prepare(self) -> None:
        """Have the weights that the clip asks for, where it can ask for others than the model's own."""
        return

    @abstractmethod
    def condition(self, inputs: Inputs) -> tuple[Given, tuple[Notice, ...]]:
        """Encode what no step changes, and say what there is to say of it."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) in [-1, 1] -> (1, C, h, w), scaled as latents are."""
        return encode(cast("AutoencoderKL", self.components.vae), pixels.to(self.components.device))

    @abstractmethod
    def begin(self, reference: torch.Tensor | None) -> State:
        """Return the noise that denoising begins with, or `reference` noised as far as `strength` says.

        reference: the latents of frames along the camera's path, of the shape that a clip's have.
        """

    @property
    @abstractmethod
    def total(self) -> int:
        """The number of steps of the schedule; a clip that begins with frames leaves out the first ones."""

    @abstractmethod
    def steps(self, given: Given, start: State, plan: MemoryPlan) -> Iterator[Step]:
        """Denoise from `start` on, each prediction `held`; `denoisers` are on the device."""

    def left(self, latents: torch.Tensor) -> torch.Tensor:
        """Return what is needed of a clip's latents for the frames from `decoded` on."""
        return latents.narrow(self.frames_axis, self.decoded, self.generation.num_frames - self.decoded)

    @abstractmethod
    def frames(self, latents: torch.Tensor, plan: MemoryPlan) -> Iterator[Decoded]:
        """Decode the frames from `decoded` on out of what is `left`; the VAE is on the device."""

    def notices(self) -> tuple[Notice, ...]:
        """Return what was found since the last time it was asked."""
        return ()

    def events(self, plan: MemoryPlan) -> Generator[Event]:
        """Go on by `plan` from what is finished."""
        if self.stage is None:
            return
        components = self.components
        self.engine.adopt(plan)
        components.settle(plan.offload)  # here, where running out of memory is provided for
        if self._given is None:
            self._given = self._conditioned()
        if self._state is None:
            self._state, resumed = self._start()
            components.wait()
            self.stage = Stage.DENOISE if self._state.step < self.total else Stage.DECODE
            yield Conditioned((*self._said, *resumed))
        if self.stage is Stage.DENOISE:
            yield from self._denoise(self._given, self._state, plan)
        yield from self._decode(self._state, plan)

    def _conditioned(self) -> Given:
        self.prepare()
        camera = self._camera()
        inputs = self.inputs
        if camera is not None and not inputs.earlier:
            inputs = replace(inputs, image=camera.first)
        with self.components.on_device(*self.conditioners):
            if self.engine.spec.capabilities.holds_frames:
                self.held.earlier = self._encoded(inputs.earlier)
            if self.engine.spec.capabilities.blends_ends and inputs.last_image is not None:
                [self.held.last] = self._encoded([inputs.last_image])
            if camera is not None:
                self.follow(camera)
            given, self._said = self.condition(inputs)
        self._said += () if camera is None else camera.notices
        return given

    def _start(self) -> tuple[State, tuple[Notice, ...]]:
        """Return where denoising begins: where an earlier attempt had come to, if that was kept."""
        start = self.begin(self.held.path)
        self._begun = start.step
        self.held.wrap(start.latents)
        kept = self._keeper.begin(start)
        if kept is None:
            return start, ()
        done, of = kept.step - self._begun, self.total - self._begun
        return kept, (Notice("denoise.resumed", {"step": done, "total": of}),)

    @torch.inference_mode()
    def _encoded(self, pictures: Sequence[Image]) -> list[torch.Tensor]:
        return [self.encode(pixels_of(picture))[0] for picture in pictures]

    def _camera(self) -> CameraFrames | None:
        if self.options is None:
            return None
        return camera_frames(self.options, self.generation, self.inputs, self.engine.plan.threads)

    def follow(self, camera: CameraFrames) -> None:
        """Encode the frames along the path, and what of them is held."""
        frames = camera.encode(self.encode)
        mask = camera.held_latents(frames)
        self.held.path = frames[None].movedim(1, self.frames_axis)
        self.held.mask = None if mask is None else mask[None].movedim(1, self.frames_axis)

    def _denoise(self, given: Given, start: State, plan: MemoryPlan) -> Generator[Event]:
        with self.components.on_device(*self.denoisers):
            for step in self.steps(given, start, plan):
                self._state = step.state
                self._keeper.offer(step.state, self.components.wait)
                if step.state.step == self.total:
                    self.components.wait()
                    self.stage = Stage.DECODE
                shown = partial(self._preview, step.denoised)
                done, of = step.state.step - self._begun, self.total - self._begun
                yield Denoised(done, of, shown, self.notices())

    def _decode(self, state: State, plan: MemoryPlan) -> Generator[Event]:
        with self.components.on_device(self.components.vae):
            for part in self.frames(self.left(state.latents), plan):
                self.decoded += len(part.frames)
                if self.decoded == self.generation.num_frames:
                    self.stage = None
                yield replace(part, notices=(*part.notices, *self.notices()))

    def _preview(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        return preview(latents.movedim(self.frames_axis, 2), self.engine.spec.preview_factors)


@torch.inference_mode()
def preview(latents: torch.Tensor, factors: tuple[tuple[float, float, float], ...]) -> NDArray[np.uint8]:
    """(1, C, F, h, w) latents -> (F, h, w, 3) uint8 (`i2v.engines.preview`)."""
    return preview_of(latents[0].cpu().float().numpy(), factors)  # on the CPU: the device may be full
