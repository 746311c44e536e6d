"""An engine without a model: it does what its prompt says, also to its own process.

A prompt is a list of orders, "PLACE: DEED" each, with semicolons between them:

    step: sleep 0.05; step 3: segfault once; frame 2: hang

The places are `condition`, `step` and `frame`, each of them or the one with the number; the deeds are below.
With `once`, a deed is done the first time only, whichever process comes there, so that a retry goes through.
What happens while the engine is loaded, when there is no prompt yet, stands in the model's folder.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import os
import re
import signal
import time
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import psutil
from PIL import Image

from i2v.core.engine_spec import Capabilities, EngineSpec, Preset
from i2v.core.errors import InsufficientMemory, ModelUnavailable, Notice
from i2v.core.generation import Generation
from i2v.core.log_context import current_request_id
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings import Settings
from i2v.core.settings_sources import load_settings
from i2v.core.stages import Stage
from i2v.engines.base import NO_LADDER, Conditioned, Decoded, Denoised, Event, Inputs, Ladder
from i2v.engines.recovery import recovering
from i2v.jobs.model import Job, Place, Submission, new_job_id
from i2v.jobs.store import JobStore
from i2v.pipeline.resolve import resolve

REHEARSAL = EngineSpec(
    name="rehearsal",
    title="Rehearsal",
    implementation="tests.rehearsal:RehearsalEngine",
    memory="i2v.engines.i2vgen_xl.memory:MEMORY",  # its ways; it has no figures there
    multiple=16,
    trained_frames=(1, 128),
    trained_fps=(1, 60),
    default_negative_prompt="",
    capabilities=Capabilities(story=True),
    preview_factors=(),
    files=("model_index.json",),
    presets={
        "standard": Preset(area_side=64, num_frames=4, num_inference_steps=4, fps=8, guidance_scale=1.0)
    },
)
ENGINES = {REHEARSAL.name: REHEARSAL}


# --- deeds


def sleep(seconds: str) -> None:
    time.sleep(float(seconds))


def fail() -> None:
    raise RuntimeError("rehearsed")


def refuse() -> None:
    raise ModelUnavailable("weights.missing_file", title="Rehearsal", path="unet.safetensors")


def memory() -> None:
    bytearray(2**60)  # no machine has an exbibyte: this is a real MemoryError


def leak(megabytes: str) -> None:
    """Keep memory for as long as the process lives."""
    LEAKED.append(b"x" * (int(megabytes) * 10**6))


def segfault() -> None:
    ctypes.string_at(0)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    """Do nothing for ever, but listen to signals."""
    while True:
        time.sleep(0.1)


def stuck() -> None:
    """Do nothing for ever inside a library: no other thread runs, and no signal but SIGKILL helps."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ctypes.PyDLL(None).sleep(10**6)


def wait(path: str) -> None:
    """Go no further before a test has made this file; fail if it never does."""
    deadline = time.monotonic() + 300
    while not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.01)


def fill(folder: str) -> None:
    """Fill the disk on which `folder` lies."""
    with (Path(folder) / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(2**20)):
                pass
        except OSError:  # full
            return


LEAKED: list[bytes] = []
DEEDS = {
    deed.__name__: deed
    for deed in (sleep, fail, refuse, memory, leak, segfault, kill, hang, stuck, wait, fill)
}


