"""What goes wrong on cards: numbers that are none, clips that do not stop, and memory that runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

from i2v.bench.checks import Lab, attempt, no_room, of_clip
from i2v.bench.report import Row
from i2v.bench.trials import find_faults, run_freely, run_short, stop_clips
from i2v.core.errors import Notice

# The engine that looks at every number, by the one that it stands for.
_WATCHED = {"i2v.engines.i2vgen_xl.engine:I2VGenXLEngine": "i2v.engines.i2vgen_xl.finite:FiniteEngine"}

HELD = 0.05  # of what was held before, and 64 MiB: what may be held after a cancelled clip
HELD_LEAST = 2**26
STEPS_TO_STOP = 2.0  # a cancelled clip ends at its next step; and a second for all else
SECOND = 1.0
SHARES = (0.7, 0.55, 0.4)  # of the memory that a clip needs, until it runs out
ROUNDING = 1.0  # levels of 255, on average


# --- nan


def check_numbers(lab: Lab) -> Iterator[Row]:
    """Half precision: every latent finite, every frame decoded, none of them black."""
    watched = _WATCHED.get(lab.spec.implementation)
    if watched is None:
        yield Row(
            "nan", "half precision", "skipped", Notice("bench.no_watch", {"title": lab.spec.title}).message
        )
        return
    for dtype in ("float16", "bfloat16"):
        yield attempt("nan", dtype, lambda dtype=dtype: _numbers(lab, watched, dtype))  # type: ignore[misc]


def _numbers(lab: Lab, watched: str, dtype: str) -> Row:
    generation, planned = lab.small_clip()
    if reason := no_room(planned):
        return Row("nan", dtype, "skipped", reason)
    trial = lab.trial(generation, planned)
    plan = replace(trial.plan, dtype=dtype)  # type: ignore[arg-type]
    trial = replace(trial, spec=replace(lab.spec, implementation=watched), plan=plan)
    figures = lab.measure(find_faults, trial, f"numbers in {dtype}")
    figures = of_clip(generation, plan, **figures)
    if figures["black_frames"]:
        message = Notice(
            "bench.black", {"count": cast("int", figures["black_frames"]), "dtype": dtype}
        ).message
        return Row("nan", dtype, "failed", message, figures=figures)
    again = cast("int", figures["decoded_again"])
    again_message = Notice("bench.decoded_again", {"count": again, "dtype": dtype}).message if again else None
    return Row("nan", dtype, "ok", again_message, figures=figures)


# --- cancel


def check_cancel(lab: Lab) -> Iterator[Row]:
    """A cancelled clip ends within a step, memory returns, and the next clip is what it would have been."""
    yield attempt("cancel", "cancel", lambda: _cancel(lab))


def _cancel(lab: Lab) -> Row:
    generation, planned = lab.small_clip()
    if reason := no_room(planned):
        return Row("cancel", "cancel", "skipped", reason)
    planned = replace(planned, plan=replace(planned.plan, decode_chunk=1))
    figures = lab.measure(stop_clips, lab.trial(generation, planned), "cancel")
    floor = cast("int", figures["floor_bytes"])
    wrong = []
    for stage in ("denoise", "decode"):
        of_stage = cast("dict[str, float]", figures[stage])
        if of_stage["seconds"] > STEPS_TO_STOP * of_stage["seconds_each"] + SECOND:
            wrong.append(
                Notice("bench.stops_late", {"stage": stage, "seconds": round(of_stage["seconds"], 1)})
            )
        over = int(of_stage["bytes_after"]) - floor
        if over > max(HELD * floor, HELD_LEAST):
            wrong.append(Notice("bench.keeps_memory", {"stage": stage, "mib": over >> 20}))
    if _differs(figures["frames_after"]):
        wrong.append(Notice("bench.other_frames_after", {}))
    message = " ".join(notice.message for notice in wrong) or None
    return Row(
        "cancel",
        "cancel",
        "failed" if wrong else "ok",
        message,
        figures=of_clip(generation, planned.plan, **figures),
    )


# --- memory


def check_memory(lab: Lab) -> Iterator[Row]:
    """Memory is taken away until the ladder has to step down; the clip is finished all the same."""
    yield attempt("memory", "ladder", lambda: _ladder(lab))


def _ladder(lab: Lab) -> Row:
    generation, planned = lab.large_clip()
    if reason := no_room(planned):
        return Row("memory", "ladder", "skipped", reason)
    trial = lab.trial(generation, planned)
    figures = lab.measure(run_freely, trial, "a clip with enough memory")
    needed = cast("int", figures["needed_bytes"])
    figures = of_clip(generation, planned.plan, needed_bytes=needed)
    for share in SHARES:
        room = int(share * needed)
        short = lab.measure(run_short, replace(trial, room=room), f"with {share:.0%} of that memory")
        if short["stepped_down"]:
            break
    figures |= {"room_bytes": room, **short}
    message = None
    if not figures["stepped_down"]:
        message = Notice("bench.no_shortage", {}).message
    elif _differs(apart := cast("dict[str, float]", figures["frames_apart"])):
        highest, mean = int(apart["max_difference"]), round(apart["mean_difference"], 2)
        message = Notice("bench.frames_apart", {"highest": highest, "mean": mean}).message
    return Row("memory", "ladder", "failed" if message else "ok", message, figures=figures)


def _differs(apart: object) -> bool:
    """OnProgress whether frames are further apart than rounding puts them in so few steps."""
    return cast("dict[str, float]", apart)["mean_difference"] > ROUNDING


def work_of_small(clips: int) -> Callable[[Lab], float]:
    """Return what counts the operations of a check that makes so many small clips."""

    def work(lab: Lab) -> float:
        generation, _ = lab.small_clip()
        return clips * lab.work(generation)

    return work


def work_of_large(lab: Lab) -> float:
    generation, _ = lab.large_clip()
    return 2 * lab.work(generation)
