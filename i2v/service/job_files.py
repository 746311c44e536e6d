"""The video that a job owns: whether it is there and can be played, how large it is, and how it is removed.

A video in the trash stays in its folder, which may be on another disk than the data, under a hidden name that
only its job can have. Wherever that is cut off, the video has one name or the other, and both are known.

Looks at a file's outline only, which takes no longer than opening it: what is inside, decoding would show.
Deliberately does not know the database, HTTP or the job's picture.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from i2v.core.errors import EncodeError, I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.jobs.model import Job, OwnedFiles
from i2v.workers.cleanup import is_published, tag_of, tag_of_id

VideoProblem = Literal["missing", "broken"]
Removal = Literal["removed", "missing", "kept"]

_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of this process or machine, not the file's fault
_BOXES = 32  # of a file, at its top level; ours have four
_HEAD = 2**22  # bytes of a file's index that are searched for the job's tag; ours take some thousand


def check_video(job: Job) -> Path:
    """Return where the job's video is.

    Raises `InvalidRequest`:
        job.no_video: the job has not succeeded.
        job.video_missing, job.video_broken: it has, and somebody has moved, replaced or cut the file.
    """
    if job.status != "succeeded":
        raise InvalidRequest("job.no_video", id=job.id, status=job.status)
    path = Path(job.output)
    problem, reason = examine_video(path)
    name = shown(str(path), limit=300)
    if problem == "missing":
        raise InvalidRequest("job.video_missing", id=job.id, path=name)
    if problem == "broken":
        raise InvalidRequest("job.video_broken", id=job.id, path=name, reason=reason)
    return path


def read_from_video(job: Job, read: Callable[[Path], bytes]) -> bytes:
    """Return what `read` finds in the job's video; raises as `check_video` and `read` do.

    A video that only decoding shows to be broken is `job.video_broken` too, and not `encode.broken`.
    """
    path = check_video(job)
    try:
        return read(path)
    except EncodeError as error:
        if error.code != "encode.broken":
            raise
        check_video(job)  # it may have gone meanwhile
        name, reason = shown(str(path), limit=300), error.params["reason"]
        raise InvalidRequest("job.video_broken", id=job.id, path=name, reason=reason) from error


def video_problem(job: Job) -> VideoProblem | None:
    """Return what keeps the video of a job that succeeded from being played; `None`: nothing is seen."""
    return examine_video(Path(job.output))[0]


def has_video(job: Job) -> bool:
    return job.status == "succeeded" and video_problem(job) is None


def remove_video(job: Job) -> Removal:
    """Remove the job's video, and nothing else: a link, a folder or a file that it did not make is "kept".

    One in the trash is removed too. Raises `I2VError`: `job.not_removed`, or as `is_published` does; the
    video is still there then.
    """
    hidden = _hidden(job)
    if not hidden.is_file():
        return _take_away(job, Path.unlink)
    try:
        hidden.unlink()
    except OSError as error:
        raise _not_removed(hidden, error) from error
    _sync_folder(hidden.parent)
    return "removed"


def trash_video(job: Job) -> Removal:
    """Hide the job's video, and nothing else; returns and raises as `remove_video` does."""
    return _take_away(job, lambda path: path.rename(_hidden(job)))


def restore_video(job: Job) -> None:
    """Give a video that is in the trash its name back; nothing where there is none.

    Raises `I2VError`: `job.name_taken` where another file has the name; `job.not_removed`.
    """
    path, hidden = Path(job.output), _hidden(job)
    if not hidden.is_file():
        return
    if os.path.lexists(path):
        raise InvalidRequest("job.name_taken", id=job.id, path=shown(str(path), limit=300))
    try:
        hidden.rename(path)
    except OSError as error:
        raise _not_removed(hidden, error) from error
    _sync_folder(path.parent)


def _take_away(job: Job, take: Callable[[Path], object]) -> Removal:
    path = Path(job.output)
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or not is_published(job):
            return "kept"
        if not os.path.samestat(found, path.lstat()):
            return "kept"  # it was replaced meanwhile
        take(path)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError as error:
        raise _not_removed(path, error) from error
    _sync_folder(path.parent)
    return "removed"


def _not_removed(path: Path, error: OSError) -> I2VError:
    name = shown(str(path), limit=300)
    return I2VError("job.not_removed", path=name, reason=error.strerror or str(error))


def _hidden(job: Job | OwnedFiles) -> Path:
    """Return where the job's video is while it is in the trash."""
    return Path(job.output).parent / hidden_name(job.id)


def find_video(job: Job | OwnedFiles) -> Path:
    """Return where the job's video lies, or would: also of a job in the trash."""
    hidden = _hidden(job)
    return hidden if hidden.is_file() else Path(job.output)


def hidden_name(job_id: str) -> str:
    """Return what the video of a job is called while it is in the trash."""
    return f".{tag_of_id(job_id)}.deleted.mp4"


def video_bytes(job: OwnedFiles) -> int:
    """Return how large the job's video is; 0 where it is gone, or where another file has its name.

    As `is_published` does, but without ffmpeg, so that thousands can be asked. One in the trash counts.
    """
    with suppress(OSError):
        return _hidden(job).lstat().st_size
    path = Path(job.output)
    with suppress(OSError):  # it is gone, or cannot be read: then it is not known to be the job's
        found = path.lstat()
        if stat.S_ISREG(found.st_mode):
            with path.open("rb") as file:
                begin, length = _boxes(file, found.st_size).get(b"moov", (0, 0))
                file.seek(begin)
                if tag_of(job).encode() in file.read(min(length, _HEAD)):
                    return found.st_size
    return 0


def examine_video(path: Path) -> tuple[VideoProblem | None, str]:
    """Return what is wrong with a video, and why it is broken if it is."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            return "missing", ""
        with path.open("rb") as file:
            boxes = _boxes(file, found.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return "missing", ""
    except OSError as error:
        if error.errno in _SHORTAGES:
            return None, ""  # nothing is known of the file
        return "broken", error.strerror or str(error)
    if b"ftyp" not in boxes:
        return "broken", "it is not an MP4 file"
    if not boxes.keys() >= {b"moov", b"mdat"}:
        return "broken", "it was cut off"
    return None, ""


def _boxes(file: BinaryIO, size: int) -> dict[bytes, tuple[int, int]]:
    """Return where the MP4's whole boxes begin and how long they are, by kind (ISO/IEC 14496-12, 4.2).

    Reading ends at the first that is not whole, and where index and frames were found.
    """
    boxes: dict[bytes, tuple[int, int]] = {}
    position = 0
    for _ in range(_BOXES):
        file.seek(position)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        if length == 1:  # the length follows, in 64 bits
            length = int.from_bytes(header[8:16])
        elif length == 0:  # the last box: it ends where the file does
            length = size - position
        if len(header) < 8 or length < 8 or position + length > size:
            break
        if position == 0 and kind != b"ftyp":
            break
        boxes.setdefault(kind, (position, length))
        position += length
        if boxes.keys() >= {b"moov", b"mdat"}:
            break
    return boxes


def _sync_folder(folder: Path) -> None:
    """Let the disk have the removal before the database has that of the job."""
    with suppress(OSError):  # a share may not be able to, and the file is gone all the same
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
