"""What a stage of the UNet's training can be told, and what follows from it."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from scripts.train_embedded.designs import DESIGNS
from scripts.train_embedded.motions import EASY, MOTIONS, Mix
from scripts.train_embedded.optimizers import ADAM_SHARE
from scripts.train_embedded.photos import ROOT
from scripts.train_embedded.plans import Course
from scripts.train_embedded.steps import Objective

SIDE_HELP = "pixels of the square view, a step takes one of these; 64 shows a part, in a quarter of the time"


def parse(arguments: Sequence[str] | None = None, description: str | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    _add_run(parser)
    _add_clips(parser)
    _add_objective(parser)
    options = parser.parse_args(arguments)
    odd = [side for side in options.side if side < 64 or side % 16]
    if odd:
        parser.error(f"--side {odd[0]}: the UNet halves views three times; give multiples of 16 from 64 on")
    unknown = set(options.motions) - set(MOTIONS)
    if unknown:
        parser.error(f"unknown motions: {', '.join(sorted(unknown))}; there are {', '.join(MOTIONS)}")
    if min(options.t_shares) < 0 or not sum(options.t_shares):
        parser.error(f"--t-shares {options.t_shares}: three shares, none below 0, not all 0")
    if options.judge and options.shown:
        parser.error("--judge wants whole clips: leave out --shown")
    if options.device is None:
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.processes is None:
        options.processes = 1 if options.device == "cuda" else os.cpu_count() or 1
    if options.device == "cuda" and options.processes > 1:
        parser.error("--processes is for the CPU: one process drives one CUDA device")
    return options


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoints", type=Path, default=ROOT / "checkpoints")
    add("--photos", type=Path, help="a file that `pack` wrote; without it the photographs as fetched")
    add("--pieces", type=Path, help="folder to write the weights to as well, in files under 15 MB")
    add("--from-pieces", type=Path, help="folder to start from instead of the checkpoints' unet.pt")
    add("--device", choices=("cpu", "cuda"), help="cuda where there is one, if not given")
    add("--processes", type=int, help="that train together, on the CPU; one a core, if not given")
    add("--workers", type=int, default=0, help="processes that draw clips ahead")
    add("--design", choices=tuple(DESIGNS), help="of `designs`; what is learned is carried over")
    add("--precision", choices=("auto", "float32"), default="auto", help="auto: bfloat16 on CUDA if it holds")
    add("--no-graphs", action="store_true", help="do not record steps as CUDA graphs")
    add("--minutes", type=float, default=30)
    add("--deadline", type=float, help="end by this Unix time, evaluation included, instead of --minutes")
    add("--reserve", type=float, default=60, help="seconds of --deadline that are kept for the evaluation")
    add(
        "--judge", type=int, default=0, help="held-out clips to sample and judge, at the start and at the end"
    )
    add(
        "--probe",
        type=int,
        default=24,
        help="held-out clips for figures of one step; --judge takes the first",
    )
    add("--evaluations", type=int, nargs="+", default=[11], help="of the UNet for such a clip; each is tried")
    add("--every", type=int, default=50, help="steps between reports")
    add("--seed", type=int, default=0)
    add("--ema", type=float, default=0.998)
    add("--from-ema", action="store_true", help="start from the averaged weights")
    add("--boost", type=float, default=1.0, help="scale cross-attention's output once, at the start")
    add("--boost-fps", type=float, default=1.0, help="the same for the difference that fps makes")


def _add_clips(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--mix", choices=("easy", "full"), default="full", help="easy: the eight motions at full amount")
    add("--motions", type=lambda names: tuple(names.split(",")), default=(), help="of the eight, with easy")
    add("--frames", type=int, nargs="+", default=[8], help="of a clip; a step takes one of these")
    add("--shown", type=int, default=0, help="how many of them are shown, frame 0 included; 0: all")
    add("--first", type=int, default=1, help="first frame that may be shown after frame 0")
    add("--batch", type=int, default=2, help="clips of 8 frames and the first side, or as many pixels")
    add("--side", type=int, nargs="+", default=[128], help=SIDE_HELP)
    add("--aspects", type=float, default=0.0, help="share of batches that are not square")
    add("--pairs", type=float, default=0.0, help="share of steps with pairs of frames instead")
    add("--confine", action="store_true", help="keep temporal convolutions to one frame throughout")
    add("--dropout", type=float, default=0.1, help="share of prompts (and, apart, of pictures) left out")


def _add_objective(parser: argparse.ArgumentParser) -> None:
    add, usual = parser.add_argument, Objective()
    add("--lr", type=float, default=0.004, help=f"of Muon; Adam takes {ADAM_SHARE} of it")
    add("--lr-end", type=float, default=0.1, help="share of the learning rate at the end of the stage")
    add(
        "--t-shares", type=float, nargs=3, default=usual.shares, metavar=("LOW", "MIDDLE", "HIGH"),
        help="of clips with t below 400, from 400 on, and from 900 on",
    )  # fmt: skip
    add(
        "--sigma-power",
        type=float,
        default=usual.sigma_power,
        help="0 counts all noise alike, 1 high noise more",
    )
    add("--first-weight", type=float, default=1.0, help="how many times frame 0, which is given, counts")
    add(
        "--drift", type=float, default=0.0, help="size of errors that are put into the noisy frame 0, at most"
    )
    add("--later-drift", type=float, default=0.0, help="the same for the frames after it")


def course_of(options: argparse.Namespace) -> Course:
    mix = Mix() if options.mix == "full" else EASY
    if options.motions:
        mix = EASY.only(options.motions)
    return Course(
        mix, tuple(options.frames), tuple(options.side), options.batch, options.aspects, options.pairs,
        options.shown, options.first, options.dropout,
    )  # fmt: skip


def objective_of(options: argparse.Namespace) -> Objective:
    low, middle, high = options.t_shares
    return Objective(
        (low, middle, high), options.sigma_power, options.first_weight, options.drift, options.later_drift
    )


def seconds_of(options: argparse.Namespace) -> float:
    """Return how long the training itself may take from now on."""
    if options.deadline is None:
        return 60 * float(options.minutes)
    return max(1.0, options.deadline - options.reserve - time.time())
