"""What an attempt at a job leaves on the disk: which video is a job's, and what is to be removed.

Owns the tag in a video that says so. Deliberately does not know how the video was made.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from i2v.core.errors import EncodeError
from i2v.jobs.model import Job, OwnedFiles
from i2v.media.outputs import sweep_parts
from i2v.media.unpublished import remove_kept
from i2v.media.video import read_tags

JOB_TAG = "i2v-job"  # metadata key: a file that carries the job's tag is the job's, already published

log = logging.getLogger(__name__)


def tag_of(job: Job | OwnedFiles) -> str:
    """Return what the video says of its job: not the id, which gives access to the job."""
    return tag_of_id(job.id)


def tag_of_id(job_id: str) -> str:
    return hashlib.sha256(job_id.encode()).hexdigest()[:32]


def is_published(job: Job) -> bool:
    """Tell whether the job's video is there, and is the job's. Raises `EncodeError` (`encode.no_ffmpeg`)."""
    path = Path(job.output)
    if not path.is_file():
        return False
    try:
        return read_tags(path).get(JOB_TAG) == tag_of(job)
    except EncodeError as error:
        if error.code != "encode.broken":
            raise
        return False


def clean_up(job: Job, unpublished: Path) -> None:
    """Remove what an attempt that was cut off left: part files, and a video that the job is not to have.

    That is one of a job that was cancelled or failed after the rename and before the commit. Frames that were
    kept in the folder `unpublished` are for a retry, unless the job was cancelled.
    """
    path = Path(job.output)
    if job.status == "cancelled":
        remove_kept(unpublished, job.id)
    try:
        sweep_parts(path)
        if job.status in ("cancelled", "failed") and is_published(job):
            path.unlink(missing_ok=True)
    except (OSError, EncodeError) as error:
        log.warning("job %s: what is left of it could not be removed: %s", job.id, error)
