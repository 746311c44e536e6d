"""One attempt at a job, from its claim to its result: what a job goes through, as a list of named steps.

Owns what the store and the log are told on the way. It does not know what becomes of the job when
the attempt fails, nor what comes before and after it: that is `worker`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from i2v.core.errors import Cancelled, EncodeError, I2VError, InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.results import Result
from i2v.core.settings import Settings
from i2v.core.stages import Stage
from i2v.jobs.model import Claim, Job, JsonObject, Progress
from i2v.jobs.store import JobStore
from i2v.media.checkpoints import count_segments
from i2v.media.latents import SUFFIX as LATENTS
from i2v.media.outputs import OutputFile, sweep_parts
from i2v.media.unpublished import KEEP_DAYS, FrameRecorder, find_kept, kept_notice, remove_kept, sweep
from i2v.pipeline.delivery import publish_kept
from i2v.pipeline.make import check_output
from i2v.workers.cleanup import is_published, tag_of
from i2v.workers.maker import Maker, Order, Reports
from i2v.workers.progress import ProgressLog, at_start

_OF_AN_ATTEMPT = (
    "ladder.",
    "unpublished.",
    "story.resumed",
    "denoise.resumed",
    "plan.other_device",
    "plan.made_again",
    "plan.device_gone",
    "cluster.",
)  # notices

log = logging.getLogger(__name__)


class Attempt:
    """Makes the video of a claimed job."""

    def __init__(
        self,
        claim: Claim,
        settings: Settings,
        store: JobStore,
        maker: Maker,
        beat: Callable[[], None],
    ) -> None:
        """`beat` is called wherever something is said: the attempt is alive."""
        self._claim = claim
        self._settings = settings
        self._store = store
        self._maker = maker
        self._beat = beat
        self._progress_log = ProgressLog()
        # what earlier attempts did with less memory, or left, does not concern this one
        known = claim.job.notices
        self._notices = [notice for notice in known if not notice.code.startswith(_OF_AN_ATTEMPT)]
        self._has_new_notices = len(self._notices) < len(known)
        self._recorder = FrameRecorder(settings.unpublished, claim.job.id)

    def result(self) -> Result:
        """Return the job's result: the video is published under the job's name when this returns.

        Where an earlier attempt died between the rename and its commit, it is there already.

        Raises:
            Cancelled, JobLost: the job is to end.
            I2VError: it cannot be done.
        """
        job = self._claim.job
        sweep_parts(Path(job.output))
        sweep(self._settings.unpublished)
        try:
            result = self._publish(job, self._claim.generation)
        except InvalidRequest as error:
            if error.code != "output.exists":
                raise
            if not is_published(job):
                raise EncodeError("job.output_taken", path=job.output) from error
            result = Result(Path(job.output), self._claim.generation, job.notices)
        remove_kept(self._settings.unpublished, job.id)
        return result

    def frames_notice(self) -> Notice | None:
        """Return what became of the frames of an attempt that failed, `None` where it came to none."""
        folder, name = self._settings.unpublished, self._claim.job.id
        if segments := count_segments(folder, name):
            total = len(self._claim.generation.segments)
            return Notice("story.kept", {"segments": segments, "total": total, "days": KEEP_DAYS})
        if find_kept(folder, name) is not None:
            return kept_notice()
        if self._recorder.notice is None and (folder / f"{name}{LATENTS}").exists():
            return Notice("denoise.kept", {"days": KEEP_DAYS})
        return self._recorder.notice

    def _publish(self, job: Job, generation: Generation) -> Result:
        """Publish what an earlier attempt has computed, or else compute it."""
        kept = find_kept(self._settings.unpublished, job.id)
        if kept is None or kept.about.generation != generation:
            return self._make(job, generation)
        target = OutputFile(Path(job.output))
        check_output(target, with_sound=kept.about.sound is not None)
        known = list(self._notices)
        self._note((Notice("unpublished.published", {}),))
        try:
            result = publish_kept(kept, target, lambda number: self._say(at_start(Stage.ENCODE)))
        except EncodeError as error:
            if error.code == "unpublished.lost":  # a retry computes them again
                kept.remove()
            raise
        return replace(result, notices=(*known, *result.notices))

    def _make(self, job: Job, generation: Generation) -> Result:
        self._say(at_start(Stage.LOAD))
        check_output(OutputFile(Path(job.output)))
        order = Order(
            job.id,
            tag_of(job),
            job.request,
            generation,
            job.plan,
            job.deaths,
            job.wanted_device,
            tuple(self._settings.inputs / name for name in job.inputs),
            Path(job.output),
        )
        known = list(self._notices)
        result = self._maker.make(order, self._recorder, Reports(self._note, self._say))
        return replace(result, notices=(*known, *result.notices))

    def _note(self, notices: tuple[Notice, ...]) -> None:
        """Have `notices` stand in the job from what is said next."""
        self._notices += notices
        self._has_new_notices |= bool(notices)

    def _say(self, progress: Progress | None) -> None:
        """Tell how far the job is, if that is known; raise `Cancelled` or `JobLost` if it is to end."""
        job = self._claim.job
        self._beat()
        if progress is not None and (line := self._progress_log.line(progress)):
            log.info("job %s: %s", job.id, line)
        try:
            notices = self._notices if self._has_new_notices else None
            is_cancelled = self._store.heartbeat(self._claim, progress, notices)
        except I2VError as error:  # a full disk, perhaps, and for a while: the job itself goes on
            log.warning("job %s: its progress could not be stored: %s", job.id, error)
            return
        self._has_new_notices = False
        if is_cancelled:
            raise Cancelled("job.cancelled")


def with_notice(failure: JsonObject, notice: Notice | None) -> JsonObject:
    """Return the error of a job with what became of its frames, which pages and programs show after it."""
    if notice is None:
        return failure
    return {**failure, "message": f"{failure['message']} {notice.message}", "then": notice.to_dict()}
