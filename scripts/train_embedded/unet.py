"""Training of the embedded UNet, on one CUDA device or on the CPU.

One run is one stage; it starts from `unet.pt` of the checkpoint folder if that exists, saves there every few
minutes and at the end, so a stage can be cut off and gone on with. On the CPU each core has a process of its
own with one thread, and gradients are averaged: two threads on one step do a quarter less.

Stages that show fewer frames than a clip has keep the temporal convolutions to one frame, so that what they
learn is carried by temporal attention and holds for whole clips.

The one number that tells whether the model listens is `wrong/right`: the loss with the opposite motion's
prompt over the loss with the right one, at high noise.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed
from diffusers import DDIMScheduler

from scripts.train_embedded import checkpoints, pack, progress
from scripts.train_embedded.checkpoints import Saved
from scripts.train_embedded.designs import DESIGNS, graft
from scripts.train_embedded.losses import listening
from scripts.train_embedded.network import SCHEDULER, boost_fps, boost_text, damp, prepare_for_training
from scripts.train_embedded.optimizers import Optimizer
from scripts.train_embedded.options import course_of, objective_of, parse, seconds_of
from scripts.train_embedded.plans import Plan, plans
from scripts.train_embedded.rendering import Batch, Conditions, Photos
from scripts.train_embedded.steps import Stepper, choose_precision
from scripts.train_embedded.vae import load_pyramids

SAVE_SECONDS = 120
WARM_UP = 20  # steps over which the learning rate rises


@dataclass
class Crew:
    """The processes that train together; each holds the same weights."""

    rank: int
    size: int

    def average(self, gradients: torch.Tensor, figures: Sequence[float]) -> list[float]:
        """Average the gradients in place, and the figures of the processes."""
        if self.size == 1:
            return list(figures)
        mean = torch.tensor(figures)
        for values in (gradients, mean):
            torch.distributed.all_reduce(values)
            values /= self.size
        return [float(value) for value in mean]


def pyramids_of(options: argparse.Namespace, split: str) -> list[list[torch.Tensor]]:
    return pack.load(options.photos, split) if options.photos else load_pyramids(split)


class Trainer:
    """One process of a stage: its weights, their average, and what the next step is made of."""

    def __init__(self, options: argparse.Namespace, crew: Crew) -> None:
        self.options, self.crew = options, crew
        self.device = torch.device(options.device)
        torch.set_float32_matmul_precision("high")  # TensorFloat-32 where there is any
        torch.manual_seed(options.seed)  # the same start everywhere
        self.file: Path = options.checkpoints / "unet.pt"
        self.pyramids = pyramids_of(options, "train")
        self.conditions = Conditions(options.checkpoints)
        self.plans = plans(
            [[(p.shape[1], p.shape[2]) for p in levels] for levels in self.pyramids],
            self.conditions.tokenizer, course_of(options), options.seed, crew.rank, options.workers,
        )  # fmt: skip
        next(self.plans)  # its processes are forked before CUDA is touched
        self.conditions.to(self.device)
        self.photos = Photos(self.pyramids, self.device)
        saved = start(options)
        self.design, self.history = saved.design, saved.history
        self.unet = saved.unet(averaged=False).to(self.device)
        self.confined = prepare_for_training(self.unet)
        self.optimizer = Optimizer(self.unet)
        self.alphas = DDIMScheduler(**SCHEDULER).alphas_cumprod
        self.stepper = Stepper(self.unet, self.optimizer, self.alphas, objective_of(options))
        self.stepper.records &= not options.no_graphs
        self.probe = self._probe() if crew.rank == 0 else None
        torch.manual_seed(options.seed * 1000 + crew.rank)

    def _probe(self) -> progress.Probe:
        held_out = Photos(pyramids_of(self.options, "heldout"), self.device)
        shown = min(8, self.options.shown or 8)
        side = self.options.side[-1]
        return progress.new_probe(
            held_out, self.conditions, self.options.probe, side, shown=shown, first=self.options.first
        )

    def batch(self, plan: Plan) -> Batch:
        """Render a plan, and say whether temporal convolutions see one frame in it."""
        self.confined["on"] = self.options.confine or plan.ramp.shape[1] < plan.clips[0].num_frames
        return self.conditions.batch(plan, self.photos.render(plan))  # in float32: places need it

    def step(self, number: int, share: float, figures: Sequence[float]) -> tuple[int, list[float]]:
        """Take a step at the learning rate of `share`; return its clips, and all processes' mean figures."""
        options, stepper = self.options, self.stepper
        falling = options.lr_end + (1 - options.lr_end) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        stepper.rate.fill_(options.lr * min(1.0, number / WARM_UP) * falling)
        stepper.decay.fill_(min(options.ema, (number + 1) / (number + 10)))
        batch = self.batch(next(self.plans))
        if self.crew.size > 1:
            loss = stepper.backward(batch)
            heard = self.crew.average(self.optimizer.gradients, figures)
            stepper.update(loss)
            return len(batch.clips), heard
        stepper(batch, self.confined["on"])
        return len(batch.clips), list(figures)

    def check_first_gradients(self) -> dict[str, float]:
        """Choose the precision; `FloatingPointError` where not even float32 gives finite gradients."""
        batch = self.batch(next(self.plans))
        if self.device.type == "cuda" and self.options.precision == "auto":
            found = choose_precision(self.stepper, batch)
        else:
            self.stepper.backward(batch)
            found = {"norm": self.optimizer.gradients.norm().item(), "bits": 32}
        if not math.isfinite(found["norm"]):
            raise FloatingPointError("the first step's gradients are not finite")
        return found

    def evaluate(self, when: str) -> None:
        """Print one-step errors of the averaged weights and, if asked, how sampled clips are judged."""
        assert self.probe is not None
        options = self.options
        self._confine_as_the_probe()
        self.unet.eval()
        with self.optimizer.averaged_weights(), self.stepper.precision():
            errors = progress.errors_by_timestep(self.unet, self.probe.batch, self.alphas)
            tell({"evaluation": when, **{f"t={key}": value for key, value in errors.items()}})
            for evaluations in options.evaluations if options.judge else ():
                few = self.probe.part(0, options.judge)
                found = progress.judged(self.unet, self.conditions, few, evaluations)
                tell({"evaluation": when, "evaluations": evaluations, **found.scores})
                if options.pieces and evaluations == options.evaluations[0]:
                    found.write_sheet(options.pieces / f"{when}.jpg")
        self.unet.train()

    def report(self, row: dict[str, float]) -> None:
        """Add what the probe says to `row`, and print it."""
        assert self.probe is not None
        self._confine_as_the_probe()
        self.unet.eval()
        with self.stepper.precision():
            row |= listening(self.unet, self.probe.batch, self.alphas)
        self.unet.train()
        self.history.append(row)
        tell(row)

    def _confine_as_the_probe(self) -> None:
        assert self.probe is not None
        self.confined["on"] = self.options.confine or self.probe.batch.x0.shape[2] < 8

    def save(self) -> None:
        saved = Saved(self.design, self.unet.state_dict(), self.optimizer.averaged(), self.history)
        saved.write(self.file)
        if self.options.pieces:
            saved.write_pieces(self.options.pieces)


