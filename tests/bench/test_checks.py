"""i2v.bench: what the checks make of given figures. Where figures come from, `test_trials` is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from i2v.bench.against_stock import check_stock
from i2v.bench.apart import Failure, MeasureFailed
from i2v.bench.checks import Measure
from i2v.bench.faults import check_cancel, check_memory, check_numbers
from i2v.bench.presets import check_presets
from i2v.bench.report import Figures, Row
from i2v.bench.trials import Trial
from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import GenerationRequest, PresetName, Speed
from i2v.core.settings_sources import load_presets, load_settings
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.memory.plan import Planned, plan_memory
from i2v.pipeline.resolve import resolve

GIB = 2**30
Answer = Callable[[Trial], Figures]


@dataclass
class GivenLab:
    """A lab on a card with `vram` GB; measurements are answered by `answers`, by their functions' names."""

    scratch: Path
    answers: dict[str, Answer]
    vram: float = 24
    spec: EngineSpec = I2VGEN_XL
    is_quick: bool = False
    asked: list[tuple[str, Trial]] = field(default_factory=list)

    @property
    def device(self) -> DeviceInfo:
        free = int(self.vram * GIB)
        return DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", free, free, 64 * GIB)

    def measure(self, measure: Measure, trial: Trial, name: str) -> Figures:
        self.asked.append((name, trial))
        return self.answers[measure.__name__](trial)

    def trial(self, generation: Generation, planned: Planned) -> Trial:
        settings = load_settings()
        return Trial(self.spec, self.scratch, generation, planned.plan, self.device, settings, self.scratch)

    def preset(self, name: PresetName, speed: Speed) -> tuple[Generation, Planned]:
        return self._clip(preset=name, speed=speed)

    def small_clip(self) -> tuple[Generation, Planned]:
        return self._clip(preset="quick", num_inference_steps=4)

    def large_clip(self) -> tuple[Generation, Planned]:
        return self.small_clip()

    def work(self, generation: Generation) -> float:
        return 1.0

    def guessed_seconds(self, planned: Planned) -> float | None:
        return planned.guessed_seconds(self.device)

    def _clip(self, **asked: object) -> tuple[Generation, Planned]:
        request = GenerationRequest.parse({"prompt": "any", "seed": 0, "engine": self.spec.name, **asked})
        generation, _ = resolve(request, self.spec, load_presets(), (512, 512))
        return generation, plan_memory(self.spec, generation, self.device, load_settings().engine)


def statuses(rows: Iterable[Row]) -> dict[str, str]:
    return {row.name: row.status for row in rows}


# --- stock


def timed(level: Callable[[Trial], float]) -> Answer:
    """Return an answer whose frames are noise around `level` of the trial."""

    def answer(trial: Trial) -> Figures:
        noise = np.random.default_rng(0).normal(level(trial), 0.0, (4, 8, 8, 3))
        np.save(trial.scratch / "frames.npy", noise.round().astype(np.uint8))
        return {"seconds": {"clip": 1.0}, "bytes": {"peak": 1, "reserved": 2}}

    return answer


def is_stock(trial: Trial) -> bool:
    return trial.spec.implementation.endswith("StockEngine")


@pytest.mark.parametrize(
    ("stock", "rounding", "status"),
    [(100, 100, "ok"), (101, 100, "ok"), (102, 100, "failed"), (106, 102, "ok"), (107, 102, "failed")],
)
def test_half_precision_is_held_to_what_rounding_alone_does(
    tmp_path: Path, stock: int, rounding: int, status: str
) -> None:
    def level(trial: Trial) -> float:
        if is_stock(trial):
            return stock
        return rounding if trial.plan.cfg_passes == 2 else 100

    lab = GivenLab(tmp_path, {"time_clip": timed(level)})
    rows = list(check_stock(lab))
    assert statuses(rows) == {"ours": "ok", "stock": "ok", "frames": status}
    assert rows[-1].figures["rounding_alone"] == {
        "max_difference": rounding - 100,
        "mean_difference": rounding - 100,
    }


def test_both_sides_get_the_same_picture_the_same_way_and_stock_its_own_defaults(tmp_path: Path) -> None:
    lab = GivenLab(tmp_path, {"time_clip": timed(lambda trial: 100)})
    list(check_stock(lab))
    (_, ours), (_, stock), _ = lab.asked
    assert (ours.spec.facts.image_gain, ours.spec.facts.sample_posterior) == (1.0, True)
    assert is_stock(stock)
    assert not stock.is_ours
    assert stock.plan == MemoryPlan("cuda", "float16")
    assert ours.generation == stock.generation


def test_stock_without_room_is_tried_offloaded_and_that_is_no_failure(tmp_path: Path) -> None:
    def short(trial: Trial) -> Figures:
        if is_stock(trial) and trial.plan.offload == "none":
            raise MeasureFailed(Failure("OutOfMemoryError", "CUDA out of memory."))
        return timed(lambda trial: 100)(trial)

    rows = list(check_stock(GivenLab(tmp_path, {"time_clip": short})))
    assert statuses(rows) == {"ours": "ok", "stock": "skipped", "stock, offloaded": "ok", "frames": "ok"}
    assert rows[1].message == "OutOfMemoryError: CUDA out of memory."


def test_a_side_that_fails_is_a_row_and_the_other_is_measured(tmp_path: Path) -> None:
    def broken(trial: Trial) -> Figures:
        if not is_stock(trial):
            raise MeasureFailed(Failure("RuntimeError", "no kernel image", where=("a.py:1 f",)))
        return timed(lambda trial: 100)(trial)

    rows = list(check_stock(GivenLab(tmp_path, {"time_clip": broken})))
    assert statuses(rows) == {"ours": "failed", "stock": "ok"}
    assert rows[0].error == {"kind": "RuntimeError", "code": None, "where": ["a.py:1 f"]}


