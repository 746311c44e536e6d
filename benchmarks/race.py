"""The measurements of `benchmarks/speed.py`; each is a process of its own.

    python -m benchmarks.race paired SETTING          every side in turn, clip by clip: seconds, and parity
    python -m benchmarks.race alone SETTING SIDE      one side: memory, FLOPs, UNet evaluations of one clip
    python -m benchmarks.race full_size SETTING SIDE FOLDER   one guided clip at 256 x 256: seconds, memory

SETTING is the JSON of a `Race`; the figures are printed as JSON. What they mean is judged elsewhere.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from benchmarks.baselines import Adaptive, Bench, DeepCache, Sampler, Scheduled
from benchmarks.cases import References, cases
from benchmarks.measure import alone as measured_alone
from benchmarks.measure import clock, peak_rss, time_load
from benchmarks.sides import Ours, Probe, Reading, Run, Setting, Side, Stock, between
from i2v.core.generation import Generation
from i2v.core.schedules import ddim, evaluations
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer
from i2v.weights import EMBEDDED_FOLDER, weights_digest


@dataclass(frozen=True)
class Race:
    """What is run: `pairs` clips are timed, `clips` are measured; sides in pixels."""

    side: int
    num_inference_steps: int
    guidance_scale: float
    pairs: int
    clips: int
    threads: int
    references: str
    kept_only: bool = False

    def setting(self) -> Setting:
        return Setting(
            self.side, self.num_inference_steps, self.guidance_scale, self.pairs, self.threads,
            ours_decode_chunk=0,
        )  # fmt: skip


class Fast(Ours):
    """The engine at `speed: fast`, whether a certificate allows it or not."""

    name = "fast"

    def ask(self, generation: Generation, image: Image.Image) -> None:
        super().ask(replace(generation, speed="fast"), image)


class Exact(Ours):
    name = "exact"


class Sampling:
    """A baseline: our conditioning and decoding around its own way of sampling."""

    def __init__(self, sampler: Sampler) -> None:
        self.name = sampler.label
        self._sampler = sampler

    def load(self) -> None:
        self._bench = Bench(EMBEDDED_FOLDER)

    def unload(self) -> None:
        del self._bench

    def ask(self, generation: Generation, image: Image.Image) -> None:
        self._generation, self._image = generation, image

    @property
    def unet(self) -> nn.Module:
        unet: nn.Module = self._bench.components.unet
        return unet

    def run(self, probe: Probe) -> Run:
        marks = [probe()]
        conditioning = self._bench.condition(self._generation, self._image)
        marks.append(probe())
        latents = self._sampler.sample(self._bench.components, conditioning, self._generation)
        marks.append(probe())
        frames = self._bench.decode(latents)
        return Run(between([*marks, probe()]), frames)


def sides(race: Race) -> list[Side]:
    """Return stock first, then ours, then the baselines."""
    setting = race.setting()
    timed = (Adaptive(race.num_inference_steps), DeepCache(race.num_inference_steps, 3), as_many(race))
    return [Stock(setting), Exact(setting), Fast(setting), *map(Sampling, timed)]


def as_many(race: Race) -> Sampler:
    """Return plain DDIM with as many UNet evaluations as ours has when it is fast."""
    return plain(evaluations("fast", race.num_inference_steps))


def plain(num_inference_steps: int) -> Sampler:
    return Scheduled(f"DDIM-{num_inference_steps}", ddim(num_inference_steps))


def paired(race: Race) -> dict[str, object]:
    """Run every side on every clip, each clip beginning with another side, after a first run to warm up."""
    entrants = sides(race)
    chosen = cases(race.guidance_scale, race.pairs, race.side)
    for side in entrants:
        side.load()
    stock = entrants[0]
    assert isinstance(stock, Stock)
    for side in entrants:
        side.ask(chosen[0].at(2).generation, chosen[0].picture)
        side.run(clock)
    chunks = stock.time_chunks(3)
    stock.decode_chunk = min(chunks, key=lambda size: float(np.median(chunks[size])))
    readings: dict[str, dict[str, list[Reading]]] = {side.name: {} for side in entrants}
    references = References(weights_digest(EMBEDDED, EMBEDDED_FOLDER), Path(race.references))
    frames_apart, latents_apart = [], []
    for number, case in enumerate(chosen):
        generation = case.at(race.num_inference_steps).generation
        frames: dict[str, NDArray[np.uint8]] = {}
        for side in [*entrants[number % len(entrants) :], *entrants[: number % len(entrants)]]:
            gc.collect()
            side.ask(generation, case.picture)
            run = side.run(clock)
            frames[side.name] = run.frames
            stages = {"load": time_load(side), **finished(run, generation)}
            for stage, reading in stages.items():
                readings[side.name].setdefault(stage, []).append(reading)
            print(f"{case.name}: {side.name} {stages['clip']['cpu']:.2f} s of CPU", file=sys.stderr)
        frames_apart.append(int(np.abs(frames["stock"].astype(int) - frames["exact"]).max()))
        kept = references.find(case.at(race.num_inference_steps))
        if kept is not None:
            latents_apart.append(float(np.abs(stock.latents.numpy() - kept.latents).max()))
    return {
        "readings": readings,
        "cases": [case.name for case in chosen],
        "frames_max_difference": max(frames_apart),
        "latents_max_difference": max(latents_apart, default=None),
        "stock_decode_chunk": stock.decode_chunk,
        "stock_decode_seconds_by_chunk": chunks,
        "threads": torch.get_num_threads(),
    }


def clock_with_children() -> Reading:
    """As `clock`, with the CPU time of processes that have ended: ffmpeg's."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    reading = clock()
    return {**reading, "cpu": reading["cpu"] + children.ru_utime + children.ru_stime}


