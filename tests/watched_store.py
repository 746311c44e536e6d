"""A store that remembers what a worker told it, and lets a test act in the middle of a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from i2v.core.errors import Notice
from i2v.jobs.model import Claim, Progress
from i2v.jobs.store import JobStore


class WatchedStore(JobStore):
    """Keeps what a worker tells, and does something at a step."""

    def __init__(self, path: Path, **options: float) -> None:
        super().__init__(path, **options)  # type: ignore[arg-type]
        self.progresses: list[Progress] = []
        self.at: dict[tuple[str, int | None], Callable[[Claim], object]] = {}

    def heartbeat(
        self,
        claim: Claim,
        progress: Progress | None = None,
        notices: Sequence[Notice] | None = None,
    ) -> bool:
        if progress is not None:
            act = self.at.pop((progress.phase, progress.step), None)
            if act is not None:
                act(claim)
        is_cancelled = super().heartbeat(claim, progress, notices)
        if progress is not None:
            self.progresses.append(progress)
        return is_cancelled