def tell(row: Mapping[str, object]) -> None:
    """Print a line of JSON, numbers to four places."""
    short = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
    print(json.dumps(short), flush=True)


def start(options: argparse.Namespace) -> Saved:
    """Return what the stage starts from: pieces, a checkpoint or new weights, in the design that is asked."""
    file = options.checkpoints / "unet.pt"
    if options.from_pieces:
        saved = checkpoints.read_pieces(options.from_pieces)
    elif file.exists():
        saved = checkpoints.read(file)
    else:
        design = DESIGNS[options.design or "shipped"]
        fresh = design.new_unet()
        damp(fresh)
        saved = Saved(design, fresh.state_dict(), {})
    wanted = DESIGNS[options.design] if options.design else saved.design
    unet = saved.unet(averaged=options.from_ema)
    if wanted != saved.design:
        smaller, unet = unet, wanted.new_unet()
        graft(smaller, unet)
    boost_text(unet, options.boost)
    boost_fps(unet, options.boost_fps)
    return Saved(wanted, unet.state_dict(), {}, saved.history)


def train(rank: int, options: argparse.Namespace, port: int) -> None:
    """Be one of the stage's processes."""
    if options.device == "cpu":
        torch.set_num_threads(1)
    crew = Crew(rank, options.processes)
    if crew.size > 1:
        address = f"tcp://127.0.0.1:{port}"
        torch.distributed.init_process_group("gloo", address, rank=rank, world_size=crew.size)
    asked_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked_to_stop.append(number))
    trainer = Trainer(options, crew)
    found = trainer.check_first_gradients()
    if not rank:
        tell({"design": dataclasses.asdict(trainer.design), "device": options.device, **found})
        trainer.evaluate("start")
    run(trainer, asked_to_stop)
    if not rank:
        trainer.save()
        trainer.evaluate("end")


def run(trainer: Trainer, asked_to_stop: Sequence[int]) -> None:
    """Step until the stage's time is over or a signal has come."""
    options, is_first = trainer.options, trainer.crew.rank == 0
    base = trainer.history[-1]["minutes"] if trainer.history else 0.0
    limit, begun = seconds_of(options), time.monotonic()
    saved_at, reported_at = begun, 0
    step, clips, share = 0, 0, 0.0
    while share < 1:
        step += 1
        over = (time.monotonic() - begun) / limit
        taken, heard = trainer.step(step, share, [over, float(bool(asked_to_stop))])
        # one clock and one end for all
        share, stop = heard
        share = 1.0 if stop else share
        clips += taken * trainer.crew.size
        if not is_first:
            continue
        if step % options.every == 0 or share >= 1:
            minutes = (time.monotonic() - begun) / 60
            row = {"minutes": base + minutes, "step": step, "clips": clips}
            trainer.report({**row, **trainer.stepper.read(step - reported_at)})
            reported_at = step
        if time.monotonic() - saved_at > SAVE_SECONDS:
            saved_at = time.monotonic()
            trainer.save()


def main() -> None:
    options = parse(description=__doc__)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if options.processes == 1:
        train(0, options, port)
        return
    crew = torch.multiprocessing.spawn(train, (options, port), nprocs=options.processes, join=False)
    signal.signal(signal.SIGTERM, lambda number, frame: [os.kill(pid, number) for pid in crew.pids()])
    while not crew.join():
        pass


if __name__ == "__main__":
    main()
