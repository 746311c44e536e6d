"""What has to be in order before a job is accepted, whatever it asks for: folders, database, ffmpeg.

Owns the list of these checks: submissions and `/readyz` ask the same ones, so that a service which would
refuse every job says so. Deliberately does not know requests, nor who runs the jobs.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime

from i2v.core.errors import I2VError
from i2v.core.settings import Settings
from i2v.host import data_folder
from i2v.jobs.store import JobStore
from i2v.media.outputs import OutputName, prepare_output
from i2v.media.video import check_ffmpeg

KEPT_SECONDS = 3.0  # how old an answer may be that somebody gets who asks all the time

log = logging.getLogger(__name__)


class Readiness:
    """The checks of one service; threads share it."""

    def __init__(self, settings: Settings, store: JobStore) -> None:
        self._settings = settings
        self._store = store
        self._asking = threading.Lock()
        self._asked_at: float | None = None
        self._problem: I2VError | None = None

    def check(self) -> None:
        """Raise what would keep a job from being accepted, or its video from being written.

        Raises:
            I2VError: `data.*` or `database.*`.
            InvalidRequest, EncodeError: `output.*`, `encode.no_ffmpeg`.
        """
        self._store.check()
        data_folder.check(self._settings.inputs)
        prepare_output(OutputName.of(self._settings.output, datetime.now()))
        check_ffmpeg()

    def recent_problem(self) -> I2VError | None:
        """Return what `check` raises, or raised a few seconds ago: cheap to ask often."""
        with self._asking:  # those who come meanwhile get the answer that is under way
            if self._asked_at is None or time.monotonic() - self._asked_at > KEPT_SECONDS:
                before, self._problem = self._problem, self._find_problem()
                if self._problem is not None and (before is None or before.code != self._problem.code):
                    log.warning("no job is accepted: %s", self._problem.message)
                elif self._problem is None and before is not None:
                    log.warning("jobs are accepted again")
                self._asked_at = time.monotonic()
            return self._problem

    def _find_problem(self) -> I2VError | None:
        try:
            self.check()
        except I2VError as error:
            return error
        return None