class Script:
    """The orders of one prompt, and a folder that remembers what was done once."""

    def __init__(self, text: str, folder: Path) -> None:
        self._orders = re.findall(r"(\w+)(?: (\d+))?: (\w+)(?: ([^;\s]+))??( once)?(?=;|$)", text)
        self._folder = folder
        self._text = text

    def reach(self, place: str, number: int) -> None:
        for where, which, deed, argument, once in self._orders:
            if where == place and which in ("", str(number)) and (not once or self._is_first(where, which)):
                DEEDS[deed](*([argument] if argument else []))

    def _is_first(self, where: str, which: str) -> bool:
        name = hashlib.sha256(f"{self._text} {where} {which}".encode()).hexdigest()
        try:
            (self._folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class RehearsalEngine:
    """Makes grey frames, the brighter the later."""

    kernels = "none"

    def __init__(self, spec: EngineSpec, folder: Path, plan: MemoryPlan) -> None:
        self.spec = spec
        self.plan = plan
        self._folder = folder

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Self:
        try:
            Script(json.loads((folder / "model_index.json").read_text()), folder).reach("load", 1)
        except MemoryError:
            raise InsufficientMemory("engine.out_of_memory", reason="rehearsed") from None
        return cls(spec, folder, plan)

    def adopt(self, plan: MemoryPlan) -> None:
        self.plan = plan

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        clip = _Clip(self, generation, Script(generation.prompt, self._folder))
        return recovering(clip, self.plan, ladder, out_of_memory)


class _Clip:
    """See `i2v.engines.recovery.Work`."""

    def __init__(self, engine: RehearsalEngine, generation: Generation, script: Script) -> None:
        self._engine = engine
        self._generation = generation
        self._script = script
        self._steps = self._frames = 0  # that are finished
        self.stage: Stage | None = Stage.CONDITION

    def events(self, plan: MemoryPlan) -> Generator[Event]:
        self._engine.plan = plan
        asked = self._generation
        if self.stage is Stage.CONDITION:
            self._script.reach("condition", 1)
            self.stage = Stage.DENOISE
            yield Conditioned()
        while self._steps < asked.num_inference_steps:
            self._script.reach("step", self._steps + 1)
            self._steps += 1
            preview = partial(np.full, (asked.num_frames, 8, 8, 3), 20 * self._steps % 256, np.uint8)
            yield Denoised(self._steps, asked.num_inference_steps, preview)
        self.stage = Stage.DECODE
        while self._frames < asked.num_frames:
            self._script.reach("frame", self._frames + 1)
            self._frames += 1
            if self._frames == asked.num_frames:
                self.stage = None
            size = (asked.generated_height, asked.generated_width, 3)
            yield Decoded(np.full((1, *size), 10 * self._frames % 256, np.uint8))


def out_of_memory(error: BaseException) -> str | None:
    return "rehearsed" if isinstance(error, MemoryError) else None


class PictureEngine(RehearsalEngine):
    """Makes frames of the picture, the seed added to all colours: another picture or seed is seen."""

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        for event in super().generate(generation, inputs, ladder):
            if isinstance(event, Decoded):
                event = Decoded((np.asarray(inputs.image) + np.uint8(generation.seed % 256))[None])
            yield event


# --- the stage


def stage(folder: Path, load: str = "", **flags: object) -> Settings:
    """Return settings for a service that lives in `folder`, with times that a test can wait for.

    `load`: orders at the place `load`. `flags`: settings, as in `worker__hang_seconds=1`.
    """
    write_model(folder, load)
    given = {name.replace("__", "."): value for name, value in flags.items()}
    usual = {
        "service.data_dir": folder / "data",
        "output.directory": folder / "videos",
        "models.directory": folder / "models",
        "engine.name": REHEARSAL.name,
        "engine.device": "cpu",  # torch is not even imported
        "server.page": False,
        "worker.idle_seconds": 60,
        "worker.start_seconds": 60,
        "worker.hang_seconds": 600,
        "worker.cancel_seconds": 1,
        "worker.kill_seconds": 1,
    }
    settings = load_settings(flags=usual | given)
    settings.inputs.mkdir(parents=True, exist_ok=True)
    return settings


def write_model(folder: Path, load: str = "") -> None:
    model = folder / "models" / REHEARSAL.name
    model.mkdir(parents=True, exist_ok=True)
    (model / "model_index.json").write_text(json.dumps(load))


def picture(colour: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return buffer.getvalue()


def find_workers(service: int) -> list[psutil.Process]:
    """Return the live worker processes of the service with this process id."""
    return [child for child in psutil.Process(service).children() if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def submit(
    store: JobStore, settings: Settings, prompt: str = "", place: Place | None = None, **fields: object
) -> Job:
    """Queue a job as the service does, without its process for pictures."""
    job_id = new_job_id()
    (settings.inputs / f"{job_id}.png").write_bytes(picture())
    request = GenerationRequest.parse({"prompt": prompt or "nothing", "engine": REHEARSAL.name} | fields)
    generation, _ = resolve(request, replace(REHEARSAL, name=request.engine), {}, (64, 64))
    return store.submit(
        Submission(
            id=job_id,
            request=request.model_dump(exclude_none=True),
            generation=generation,
            notices=(Notice("image.animated", {}, "The first one is used."),),
            input=f"{job_id}.png",
            output=str(settings.output.directory / f"{job_id}.mp4"),
            fingerprint=job_id,
            place=place,
            request_id=current_request_id() or None,
            wanted_device=request.device,
        )
    )
