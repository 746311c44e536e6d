"""Training: it goes downhill, is saved, can be gone on with, and processes agree on it."""

from __future__ import annotations

import argparse
import json
import socket
import time
from pathlib import Path

import pytest
import torch

from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded import checkpoints as unet_checkpoints
from scripts.train_embedded import unet
from scripts.train_embedded.designs import DESIGNS, Design
from scripts.train_embedded.export import restore
from scripts.train_embedded.options import parse, seconds_of
from scripts.train_embedded.steps import choose_precision
from scripts.train_embedded.unet import Crew, Trainer, start, train

DEEPER = Design((32, 64, 128, 128), (False, True, True, True), layers_per_block=2)


def options(checkpoints: Path, *flags: str) -> argparse.Namespace:
    usual = "--device cpu --processes 1 --shown 2 --batch 1 --side 64 --minutes 0.02 --ema 0.9 --every 1000"
    more = "--drift 0.1 --later-drift 0.1 --probe 2"
    return parse(["--checkpoints", str(checkpoints), *usual.split(), *more.split(), *flags])


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    generator = torch.Generator().manual_seed(0)
    photos = [[torch.randint(0, 256, (3, 100, 120), dtype=torch.uint8, generator=generator)]]
    monkeypatch.setattr(unet, "load_pyramids", lambda split: photos)
    restore(FOLDER, tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_stage_is_saved_with_what_it_came_to_and_the_next_one_goes_on(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = unet_checkpoints.read(checkpoints / "unet.pt").model
    carried = tmp_path / "carried"
    judged = ("--shown", "0", "--judge", "1", "--evaluations", "1")
    train(0, options(checkpoints, "--pieces", str(carried), *judged), port=0)
    saved = unet_checkpoints.read(checkpoints / "unet.pt")
    assert any(not torch.equal(before[name], saved.model[name]) for name in before)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("evaluation") for line in lines] == [None, "start", "start", None, "end", "end"]
    reported = {"minutes", "step", "clips", "loss", "skipped", "right", "still"}
    assert reported < lines[3].keys()
    assert (carried / "end.jpg").exists()
    (checkpoints / "unet.pt").unlink()
    train(0, options(checkpoints, "--from-pieces", str(carried)), port=0)
    later = unet_checkpoints.read(checkpoints / "unet.pt").history
    assert len(later) == len(saved.history) + 1
    assert later[-1]["minutes"] > saved.history[-1]["minutes"]


@pytest.mark.slow
def test_steps_on_one_batch_go_downhill(checkpoints: Path) -> None:
    trainer = Trainer(options(checkpoints, "--dropout", "0"), Crew(0, 1))
    assert trainer.check_first_gradients()["norm"] > 0
    batch = trainer.batch(next(trainer.plans))
    assert trainer.confined["on"], "pairs of a longer clip"
    trainer.stepper.rate.fill_(0.01)
    losses = []
    for _ in range(4):
        torch.manual_seed(0)  # the same noise at the same levels
        trainer.stepper(batch)
        losses.append(trainer.stepper.read(1)["loss"])
    assert losses[-1] < 0.98 * losses[0]


@pytest.mark.slow
def test_low_precision_is_taken_only_where_its_gradients_are_right(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(options(checkpoints), Crew(0, 1))
    batch = trainer.batch(next(trainer.plans))
    found = choose_precision(trainer.stepper, batch)
    assert found["cosine"] > 0.98
    assert (found["bits"], trainer.stepper.dtype) == (16, torch.bfloat16)
    collect = trainer.optimizer.collect

    def broken() -> None:
        collect()
        if trainer.stepper.dtype == torch.bfloat16:
            trainer.optimizer.gradients[5] = float("nan")

    monkeypatch.setattr(trainer.optimizer, "collect", broken)
    found = choose_precision(trainer.stepper, batch)
    assert (found["bits"], trainer.stepper.dtype) == (32, torch.float32)


@pytest.mark.slow
def test_a_larger_design_starts_from_what_the_smaller_one_learned(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DESIGNS, "deeper", DEEPER)
    flags = options(checkpoints)
    flags.design = "deeper"
    found = start(flags)
    assert found.design == DEEPER
    before = unet_checkpoints.read(checkpoints / "unet.pt").model
    assert torch.equal(found.model["conv_in.weight"], before["conv_in.weight"])
    assert len(found.model) > len(before)


def test_a_deadline_leaves_time_for_the_evaluation(tmp_path: Path) -> None:
    flags = options(tmp_path, "--deadline", str(time.time() + 100), "--reserve", "30")
    assert seconds_of(flags) == pytest.approx(70, abs=2)
    flags.deadline = time.time() - 5
    assert seconds_of(flags) == 1, "too late: one step, and what there is is saved"


def tell(rank: int, folder: str, port: int) -> None:
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", address, rank=rank, world_size=2)
    gradients = torch.tensor([rank, 10.0 * rank])
    mean = Crew(rank, 2).average(gradients, [float(rank), 5.0])
    torch.save((gradients, mean), f"{folder}/{rank}.pt")


@pytest.mark.slow
def test_processes_take_the_step_of_their_averaged_gradients(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(tell, (str(tmp_path), port), nprocs=2)
    for rank in range(2):
        gradients, reported = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert reported == [0.5, 5.0]
        assert gradients.tolist() == [0.5, 5.0]


def test_only_whole_clips_are_judged(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--judge", "4", "--shown", "2"])
    assert "--judge wants whole clips" in capsys.readouterr().err


@pytest.mark.parametrize("side", ["100", "32"])
def test_a_side_that_the_unet_cannot_halve_is_named(side: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--side", "128", side])
    assert f"--side {side}: " in capsys.readouterr().err
