"""The measurements themselves. Each runs in a process of its own (`apart`), so that peaks do not mix.

A trial loads an engine, makes clips of a drawn picture, and returns figures; what they mean is judged by
`checks`. `on_progress` takes the share that is done, from 0 to 1.
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

from i2v.bench.clips import (
    POSTERIOR_SEED,
    compare_frames,
    draw_clip_picture,
    draw_picture,
    run_clip,
    rung_of,
)
from i2v.bench.report import Figures
from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.settings import Settings
from i2v.engines.base import Decoded, Denoised, Engine, Event, Inputs, Ladder, SteppedDown, engine_class
from i2v.media.image import Picture
from i2v.media.outputs import OutputFile
from i2v.memory import allocator
from i2v.memory.plan import Planned, probe_device
from i2v.pipeline.clip import Output
from i2v.pipeline.engines import EngineCache
from i2v.pipeline.ladder import MemoryLadder
from i2v.pipeline.make import make_clip
from i2v.pipeline.plan import ClipPlan

if TYPE_CHECKING:
    from i2v.bench.device import Gauge

OnProgress = Callable[[float], None]

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
    settings: Settings
    scratch: Path
    room: int | None = None
    is_ours: bool = True

    def gauge(self) -> Gauge:
        return _gauge(self.device, self.is_ours)

    def load(self) -> Engine:
        return engine_class(self.spec).load(self.spec, self.folder, self.plan)

    def ladder(self) -> Ladder:
        return MemoryLadder(self.spec, self.generation, self.device, self.settings.engine)

    def with_steps(self, count: int) -> Trial:
        return replace(self, generation=replace(self.generation, num_inference_steps=count))


def look(wanted: Literal["auto", "cpu", "cuda"], on_progress: OnProgress) -> Figures:
    """Return the device that there is, and its `Gauge.facts`."""
    device = probe_device(wanted)
    return {**asdict(device), **_gauge(device, is_ours=True).facts()}


def _gauge(device: DeviceInfo, is_ours: bool) -> Gauge:
    if is_ours:
        allocator.configure()  # before torch is there
    from i2v.bench.device import Gauge

    return Gauge(device)


def time_clip(trial: Trial, on_progress: OnProgress) -> Figures:
    """Time one clip after a short one; its frames go to `scratch`/frames.npy."""
    gauge = trial.gauge()
    gauge.peak()
    start = gauge.now()
    engine = trial.load()
    loaded = gauge.now()
    held = gauge.release()
    steps = trial.generation.num_inference_steps
    warm = min(WARM_STEPS, steps)
    whole = warm + steps
    short = trial.with_steps(warm).generation
    run_clip(engine, short, gauge, lambda share: on_progress(share * warm / whole))
    warmed = gauge.now()
    clip = run_clip(
        engine,
        trial.generation,
        gauge,
        lambda share: on_progress((warm + share * steps) / whole),
        trial.ladder(),
    )
    np.save(trial.scratch / "frames.npy", clip.frames)
    return {
        "seconds": {"load": loaded - start, "first_short_clip": warmed - loaded, **clip.seconds},
        "bytes": {"loaded": held, "peak": gauge.peak(), "reserved": gauge.reserved()},
        "kernels": engine.kernels,
        "notices": [notice.code for notice in clip.notices],
        "stepped_down": clip.rungs,
    }


def make_video(trial: Trial, on_progress: OnProgress) -> Figures:
    """Make one video the way a job does, with its ladder, from the picture to the MP4."""
    gauge = trial.gauge()
    gauge.peak()
    start = gauge.now()
    rungs: list[dict[str, object]] = []
    finished: list[float] = []  # when each step was

    def on_event(event: object) -> None:
        if isinstance(event, SteppedDown):
            rungs.append(rung_of(event))
        elif isinstance(event, Denoised):
            finished.append(gauge.now())
            on_progress(event.step / event.total)

    size = (trial.generation.width, trial.generation.height)
    picture = Picture(draw_picture(*size), size, ())
    output = Output(OutputFile(trial.scratch / "clip.mp4", force=True))
    plan = ClipPlan({}, trial.spec, trial.generation, trial.device, Planned(trial.plan))
    # the prompt is encoded, whatever is kept of it
    apart = {"data_dir": trial.scratch, "embeddings_megabytes": 0}
    service = trial.settings.service.model_copy(update=apart)
    settings = trial.settings.model_copy(update={"service": service})
    result = make_clip(plan, [picture], output, EngineCache(settings.models), settings, on_event)
    seconds = {**result.seconds, "clip": gauge.now() - start - result.seconds["load"]}
    if len(finished) > 1:
        seconds["step"] = (finished[-1] - finished[0]) / (len(finished) - 1)
    counted = [stage.bytes for stage in result.stages if stage.bytes is not None]
    return {
        "seconds": seconds,
        "bytes": {
            "peak": max(counted, default=None),
            "reserved": gauge.reserved(),
            "card_in_use": gauge.on_card(),
        },
        "kernels": None if result.made_with is None else result.made_with.kernels,
        "stages": [asdict(stage) for stage in result.stages],
        "notices": [notice.code for notice in result.notices],
        "stepped_down": rungs,
    }


def find_faults(trial: Trial, on_progress: OnProgress) -> Figures:
    """Make one clip whose engine looks at every number; raises `I2VError` (`bench.not_finite`)."""
    gauge, engine = trial.gauge(), trial.load()
    clip = run_clip(engine, trial.generation, gauge, on_progress)
    brightest = clip.frames.reshape(len(clip.frames), -1).max(axis=1)
    return {
        "decoded_again": sum(
            int(str(notice.params["count"])) for notice in clip.notices if notice.code == "decode.nan"
        ),
        "black_frames": int((brightest < 8).sum()),
        "frames": len(clip.frames),
    }


def stop_clips(trial: Trial, on_progress: OnProgress) -> Figures:
    """Cancel a clip in the middle of a step, and one while it is decoded, then make a whole one."""
    gauge, engine = trial.gauge(), trial.load()
    first = run_clip(engine, trial.generation, gauge, lambda share: None)
    on_progress(0.3)
    floor = gauge.release()
    figures: Figures = {"floor_bytes": floor}
    for stage, kind in (("denoise", Denoised), ("decode", Decoded)):
        each = first.seconds[stage] / first.counts[stage]
        gauge.seed(POSTERIOR_SEED)
        events = engine.generate(trial.generation, Inputs(draw_clip_picture(trial.generation)))
        stopped = _stop(events, kind, each / 2, gauge)
        del events
        held = gauge.release()
        figures[stage] = {"seconds": stopped, "seconds_each": each, "bytes_after": held}
        on_progress(0.6)
    last = run_clip(engine, trial.generation, gauge, lambda share: None)
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


def run_freely(trial: Trial, on_progress: OnProgress) -> Figures:
    """Make a clip with all the memory that it wants, and say how much that is over the loaded model."""
    gauge, engine = trial.gauge(), trial.load()
    gauge.release()
    gauge.peak()
    before = gauge.peak() or 0
    clip = run_clip(engine, trial.generation, gauge, on_progress)
    np.save(trial.scratch / "frames.npy", clip.frames)
    return {"needed_bytes": (gauge.peak() or 0) - before, "seconds": clip.seconds}


def run_short(trial: Trial, on_progress: OnProgress) -> Figures:
    """Make the clip of `run_freely` with `trial.room` bytes over the loaded model, by a ladder."""
    gauge = trial.gauge()
    gauge.give_back_at_once()
    engine = trial.load()
    gauge.release()
    cap = gauge.cappable() + (trial.room or 0)
    with gauge.capped(cap):
        clip = run_clip(engine, trial.generation, gauge, on_progress, trial.ladder())
    apart = compare_frames(clip.frames, np.load(trial.scratch / "frames.npy"))
    return {"cap_bytes": cap, "seconds": clip.seconds, "stepped_down": clip.rungs, "frames_apart": apart}
