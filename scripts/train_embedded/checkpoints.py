"""The UNet's checkpoint: `unet.pt` in the checkpoint folder, or pieces (see `pieces`) for carrying."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import I2VGenXLUNet

from scripts.train_embedded import pieces
from scripts.train_embedded.designs import DESIGNS, Design

Weights = dict[str, torch.Tensor]
NAME = "unet"  # of pieces


@dataclass
class Saved:
    """A UNet in training: its weights, their average, and what its stages reported."""

    design: Design
    model: Weights
    ema: Weights
    history: list[dict[str, float]] = field(default_factory=list)

    def write(self, file: Path) -> None:
        partial = file.with_suffix(".partial")
        torch.save(
            {"model": self.model, "ema": self.ema, "history": self.history, "design": self._design()}, partial
        )
        partial.replace(file)

    def write_pieces(self, folder: Path) -> None:
        weights = {f"ema.{k}": v for k, v in self.ema.items()} | {
            f"model.{k}": v for k, v in self.model.items()
        }
        pieces.write(folder, NAME, weights, {"design": self._design(), "history": self.history})

    def _design(self) -> dict[str, object]:
        return dataclasses.asdict(self.design)

    def unet(self, averaged: bool) -> I2VGenXLUNet:
        unet = self.design.new_unet()
        unet.load_state_dict(self.ema if averaged else self.model)
        return unet


def read(file: Path) -> Saved:
    """Read a `unet.pt`; one that names no design has the shipped one."""
    saved = torch.load(file, weights_only=True)
    design = Design(**saved["design"]) if "design" in saved else DESIGNS["shipped"]
    return Saved(design, saved["model"], saved["ema"], saved["history"])


def read_pieces(folder: Path) -> Saved:
    weights, notes = pieces.read(folder, NAME)
    parts: dict[str, Weights] = {"model": {}, "ema": {}}
    for name, tensor in weights.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    described = notes["design"]
    design = Design(
        tuple(described["block_out_channels"]), tuple(described["attention"]), described["layers_per_block"]
    )
    return Saved(design, parts["model"], parts["ema"], notes["history"])
