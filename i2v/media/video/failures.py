"""What became of an ffmpeg that should have written a video, as an error. Deliberately starts none."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from i2v.core.errors import DISK_FULL, EncodeError


def write_error(part: Path, reason: str, number: int | None = None) -> EncodeError:
    """Return the error for the part file; `number`: the errno, where there is one."""
    code = "encode.no_space" if number in DISK_FULL else "encode.failed"
    return EncodeError(code, path=str(part.parent), reason=reason)


def ended_with(part: Path, status: int, said: str) -> EncodeError | None:
    """Return what went wrong by ffmpeg's own words, `None` where its `status` is that of success."""
    if status == 0:
        return None
    if status < 0:
        return write_error(part, f"ffmpeg was stopped: {signal.strsignal(-status)}")
    # The last line sums up ("Conversion failed!"), the first says what happened.
    words = (
        re.sub(r"^\[[^\]]*\] ", "", said.partition("\n")[0]).replace(f" file:{part.absolute()}", "").strip()
        or f"it ended with status {status}"
    )
    # Since 6.0, ffmpeg's exit status is the low byte of its error code, which is a negative errno.
    full = (number for number in DISK_FULL if os.strerror(number) in said)
    return write_error(part, f"ffmpeg: {words}", next(full, 256 - status))