# --- presets


def video(trial: Trial) -> Figures:
    steps = trial.generation.num_inference_steps
    return {
        "seconds": {"denoise": 2.0 * steps, "clip": 2.0 * steps + 3, "step": 2.0},
        "bytes": {"peak": 1, "reserved": 1, "card_in_use": 1},
        "stages": [],
    }


def test_a_preset_that_does_not_fit_is_skipped_and_says_why(tmp_path: Path) -> None:
    rows = list(check_presets(GivenLab(tmp_path, {"make_video": video}, vram=7)))
    assert statuses(rows) == {"quick": "ok", "standard": "ok", "high": "ok", "extreme": "skipped"}
    assert "GB" in str(rows[-1].message)
    assert [row.figures["published"]["seconds"] for row in rows] == [23, 51, 108, 167]  # type: ignore[index]
    assert rows[0].figures["estimate"]["bytes"] > GIB  # type: ignore[index]


def test_a_quick_bench_runs_few_steps_and_extends_their_time(tmp_path: Path) -> None:
    lab = GivenLab(tmp_path, {"make_video": video}, is_quick=True)
    quick, standard, *_ = check_presets(lab)
    assert {trial.generation.num_inference_steps for _, trial in lab.asked} == {4}
    assert (quick.figures["num_inference_steps"], quick.figures["steps_run"]) == (30, 4)
    assert quick.figures["seconds"] == {"denoise": 60.0, "clip": 63.0, "step": 2.0}
    assert standard.figures["seconds"]["clip"] == 103.0  # type: ignore[index]


# --- faults


@pytest.mark.parametrize(
    ("figures", "status", "words"),
    [
        ({"decoded_again": 0, "black_frames": 0, "frames": 8}, "ok", "None"),
        ({"decoded_again": 3, "black_frames": 0, "frames": 8}, "ok", "3 frames decoded to NaN in"),
        ({"decoded_again": 0, "black_frames": 8, "frames": 8}, "failed", "8 frames are black in"),
    ],
)
def test_black_frames_fail_and_frames_decoded_again_are_reported(
    tmp_path: Path, figures: Figures, status: str, words: str
) -> None:
    rows = list(check_numbers(GivenLab(tmp_path, {"find_faults": lambda trial: dict(figures)})))
    assert statuses(rows) == {"float16": status, "bfloat16": status}
    assert words in str(rows[0].message)


STOPPED: Figures = {
    "floor_bytes": GIB,
    "denoise": {"seconds": 0.7, "seconds_each": 1.0, "bytes_after": GIB},
    "decode": {"seconds": 0.1, "seconds_each": 0.2, "bytes_after": GIB},
    "frames_after": {"max_difference": 0, "mean_difference": 0.0},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "None"),
        ({"denoise": {"seconds": 3.1, "seconds_each": 1.0, "bytes_after": GIB}}, "kept running for 3.1 s"),
        ({"decode": {"seconds": 0.1, "seconds_each": 0.2, "bytes_after": GIB + 2**27}}, "128 MB"),
        ({"frames_after": {"max_difference": 90, "mean_difference": 20.0}}, "different frames"),
    ],
)
def test_a_cancelled_clip_that_goes_on_or_leaves_something_fails(
    tmp_path: Path, changes: Figures, words: str
) -> None:
    (row,) = check_cancel(GivenLab(tmp_path, {"stop_clips": lambda trial: STOPPED | changes}))
    assert row.status == ("failed" if changes else "ok")
    assert words in str(row.message)


@pytest.mark.parametrize(
    ("steps_down_at", "apart", "status", "words"),
    [
        (700, 0.1, "ok", "None"),
        (550, 0.1, "ok", "None"),
        (0, 0.1, "failed", "Memory never ran out"),
        (700, 40.0, "failed", "Frames differ by up to 40 of 255"),
    ],
)
def test_memory_is_taken_away_until_a_clip_steps_down(
    tmp_path: Path, steps_down_at: int, apart: float, status: str, words: str
) -> None:
    def short(trial: Trial) -> Figures:
        assert trial.room is not None
        rungs = [{"stage": "denoise"}] if trial.room <= steps_down_at else []
        return {
            "stepped_down": rungs,
            "frames_apart": {"max_difference": int(apart), "mean_difference": apart},
        }

    answers: dict[str, Answer] = {
        "run_freely": lambda trial: {"needed_bytes": 1000},
        "run_short": short,
    }
    lab = GivenLab(tmp_path, answers)
    (row,) = check_memory(lab)
    assert (row.status, words in str(row.message)) == (status, True)
    assert row.figures["room_bytes"] == max(400, steps_down_at)


def test_a_clip_that_ends_for_lack_of_memory_fails(tmp_path: Path) -> None:
    def give_up(trial: Trial) -> Figures:
        raise MeasureFailed(Failure("InsufficientMemory", "The device ran out.", "engine.out_of_memory"))

    answers: dict[str, Answer] = {"run_freely": lambda trial: {"needed_bytes": 1000}, "run_short": give_up}
    (row,) = check_memory(GivenLab(tmp_path, answers))
    assert (row.status, row.message) == ("failed", "The device ran out.")


def test_an_engine_of_another_kind_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    other = replace(I2VGEN_XL, implementation="tests.rehearsal:RehearsalEngine")
    lab = GivenLab(tmp_path, {}, spec=other)
    message = Notice("bench.no_stock", {"title": "I2VGen-XL"}).message
    assert [(row.status, row.message) for row in check_stock(lab)] == [("skipped", message)]
    assert statuses(check_numbers(lab)) == {"half precision": "skipped"}
