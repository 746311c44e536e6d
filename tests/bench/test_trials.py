"""i2v.bench.trials: figures of engines that do as they are told, and of the tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2v.bench.trials import Trial, make_video, stop_clips, time_clip
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.media.video import probe
from tests.rehearsal import REHEARSAL, Script, stage


def rehearsed(folder: Path, generation: Generation, prompt: str, steps: int = 3) -> Trial:
    settings = stage(folder)
    asked = Generation(**{**vars(generation), "prompt": prompt, "num_inference_steps": steps})
    return Trial(
        spec=REHEARSAL,
        folder=settings.models.directory / REHEARSAL.name,
        generation=asked,
        plan=MemoryPlan("cpu", "float32"),
        device=DeviceInfo("cpu", "CPU", 2**33, 2**32, 2**32),
        settings=settings,
        scratch=folder,
    )


def test_a_clip_is_timed_after_a_short_one_and_its_frames_are_kept(
    tmp_path: Path, generation: Generation
) -> None:
    reported: list[float] = []
    trial = rehearsed(tmp_path, generation, "step: sleep 0.05; frame: sleep 0.01", steps=4)
    figures = time_clip(trial, reported.append)
    seconds = figures["seconds"]
    assert isinstance(seconds, dict)
    assert 0.2 <= seconds["denoise"] <= seconds["clip"]
    assert 0.04 <= seconds["decode"] <= seconds["clip"]
    assert seconds["first_short_clip"] >= 0.1  # two steps
    assert reported == pytest.approx([k / 6 for k in range(1, 7)])
    assert figures["bytes"]["loaded"] > 2**20  # type: ignore[index]
    assert figures["kernels"] == "none"
    assert np.load(tmp_path / "frames.npy").shape == (4, 64, 96, 3)


def test_a_video_is_made_and_what_its_ladder_did_is_reported(tmp_path: Path, generation: Generation) -> None:
    trial = rehearsed(tmp_path, generation, "step: sleep 0.02", steps=4)
    figures = make_video(trial, lambda share: None)
    assert probe(tmp_path / "clip.mp4").num_frames == 4
    seconds = figures["seconds"]
    assert isinstance(seconds, dict)
    assert seconds["clip"] >= 0.08
    assert 0.02 <= seconds["step"] <= seconds["clip"]
    assert [stage["name"] for stage in figures["stages"]] == ["condition", "denoise", "decode"]  # type: ignore[attr-defined]
    assert (figures["stepped_down"], figures["kernels"]) == ([], "none")


def test_a_cancelled_clip_ends_with_the_step_in_which_it_was_asked_to(
    tmp_path: Path, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips: list[list[tuple[str, int]]] = []
    reach = Script.reach

    def noted(script: Script, place: str, number: int) -> None:
        if place == "condition":
            clips.append([])
        if clips:  # and not while the engine is loaded
            clips[-1].append((place, number))
        reach(script, place, number)

    monkeypatch.setattr(Script, "reach", noted)
    asked = replace(generation, num_frames=12)
    trial = rehearsed(tmp_path, asked, "step: sleep 0.03; frame: sleep 0.02", steps=12)
    figures = stop_clips(trial, lambda share: None)
    _, in_denoising, in_decoding, _ = (clip[-1] for clip in clips)
    for name, each, (place, number) in (("denoise", 0.03, in_denoising), ("decode", 0.02, in_decoding)):
        stopped = figures[name]
        assert isinstance(stopped, dict)
        assert stopped["seconds_each"] >= each
        assert stopped["seconds"] > 0
        assert (place, 1 < number < 12) == ({"denoise": "step", "decode": "frame"}[name], True)
    assert figures["frames_after"] == {"max_difference": 0, "mean_difference": 0.0}
