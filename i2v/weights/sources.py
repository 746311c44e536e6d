"""A source of weights as the downloader sees it: asked with a time limit, watched, and ended when it stalls.

The library that talks to the hub runs in a process of its own (`fetcher`), one a source, started when first
needed. Here is known how long to wait and what an answer means; which source comes next is `fetching`'s.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from i2v.core.model_spec import Repository
from i2v.core.settings import ModelSettings
from i2v.core.settings_sources import ROOT
from i2v.weights.hubs import part_file
from i2v.weights.records import Listing
from i2v.weights.shards import size_of

TICK_SECONDS = 0.2  # how late progress, a cancel or a stall is noticed, at most
START_SECONDS = 60  # that the process may take to start: libraries come from a slow disk
# Read by the libraries when they are imported.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "0",  # ours decides, see settings
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_XET": "1",
    "MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": str(30 * 86400),  # a slow line takes days; stalls are ours to see
    "MODELSCOPE_DOWNLOAD_MIN_BYTES_PER_SECOND": "0",
}


class SourceFailed(Exception):
    """The source did not do it.

    Attributes:
        is_lasting: to ask it again is of no use.
        portal: the host of the page that the network shows instead of it.
    """

    def __init__(self, reason: str, is_lasting: bool = False, portal: str | None = None) -> None:
        self.reason = reason
        self.is_lasting = is_lasting
        self.portal = portal
        super().__init__(reason)


class DiskFailed(Exception):
    """The file could not be written here. `is_full`: for want of space."""

    def __init__(self, reason: str, is_full: bool) -> None:
        self.reason = reason
        self.is_full = is_full
        super().__init__(reason)


class Fetches(Protocol):
    """A source of weights; see `Source`."""

    @property
    def name(self) -> str: ...

    def list_files(self, part: Repository, first: str, tick: Callable[[], None]) -> Listing: ...

    def fetch(
        self, part: Repository, name: str, size: int, staging: Path, tick: Callable[[int], None]
    ) -> None: ...


class Source:
    """One hub. `lock`, a file's, is inherited: it is held until the process, too, has ended."""

    def __init__(self, name: str, models: ModelSettings, lock: int | None) -> None:
        self.name = name
        self._models = models
        self._lock = lock
        self._process: subprocess.Popen[bytes] | None = None
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`; why a process died

    def list_files(self, part: Repository, first: str, tick: Callable[[], None]) -> Listing:
        """Ask for the repository's files, of which `first` must be one.

        `tick` is called a few times a second and may raise. Raises `SourceFailed`.
        """
        self._start(tick)
        answer = self._ask({"part": asdict(part), "first": first}, self._models.probe_seconds, tick)
        try:
            return Listing.rebuilt(answer["listing"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceFailed("its list of files cannot be read", is_lasting=True) from error

    def fetch(
        self, part: Repository, name: str, size: int, staging: Path, tick: Callable[[int], None]
    ) -> None:
        """Have the file at `staging / name`. `tick` is called with the bytes so far, and may raise.

        Raises `SourceFailed`, also where the file does not grow for `stall_seconds`, and `DiskFailed`.
        """
        growing, whole = part_file(staging, name), staging / name
        if size_of(growing) > size:  # no beginning of this file
            growing.unlink()
        self._start(lambda: tick(size_of(growing)))
        moved, before = time.monotonic(), -1
        self._send({"part": asdict(part), "name": name, "size": size, "staging": str(staging)})

        def wait() -> None:
            nonlocal moved, before
            done = size_of(growing) or size_of(whole)
            if done != before:
                moved, before = time.monotonic(), done
            tick(done)
            if done > size:
                raise SourceFailed("it sends more than it has listed", is_lasting=True)
            if time.monotonic() - moved > self._models.stall_seconds:
                raise SourceFailed(f"no data for {self._models.stall_seconds:g} s")

        self._answer(wait)

    def close(self) -> None:
        self._end()
        self._words.close()

    def _start(self, tick: Callable[[], None]) -> None:
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-m", "i2v.weights.fetcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            cwd=ROOT,  # where this very package is found
            env=_environment(),
            pass_fds=() if self._lock is None else (self._lock,),
            start_new_session=True,  # Ctrl-C is for the parent, which ends this one
        )
        first = {"source": self.name, "seconds": self._models.probe_seconds}
        self._ask(first, START_SECONDS, tick)

    def _ask(self, task: dict[str, object], seconds: float, tick: Callable[[], None]) -> dict[str, object]:
        deadline = time.monotonic() + seconds
        self._send(task)

        def wait() -> None:
            tick()
            if time.monotonic() > deadline:
                raise SourceFailed(f"no answer within {seconds:g} s")

        return self._answer(wait)

    def _send(self, line: dict[str, object]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error

    def _answer(self, wait: Callable[[], None]) -> dict[str, object]:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            wait()
            while not select.select([self._process.stdout], [], [], TICK_SECONDS)[0]:
                wait()
        except BaseException:  # it must not write on: its answer would be taken for the next one
            self._end()
            raise
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, object] = json.loads(line)
        if "disk" in answer:
            raise DiskFailed(str(answer["disk"]), bool(answer["full"]))
        if "failed" in answer:
            portal = answer.get("portal")
            raise SourceFailed(
                str(answer["failed"]), bool(answer["lasting"]), None if portal is None else str(portal)
            )
        return answer

    def _died(self) -> SourceFailed:
        self._end()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip().rpartition("\n")[2]
        return SourceFailed(f"its process died: {words[:200]}")

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()  # what it has written stays, and is gone on from
        self._process.communicate()
        self._process = None


def _environment() -> dict[str, str]:
    """Return ours, with proxies and hubs' tokens, but without this service's own token."""
    kept = {name: value for name, value in os.environ.items() if name.upper() != "I2V_SECURITY__TOKEN"}
    return kept | _ENVIRONMENT
