"""What the terminal shows of one clip: how far it is, then what came of it, for a person or as JSON.

Notices and the bar go to standard error, the result to standard output. How a clip is made is not known here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from i2v.cli.streams import why_lost
from i2v.core.errors import Notice
from i2v.core.fields import shown

if TYPE_CHECKING:
    from i2v.core.results import Result
    from i2v.media.provenance import Provenance
    from i2v.pipeline.clip import ClipEvent

BAR_WIDTH = 30  # characters


@dataclass(frozen=True)
class Like:
    """The clip whose settings are taken over, and the fields that are given instead."""

    provenance: Provenance
    path: Path
    given: frozenset[str]


class ClipProgress:
    """A bar with the time left on a terminal; silent where standard error is a file or a pipe."""

    def __init__(self, like: Like | None) -> None:
        self.visible = sys.stderr.isatty()
        self.started: float | None = None
        self.seen: list[Notice] = []  # that could not wait for the end
        self.differences: list[Notice] = []  # from the clip `like`
        self._like = like
        self._segment, self._segments = 0, 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.visible and self.started is not None:
            print(file=sys.stderr)

    def say(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            line = f"i2v: {notice.message}"
            print(f"\r{line:<70}" if self.visible else line, file=sys.stderr, flush=True)  # over the bar
            self.seen.append(notice)

    def show(self, event: ClipEvent) -> None:
        from i2v.engines.base import Conditioned, Decoded, Denoised, SteppedDown
        from i2v.pipeline.clip import Loaded
        from i2v.pipeline.segments import SegmentBegun

        if isinstance(event, SteppedDown):
            self.say(event.notices)
        elif isinstance(event, Loaded) and self._like is not None:
            like = self._like
            self.differences += event.provenance.differences(like.provenance, like.path, like.given)
        if not self.visible:
            return
        if isinstance(event, SegmentBegun):
            self._segment, self._segments = event.number, event.total
        elif isinstance(event, Conditioned):
            self.started = self.started or time.monotonic()
        elif isinstance(event, Denoised) and self.started is not None:
            step, total = self._segment * event.total + event.step, self._segments * event.total
            left = (time.monotonic() - self.started) / step * (total - step)
            filled = bar(step, total)
            draw(f"denoising [{filled}] {step}/{total}, {left:.0f} s left")
        elif isinstance(event, Decoded):
            draw("decoding and encoding")


def bar(done: float, total: int) -> str:
    """Return a bar of which as much is filled as is done."""
    filled = int(BAR_WIDTH * done / total)
    return "#" * filled + "-" * (BAR_WIDTH - filled)


def draw(line: str) -> None:
    """Show the line in place of the one that stands on the terminal."""
    print(f"\r{line:<70}", end="", file=sys.stderr, flush=True)


def report(result: Result, seen: Sequence[Notice], as_json: bool) -> None:
    """Print the result, and those of its notices that were not `seen` before."""
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
        _keep(result.path)
        return
    for notice in result.notices:
        if notice not in seen:
            print(f"i2v: {notice.message}", file=sys.stderr)
    generation = result.generation
    total = sum(result.seconds.values())
    seed = f" seed {generation.seed}," if _has_seed(generation.engine) else ""
    print(
        f"i2v: {generation.engine}, {result.video_frames} frames of"
        f" {generation.width} x {generation.height} at {generation.video_fps} fps,{seed} {total:.1f} s",
        file=sys.stderr,
    )
    print(result.path)
    _keep(result.path)


def _has_seed(engine: str) -> bool:
    from i2v.engines.registry import engines

    spec = engines().get(engine)
    return spec is None or spec.capabilities.seed


def _keep(path: Path) -> None:
    """Say where the video is if standard output could not."""
    if why_lost(sys.stdout) is not None:
        notice = Notice("cli.video_kept", {"path": shown(str(path), limit=300)})
        print(f"i2v: {notice.message}", file=sys.stderr)