def finished(run: Run, generation: Generation) -> dict[str, Reading]:
    """Return the run's stages with "encode", writing the MP4, and "clip" with it."""
    size = (generation.width, generation.height)
    with tempfile.TemporaryDirectory() as folder:
        start = clock_with_children()
        with Mp4Writer(OutputFile(Path(folder) / "clip.mp4"), fps=generation.fps, size=size) as writer:
            writer.append(run.frames)
            writer.finish()
        end = clock_with_children()
    encode = {key: end[key] - start[key] for key in end}
    clip = {key: run.stages["clip"][key] + encode[key] for key in encode}
    return {**run.stages, "encode": encode, "clip": clip}


def alone(race: Race, name: str) -> dict[str, object]:
    """Return memory and work of the side called `name`, on the first clip."""
    side = next(side for side in sides(race) if side.name == name)
    case = cases(race.guidance_scale, 1, race.side)[0].at(race.num_inference_steps)
    side.ask(case.generation, case.picture)
    return measured_alone(side)


def full_size(race: Race, name: str, folder: str) -> dict[str, object]:
    """Return what one clip takes on weights of the published size, whatever their values: seconds, memory."""
    side: Stock | Exact = {"stock": Stock, "exact": Exact}[name](race.setting())
    side.folder = Path(folder)
    if isinstance(side, Exact):
        side.spec = replace(I2VGEN_XL, facts=replace(I2VGEN_XL.facts, sample_posterior=True))
    case = cases(9.0, 1, 256)[0].at(race.num_inference_steps)
    side.ask(case.generation, case.picture)
    start = clock()
    side.load()
    end = clock()
    load = {key: end[key] - start[key] for key in end}
    return {"seconds": {"load": load, **side.run(clock).stages}, "peak_rss_mib": peak_rss()}


def main(mode: str, race: Race, *names: str) -> dict[str, object]:
    torch.set_num_threads(race.threads)
    modes: dict[str, Callable[..., dict[str, object]]] = {
        "paired": paired,
        "alone": alone,
        "full_size": full_size,
    }
    return modes[mode](race, *names)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Race(**json.loads(sys.argv[2])), *sys.argv[3:])))
