"""The server's weights as a source that a machine fetches from: asked by messages, answered piece by piece.

A file grows where a download from a hub would have it grow, so that it is gone on from whatever stops this.
What is right is `weights.fetching`'s business; the other end is `shelf`.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from functools import partial
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import DISK_FULL
from i2v.core.model_spec import Repository
from i2v.weights.hubs import part_file
from i2v.weights.parts import name_in_model, part_of
from i2v.weights.records import Listing
from i2v.weights.shards import size_of
from i2v.weights.sources import TICK_SECONDS, DiskFailed, SourceFailed
from i2v.workers.cluster.wire import PIECE_BYTES, Answer, Files, Refused, Wanted


class ServerSource:
    """See `weights.sources.Fetches`. `ask`: sends what is wanted; it is answered in `answers`."""

    name = "the server"

    def __init__(
        self, spec: EngineSpec, ask: Callable[[Wanted], None], answers: queue.SimpleQueue[Answer]
    ) -> None:
        self._spec = spec
        self._ask = ask
        self._answers = answers

    def list_files(self, part: Repository, first: str, tick: Callable[[], None]) -> Listing:
        """Return the files below the part's folder; the server hashes them before, if nobody has."""
        answer = self._answer(Wanted(self._spec.name), tick)
        if not isinstance(answer, Files):
            raise SourceFailed("it did not list its files")
        below = f"{part.folder}/" if part.folder else ""
        files = {
            name.removeprefix(below): expected
            for name, expected in answer.files.items()
            if part_of(self._spec, name) == part
        }
        return Listing(self.name, part.revision, files, part.repo)

    def fetch(
        self, part: Repository, name: str, size: int, staging: Path, tick: Callable[[int], None]
    ) -> None:
        growing, place = part_file(staging, name), name_in_model(part, name)
        try:
            growing.parent.mkdir(parents=True, exist_ok=True)
            if size_of(growing) > size:  # no beginning of this file
                growing.unlink()
            with growing.open("ab", buffering=0) as file:
                while (done := file.tell()) < size:
                    tick(done)
                    wanted = Wanted(self._spec.name, place, done, min(PIECE_BYTES, size - done))
                    piece = self._answer(wanted, partial(tick, done))
                    if not isinstance(piece, bytes) or not 0 < len(piece) <= size - done:
                        raise SourceFailed("it did not send what it has listed")
                    file.write(piece)
                os.fsync(file.fileno())
            growing.replace(staging / name)
        except OSError as error:
            raise DiskFailed(error.strerror or str(error), error.errno in DISK_FULL) from error

    def _answer(self, wanted: Wanted, tick: Callable[[], None]) -> Answer:
        """Ask, and return the answer; without one Ray ends this process, since nobody is there any more."""
        self._ask(wanted)
        while True:
            try:
                answer = self._answers.get(timeout=TICK_SECONDS)
            except queue.Empty:
                tick()
                continue
            if isinstance(answer, Refused):
                raise SourceFailed(answer.reason)
            return answer
