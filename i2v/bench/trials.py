"""The measurements themselves. Each runs in a process of its own (`apart`), so that peaks do not mix.

A trial loads an engine, makes clips of a drawn picture, and returns figures; what they mean is judged by
`checks`. `tell` takes the share that is done, from 0 to 1.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from i2v import allocator
from i2v.bench.report import Figures
from i2v.engines.base import (
    NO_LADDER,
    Conditioned,
    Decoded,
    Denoised,
    Engine,
    Event,
    Ladder,
    SteppedDown,
    engine_class,
)
from i2v.errors import Notice
from i2v.image import Picture
from i2v.ladder import MemoryLadder
from i2v.memory import probe_device
from i2v.outputs import OutputFile
from i2v.pipeline import Marks, generate_video
from i2v.schema import DeviceInfo, EngineSpec, Generation, MemoryPlan
from i2v.settings import EngineSettings

if TYPE_CHECKING:
    from i2v.bench.device import Gauge

Frames = NDArray[np.uint8]
Tell = Callable[[float], None]

POSTERIOR_SEED = 0
WARM_STEPS = 2  # of the clip before the one that is timed: CUDA loads and chooses kernels at their first use


@dataclass(frozen=True)
class Trial:
    """What to run, and how.

    Attributes:
        scratch: a folder for what the trial leaves to its caller.
        room: bytes that a clip may take, where that is limited.
        is_ours: with the allocator's settings that a job has; stock has none.
    """

    spec: EngineSpec
    folder: Path
    generation: Generation
    plan: MemoryPlan
    device: DeviceInfo
    options: EngineSettings
    scratch: Path
    room: int | None = None
    is_ours: bool = True

    def gauge(self) -> Gauge:
        return _gauge(self.device, self.is_ours)

    def load(self) -> Engine:
        return engine_class(self.spec).load(self.spec, self.folder, self.plan)

    def ladder(self) -> Ladder:
        return MemoryLadder(self.spec, self.generation, self.device, self.options)

    def with_steps(self, count: int) -> Trial:
        return replace(self, generation=replace(self.generation, num_inference_steps=count))


def look(wanted: Literal["auto", "cpu", "cuda"], tell: Tell) -> Figures:
    """Return the device that there is, and its `Gauge.facts`."""
    device = probe_device(wanted)
    return {**asdict(device), **_gauge(device, is_ours=True).facts()}


def _gauge(device: DeviceInfo, is_ours: bool) -> Gauge:
    if is_ours:
        allocator.configure()  # before torch is there
    from i2v.bench.device import Gauge

    return Gauge(device)


def time_clip(trial: Trial, tell: Tell) -> Figures:
    """Time one clip after a short one; its frames go to `scratch`/frames.npy."""
    gauge = trial.gauge()
    gauge.peak()
    start = gauge.now()
    engine = trial.load()
    loaded = gauge.now()
    held = gauge.release()
    steps = trial.generation.num_inference_steps
    warm = trial.with_steps(min(WARM_STEPS, steps))
    whole = warm.generation.num_inference_steps + steps
    make_clip(engine, warm, gauge, lambda step: tell(step / whole))
    warmed = gauge.now()
    done_before = warm.generation.num_inference_steps
    clip = make_clip(engine, trial, gauge, lambda step: tell((done_before + step) / whole), trial.ladder())
    np.save(trial.scratch / "frames.npy", clip.frames)
    return {
        "seconds": {"load": loaded - start, "first_short_clip": warmed - loaded, **clip.seconds},
        "bytes": {"loaded": held, "peak": gauge.peak(), "reserved": gauge.reserved()},
        "notices": [notice.code for notice in clip.notices],
        "stepped_down": clip.rungs,
    }


def make_video(trial: Trial, tell: Tell) -> Figures:
    """Make one video the way a job does, with its ladder, from the picture to the MP4."""
    gauge = trial.gauge()
    gauge.peak()
    start = gauge.now()
    engine = trial.load()
    loaded = gauge.now()
    rungs: list[dict[str, object]] = []
    finished: list[float] = []  # when each step was

    def hear(event: object) -> None:
        if isinstance(event, SteppedDown):
            rungs.append(_rung(event))
        elif isinstance(event, Denoised):
            finished.append(gauge.now())
            tell(event.step / event.total)

    size = (trial.generation.width, trial.generation.height)
    picture = Picture(draw_picture(*size), size, ())
    target = OutputFile(trial.scratch / "clip.mp4", force=True)
    result = generate_video(engine, trial.generation, picture, target, Marks(), hear, ladder=trial.ladder())
    seconds = {"load": loaded - start, **result.seconds, "clip": gauge.now() - loaded}
    if len(finished) > 1:
        seconds["step"] = (finished[-1] - finished[0]) / (len(finished) - 1)
    counted = [count for stage in result.stages if isinstance(count := stage["bytes"], int)]
    return {
        "seconds": seconds,
        "bytes": {
            "peak": max(counted, default=None),
            "reserved": gauge.reserved(),
            "card_in_use": gauge.on_card(),
        },
        "stages": list(result.stages),
        "notices": [notice.code for notice in result.notices],
        "stepped_down": rungs,
    }


def find_faults(trial: Trial, tell: Tell) -> Figures:
    """Make one clip whose engine looks at every number; raises `I2VError` (`bench.not_finite`)."""
    gauge, engine = trial.gauge(), trial.load()
    clip = make_clip(engine, trial, gauge, lambda step: tell(step / trial.generation.num_inference_steps))
    brightest = clip.frames.reshape(len(clip.frames), -1).max(axis=1)
    return {
        "decoded_again": sum(
            int(str(notice.params["count"])) for notice in clip.notices if notice.code == "decode.nan"
        ),
        "black_frames": int((brightest < 8).sum()),
        "frames": len(clip.frames),
    }


def stop_clips(trial: Trial, tell: Tell) -> Figures:
    """Cancel a clip in the middle of a step, and one while it is decoded, then make a whole one."""
    gauge, engine = trial.gauge(), trial.load()
    first = make_clip(engine, trial, gauge, lambda step: None)
    tell(0.3)
    floor = gauge.release()
    figures: Figures = {"floor_bytes": floor}
    for stage, kind in (("denoise", Denoised), ("decode", Decoded)):
        each = first.seconds[stage] / first.counts[stage]
        gauge.seed(POSTERIOR_SEED)
        events = engine.generate(trial.generation, draw_clip_picture(trial.generation))
        stopped = _stop(events, kind, each / 2, gauge)
        del events
        held = gauge.release()
        figures[stage] = {"seconds": stopped, "seconds_each": each, "bytes_after": held}
        tell(0.6)
    last = make_clip(engine, trial, gauge, lambda step: None)
    figures["frames_after"] = compare_frames(last.frames, first.frames)
    return figures


def _stop(events: Generator[Event], kind: type[Event], delay: float, gauge: Gauge) -> float:
    """Return the seconds from asking, `delay` after the first event of a `kind`, to the end of all work."""
    asked = threading.Event()
    when = math.inf

    def ask() -> None:
        nonlocal when
        when = time.perf_counter()
        asked.set()

    timer = threading.Timer(delay, ask)
    with closing(events):
        for event in events:
            if asked.is_set():
                break
            if isinstance(event, kind) and not timer.ident:
                timer.start()
    asked.wait(2 * delay + 1)  # the clip may have ended before: then stopping takes no time
    return max(0.0, gauge.now() - when)


def run_freely(trial: Trial, tell: Tell) -> Figures:
    """Make a clip with all the memory that it wants, and tell how much that is over the loaded model."""
    gauge, engine = trial.gauge(), trial.load()
    gauge.release()
    gauge.peak()
    before = gauge.peak() or 0
    clip = make_clip(engine, trial, gauge, lambda step: tell(step / trial.generation.num_inference_steps))
    np.save(trial.scratch / "frames.npy", clip.frames)
    return {"needed_bytes": (gauge.peak() or 0) - before, "seconds": clip.seconds}


def run_short(trial: Trial, tell: Tell) -> Figures:
    """Make the clip of `run_freely` with `trial.room` bytes over the loaded model, by a ladder."""
    gauge = trial.gauge()
    gauge.give_back_at_once()
    engine = trial.load()
    gauge.release()
    cap = gauge.cappable() + (trial.room or 0)
    with gauge.capped(cap):
        clip = make_clip(
            engine,
            trial,
            gauge,
            lambda step: tell(step / trial.generation.num_inference_steps),
            trial.ladder(),
        )
    apart = compare_frames(clip.frames, np.load(trial.scratch / "frames.npy"))
    return {"cap_bytes": cap, "seconds": clip.seconds, "stepped_down": clip.rungs, "frames_apart": apart}


# --- one clip


@dataclass(frozen=True)
class Clip:
    """(F, H, W, 3) frames; seconds by phase, "clip" being all, and the number of steps and of chunks."""

    frames: Frames
    seconds: dict[str, float]
    counts: dict[str, int]
    notices: tuple[Notice, ...]
    rungs: list[dict[str, object]]


def make_clip(
    engine: Engine, trial: Trial, gauge: Gauge, on_step: Callable[[int], None], ladder: Ladder = NO_LADDER
) -> Clip:
    """Run `engine` once. The device is waited for where a phase ends, not within: so does a job."""
    gauge.seed(POSTERIOR_SEED)
    chunks: list[Frames] = []
    notices: list[Notice] = []
    rungs: list[dict[str, object]] = []
    marks = {"start": gauge.now()}
    counts = {"denoise": 0, "decode": 0}
    for event in engine.generate(trial.generation, draw_clip_picture(trial.generation), ladder):
        if isinstance(event, Conditioned):
            marks["condition"] = gauge.now()
        elif isinstance(event, Denoised):
            counts["denoise"] += 1
            on_step(event.step)
            if event.step == event.total:
                marks["denoise"] = gauge.now()
        elif isinstance(event, Decoded):
            counts["decode"] += 1
            chunks.append(event.frames)
        else:
            rungs.append(_rung(event))
        if not isinstance(event, Denoised):
            notices.extend(event.notices)
    end = gauge.now()
    seconds = {"clip": end - marks["start"]}
    if "denoise" in marks:
        seconds["condition"] = marks["condition"] - marks["start"]
        seconds["denoise"] = marks["denoise"] - marks["condition"]
        seconds["decode"] = end - marks["denoise"]
    return Clip(np.concatenate(chunks), seconds, counts, tuple(notices), rungs)


def _rung(event: SteppedDown) -> dict[str, object]:
    return {"stage": event.stage, "changes": [notice.code for notice in event.notices]}


def compare_frames(ones: Frames, others: Frames) -> Figures:
    """Return how far apart two clips are, in levels of 255."""
    apart = np.abs(ones.astype(np.int16) - others)
    return {"max_difference": int(apart.max()), "mean_difference": float(apart.mean())}


def draw_clip_picture(generation: Generation) -> Image.Image:
    return draw_picture(generation.generated_width, generation.generated_height)


def draw_picture(width: int, height: int) -> Image.Image:
    """Draw hills before a sky: the same picture everywhere, so that reports can be compared."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    sky = np.stack([90 + 120 * down, 140 + 70 * down, 230 - 40 * down], axis=-1)
    for height_of, colour in ((0.55, (70, 110, 90)), (0.75, (40, 80, 45))):
        ridge = height_of + 0.08 * np.sin(9 * across + 20 * height_of)
        sky = np.where((down > ridge)[..., None], np.asarray(colour) * (1.2 - 0.4 * down[..., None]), sky)
    image = Image.fromarray(sky.clip(0, 255).astype(np.uint8))
    corner, side = (int(0.68 * width), int(0.14 * height)), min(width, height) // 7
    ImageDraw.Draw(image).ellipse((*corner, corner[0] + side, corner[1] + side), fill=(255, 236, 170))
    return image
