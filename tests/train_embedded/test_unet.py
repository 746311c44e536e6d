"""Training steps: they go downhill, are saved, can be gone on with, and processes agree on them."""

from __future__ import annotations

import argparse
import json
import random
import socket
from pathlib import Path

import pytest
import torch

from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded import unet
from scripts.train_embedded.clips import Recipe, make_batch
from scripts.train_embedded.export import restore
from scripts.train_embedded.motions import EASY
from scripts.train_embedded.unet import Crew, Trainer, parse, train


def options(checkpoints: Path, *flags: str) -> argparse.Namespace:
    usual = "--processes 1 --shown 2 --batch 1 --side 64 --confine --minutes 0.02 --ema 0.9 --every 1000"
    drift = "--drift 0.1 --later-drift 0.1"
    return parse(["--checkpoints", str(checkpoints), *usual.split(), *drift.split(), *flags])


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    generator = torch.Generator().manual_seed(0)
    photos = [[torch.randint(0, 256, (3, 100, 120), dtype=torch.uint8, generator=generator)]]
    monkeypatch.setattr(unet, "load_pyramids", lambda split: photos)
    restore(FOLDER, tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_stage_is_saved_with_what_it_came_to_and_the_next_one_goes_on(
    checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = torch.load(checkpoints / "unet.pt", weights_only=True)["model"]
    train(0, options(checkpoints), port=0)
    saved = torch.load(checkpoints / "unet.pt", weights_only=True)
    assert any(not torch.equal(before[name], saved["model"][name]) for name in before)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told.keys() == {"minutes", "step", "loss", "right", "pan_x", "pan_y", "zoom", "turn", "still"}
    train(0, options(checkpoints), port=0)
    later = torch.load(checkpoints / "unet.pt", weights_only=True)["history"]
    assert len(later) == len(saved["history"]) + 1
    assert later[-1]["minutes"] > saved["history"][-1]["minutes"]


def test_steps_on_one_batch_go_downhill(checkpoints: Path) -> None:
    trainer = Trainer(options(checkpoints, "--dropout", "0"), Crew(0, 1))
    recipe = Recipe(EASY, 8, 2, 3, (64, 64))
    batch = make_batch(trainer.pyramids, trainer.conditions, 4, recipe, random.Random(0))
    losses = []
    for step in range(1, 5):
        torch.manual_seed(0)  # the same noise at the same levels
        loss = trainer._loss(batch, 0)
        loss.backward()
        losses.append(loss.item())
        trainer.update(20 + step, share=0.0)
    assert losses[-1] < 0.98 * losses[0]


def tell(rank: int, folder: str, port: int) -> None:
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", address, rank=rank, world_size=2)
    gradients = [torch.full((2, 3), float(rank)), torch.full((4,), 10.0 * rank)]
    told = Crew(rank, 2).average(gradients, [float(rank), 5.0])
    torch.save((gradients, told), f"{folder}/{rank}.pt")


@pytest.mark.slow
def test_processes_take_the_step_of_their_averaged_gradients(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(tell, (str(tmp_path), port), nprocs=2)
    for rank in range(2):
        gradients, told = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert told == [0.5, 5.0]
        assert torch.equal(gradients[0], torch.full((2, 3), 0.5))
        assert torch.equal(gradients[1], torch.full((4,), 5.0))


@pytest.mark.parametrize("side", ["100", "32"])
def test_a_side_that_the_unet_cannot_halve_is_named(side: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--side", "128", side])
    assert f"--side {side}: " in capsys.readouterr().err
