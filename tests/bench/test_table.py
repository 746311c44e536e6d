"""i2v.bench.table: every kind of row becomes one line."""

from __future__ import annotations

from i2v.bench.report import Figures, Report, Row
from i2v.bench.table import heading, line

CLIP: Figures = {"width": 512, "height": 512, "num_frames": 16, "num_inference_steps": 50}
HELD: Figures = {"peak": 5 * 2**30, "reserved": 6 * 2**30}


def test_a_heading_names_engine_card_driver_and_versions() -> None:
    about: dict[str, object] = {
        "device": {"name": "NVIDIA L4", "driver": "580.1"},
        "engine": {"name": "i2vgen-xl"},
        "versions": {"i2v": "1.0", "torch": "2.13", "diffusers": "0.42"},
    }
    message = "i2vgen-xl on NVIDIA L4, driver 580.1; i2v 1.0, torch 2.13, diffusers 0.42"
    assert heading(Report(about)) == message


def test_a_clip_is_reported_beside_the_estimate_and_what_was_published() -> None:
    figures = CLIP | {
        "seconds": {"clip": 48.31},
        "bytes": HELD,
        "steps_run": 4,
        "estimate": {"seconds": 70.4, "bytes": 7 * 2**30},
        "published": {"seconds": 51, "gigabytes": 13.8},
    }
    assert line(Row("presets", "standard", "ok", figures=figures)) == (
        "presets  standard        ok      512 x 512 x 16, 50 steps, 4 of them run;"
        " 48.3 s (estimated 70, published 51 s); 6.00 GB (estimated 7.00, published 13.8 GB)"
    )


def test_a_clip_of_the_cpu_has_its_peak_and_nothing_beside() -> None:
    figures = CLIP | {
        "seconds": {"clip": 3.0},
        "bytes": {"peak": 2**30, "reserved": None},
        "published": None,
    }
    assert line(Row("stock", "ours", "ok", figures=figures)).endswith("50 steps; 3.0 s; 1.00 GB")


def test_frames_are_reported_with_what_was_expected() -> None:
    figures: Figures = {
        "max_difference": 9,
        "mean_difference": 0.25,
        "expected_at_most": {"mean_difference": 1.5},
    }
    assert line(Row("stock", "frames", "failed", "Too far.", figures=figures)) == (
        "stock    frames          failed  frames differ by up to 9 of 255, 0.250 on average"
        " (expected: at most mean 1.5). Too far."
    )


def test_what_went_wrong_or_was_left_out_is_reported() -> None:
    assert line(Row("presets", "extreme", "skipped", "May not fit.", figures=CLIP)) == (
        "presets  extreme         skipped May not fit."
    )
    assert line(Row("nan", "float16", "failed", "RuntimeError: no kernel")).endswith(
        "failed  RuntimeError: no kernel"
    )


def test_faults_are_reported_in_their_own_words() -> None:
    watched = CLIP | {"decoded_again": 0, "black_frames": 0, "frames": 8}
    assert line(Row("nan", "float16", "ok", figures=watched)).endswith("8 frames, no NaN")
    stopped = CLIP | {"denoise": {"seconds": 0.5}, "decode": {"seconds": 0.04}}
    assert line(Row("cancel", "cancel", "ok", figures=stopped)).endswith(
        "denoise: stopped after 0.50 s; decode: stopped after 0.04 s"
    )
    short = CLIP | {"needed_bytes": 9, "seconds": {"clip": 7.0}, "stepped_down": [{}, {}]}
    assert line(Row("memory", "ladder", "ok", figures=short)).endswith(
        "7.0 s; saved memory in 2 steps and finished"
    )
