"""Training of the embedded UNet, on the CPU.

One run is one stage; it starts from `unet.pt` of the checkpoint folder if that exists, saves there every few
minutes and at the end, so a stage can be cut off and gone on with. Each core has a process of its own with
one thread, and gradients are averaged: two threads on one step do a quarter less.

Stages that show fewer frames than a clip has keep the temporal convolutions to one frame, so that what they
learn is carried by temporal attention and holds for whole clips.

The one number that tells whether the model listens is `wrong/right`: the loss with the opposite motion's
prompt over the loss with the right one, at high noise.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import random
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed
from diffusers import DDIMScheduler, I2VGenXLUNet
from torch import nn

from scripts.train_embedded.clips import Batch, Conditions, Recipe, make_batch, oblongs
from scripts.train_embedded.losses import drawn_drift, listening, loss_of
from scripts.train_embedded.motions import EASY, MOTIONS, Mix, plain_prompt
from scripts.train_embedded.network import (
    SCHEDULER,
    boost_fps,
    boost_text,
    damp,
    new_unet,
    prepare_for_training,
)
from scripts.train_embedded.optimizers import ADAM_SHARE, optimizers
from scripts.train_embedded.photos import ROOT
from scripts.train_embedded.vae import load_pyramids

SAVE_SECONDS = 120
PAIRS = {"shown": 2, "first": 3}  # what `--pairs` shows of a clip
PAIRS_T_MIN = 750
SIDE_HELP = "pixels of the square view, a step takes one of these; 64 shows a part, in a quarter of the time"


@dataclass
class Crew:
    """The processes that train together; each holds the same weights."""

    rank: int
    size: int

    def average(self, gradients: list[torch.Tensor], told: list[float]) -> list[float]:
        """Average the gradients in place, and what the processes tell."""
        if self.size == 1:
            return told
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor(told)])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return [float(value) for value in flat[start:]]


class Trainer:
    """One process of a stage: its weights, their average, and what the next step is made of."""

    def __init__(self, options: argparse.Namespace, crew: Crew) -> None:
        self.options, self.crew = options, crew
        self.rng = random.Random(options.seed * 1000 + crew.rank)
        self.shapes = random.Random(options.seed)  # alike in all processes: none waits for a larger batch
        torch.manual_seed(options.seed)  # the same start everywhere
        self.conditions = Conditions(options.checkpoints)
        self.file: Path = options.checkpoints / "unet.pt"
        self.unet, self.history = self._start()
        torch.manual_seed(options.seed * 1000 + crew.rank)
        self.confined = prepare_for_training(self.unet)
        self.average = copy.deepcopy(self.unet.state_dict())
        self.alphas = DDIMScheduler(**SCHEDULER).alphas_cumprod
        self.pyramids = load_pyramids("train")
        self.muon, self.adam = optimizers(self.unet, options.lr)
        self.mix = Mix() if options.mix == "full" else EASY
        if options.motions:
            self.mix = EASY.only(options.motions)
        self.probe = self._probe() if crew.rank == 0 else None

    def _start(self) -> tuple[I2VGenXLUNet, list[dict[str, float]]]:
        unet, history = new_unet(), []
        if self.file.exists():
            saved = torch.load(self.file, weights_only=True)
            unet.load_state_dict(saved["ema" if self.options.from_ema else "model"])
            history = saved["history"]
        else:
            damp(unet)
        boost_text(unet, self.options.boost)
        boost_fps(unet, self.options.boost_fps)
        return unet, history

    def _probe(self) -> Batch:
        """Return clips of held-out photographs that the whole stage is watched with."""
        side = self.options.side[0]
        recipe = Recipe(EASY, 8, min(8, self.options.shown or 8), self.options.first, (side, side))
        return make_batch(load_pyramids("heldout"), self.conditions, 24, recipe, random.Random(7))

    def gradients(self) -> tuple[float, list[torch.Tensor]]:
        """Return the loss on a new batch, and its gradients."""
        options, rng = self.options, self.rng
        is_pairs = self.shapes.random() < options.pairs
        num_frames = self.shapes.choice(options.frames)
        shown = PAIRS["shown"] if is_pairs else options.shown or num_frames
        is_oblong = self.shapes.random() < options.aspects
        side = self.shapes.choice(options.side)
        view = self.shapes.choice(oblongs(side)) if is_oblong else (side, side)
        first = PAIRS["first"] if is_pairs else options.first
        size = max(1, round(options.batch * 8 / shown * (options.side[0] / side) ** 2))
        batch = make_batch(
            self.pyramids, self.conditions, size, Recipe(self.mix, num_frames, shown, first, view), rng
        )
        self.confined["on"] = options.confine or shown < num_frames
        loss = self._loss(batch, PAIRS_T_MIN if is_pairs else options.t_min)
        loss.backward()
        return loss.item(), [p.grad for p in self.unet.parameters() if p.grad is not None]

    def _loss(self, batch: Batch, t_min: int) -> torch.Tensor:
        options, size = self.options, len(batch.clips)
        t = (t_min + (999 - t_min) * (1 - torch.rand(size) ** options.t_power)).long()
        prompts = [
            plain_prompt(self.rng) if self.rng.random() < options.dropout else clip.prompt
            for clip in batch.clips
        ]
        shown = (torch.rand(size) >= options.dropout).view(-1, 1, 1)
        embeddings = self.conditions.image(batch.pictures) * shown
        noise = torch.randn_like(batch.x0)
        return loss_of(
            self.unet, batch, self.conditions.text(prompts), embeddings, t, noise, self.alphas,
            options.first_weight, drawn_drift(batch.x0, options.drift, options.later_drift),
        ).mean()  # fmt: skip

    def update(self, step: int, share: float) -> None:
        """Follow the gradients, at the learning rate of `share`; move the average along."""
        options = self.options
        nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        falling = options.lr_end + (1 - options.lr_end) * 0.5 * (1 + math.cos(math.pi * share))
        rate = options.lr * min(1.0, step / 20) * falling
        for optimizer, factor in ((self.muon, 1.0), (self.adam, ADAM_SHARE)):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay = min(options.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in self.unet.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def report(self, row: dict[str, float]) -> None:
        """Add what the probe says to `row`, and print it."""
        assert self.probe is not None
        self.confined["on"] = self.options.confine or self.probe.x0.shape[2] < 8
        row |= listening(self.unet, self.conditions, self.probe, self.alphas)
        self.history.append(row)
        print(json.dumps({key: round(value, 4) for key, value in row.items()}), flush=True)

    def save(self) -> None:
        partial = self.file.with_suffix(".partial")
        torch.save({"model": self.unet.state_dict(), "ema": self.average, "history": self.history}, partial)
        partial.replace(self.file)


def train(rank: int, options: argparse.Namespace, port: int) -> None:
    """Be one of the stage's processes."""
    torch.set_num_threads(1)
    crew = Crew(rank, options.processes)
    if crew.size > 1:
        address = f"tcp://127.0.0.1:{port}"
        torch.distributed.init_process_group("gloo", address, rank=rank, world_size=crew.size)
    asked_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked_to_stop.append(number))
    trainer = Trainer(options, crew)
    base = trainer.history[-1]["minutes"] if trainer.history else 0.0
    start = saved_at = time.monotonic()
    step, share, running = 0, 0.0, 0.0
    while share < 1:
        loss, gradients = trainer.gradients()
        step += 1
        over = 1.0 if asked_to_stop else (time.monotonic() - start) / (60 * options.minutes)
        # one clock and one end for all: who is asked to stop weighs more than the others' time
        loss, share, stop = crew.average(gradients, [loss, over, float(bool(asked_to_stop))])
        trainer.update(step, min(1.0, share))
        share = 1.0 if stop else share
        running = loss if step == 1 else 0.97 * running + 0.03 * loss
        if rank:
            continue
        minutes = (time.monotonic() - start) / 60
        if step % options.every == 0 or share >= 1:
            trainer.report({"minutes": base + minutes, "step": step, "loss": running})
        if time.monotonic() - saved_at > SAVE_SECONDS or share >= 1:
            saved_at = time.monotonic()
            trainer.save()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--checkpoints", type=Path, default=ROOT / "checkpoints")
    add("--processes", type=int, default=os.cpu_count() or 1)
    add("--mix", choices=("easy", "full"), default="full", help="easy: the eight motions at full amount")
    add("--motions", type=lambda names: tuple(names.split(",")), default=(), help="of the eight, with easy")
    add("--frames", type=int, nargs="+", default=[8], help="of a clip; a step takes one of these")
    add("--shown", type=int, default=0, help="how many of them are shown, frame 0 included; 0: all")
    add("--first", type=int, default=1, help="first frame that may be shown after frame 0")
    add(
        "--batch",
        type=int,
        default=2,
        help="clips of 8 frames and the first side, or as many pixels, a process",
    )
    add("--side", type=int, nargs="+", default=[128], help=SIDE_HELP)
    add("--aspects", type=float, default=0.0, help="share of batches that are not square")
    add("--pairs", type=float, default=0.0, help="share of steps with pairs of frames at high noise instead")
    add("--confine", action="store_true", help="keep temporal convolutions to one frame throughout")
    add("--minutes", type=float, default=30)
    add("--lr", type=float, default=0.01, help=f"of Muon; AdamW takes {ADAM_SHARE} of it")
    add("--lr-end", type=float, default=0.1, help="share of the learning rate at the end of the stage")
    add("--t-min", type=int, default=0)
    add("--t-power", type=float, default=2.0, help="above 1 draws high noise more often")
    add("--dropout", type=float, default=0.1, help="share of prompts (and, apart, of pictures) left out")
    add("--first-weight", type=float, default=1.0, help="how many times frame 0, which is given, counts")
    add(
        "--drift",
        type=float,
        default=0.0,
        help="size, at most, of errors that are put into the noisy frame 0",
    )
    add("--later-drift", type=float, default=0.0, help="the same for the frames after it")
    add("--boost", type=float, default=1.0, help="scale cross-attention's output once, at the start")
    add("--boost-fps", type=float, default=1.0, help="the same for the difference that fps makes")
    add("--ema", type=float, default=0.998)
    add("--from-ema", action="store_true", help="start from the averaged weights")
    add("--every", type=int, default=50, help="steps between probes")
    add("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    odd = [side for side in options.side if side < 64 or side % 16]
    if odd:
        parser.error(f"--side {odd[0]}: the UNet halves views three times; give multiples of 16 from 64 on")
    unknown = set(options.motions) - set(MOTIONS)
    if unknown:
        parser.error(f"unknown motions: {', '.join(sorted(unknown))}; there are {', '.join(MOTIONS)}")
    return options


def main() -> None:
    options = parse()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    crew = torch.multiprocessing.spawn(train, (options, port), nprocs=options.processes, join=False)
    signal.signal(signal.SIGTERM, lambda number, frame: [os.kill(pid, number) for pid in crew.pids()])
    while not crew.join():
        pass


if __name__ == "__main__":
    main()
