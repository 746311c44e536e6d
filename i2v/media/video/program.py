"""Which ffmpeg is used, and how it is run. Deliberately does not know what it is asked to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from i2v.core.child_environment import child_environment
from i2v.core.errors import EncodeError

VERSION_SECONDS = 10.0

# The shell, since it is everywhere, and since limits that are set in a fork of a process with threads may
# block it for ever. `-d` is the memory of its own that a process may have: libraries are not counted.
_LIMITED = 'ulimit -c 0 && ulimit -d "$1" && ulimit -t "$2" && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Limits:
    """What one run may take: bytes of memory, and seconds of the processor."""

    memory: int
    seconds: int


def find_ffmpeg() -> str:
    """Return the program's path; raise `EncodeError` (`encode.no_ffmpeg`) where there is none."""
    try:
        found = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        imageio_ffmpeg._utils._get_ffmpeg_exe.cache_clear()  # it would say so for ever, though one came
        raise EncodeError("encode.no_ffmpeg", reason=str(error)) from error
    path = shutil.which(found)
    if path is None:  # imageio-ffmpeg takes $IMAGEIO_FFMPEG_EXE at its word
        raise EncodeError("encode.no_ffmpeg", reason=f"{found} is not a program")
    return path


def cannot_run(path: str, error: OSError) -> EncodeError:
    return EncodeError("encode.no_ffmpeg", reason=f"{path}: {error.strerror or error}")


def run_ffmpeg(
    *arguments: str, timeout: float | None = None, limits: Limits | None = None, files: Sequence[int] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg to its end.

    files: descriptors that it gets, under the same numbers.
    Raises `EncodeError` (`encode.no_ffmpeg`), `subprocess.TimeoutExpired`.
    """
    path = find_ffmpeg()
    command = [path, "-hide_banner", "-nostdin", *arguments]
    if limits is not None:
        numbers = (str(limits.memory // 1024), str(limits.seconds))
        command = ["/bin/sh", "-c", _LIMITED, "sh", *numbers, *command]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout,
            pass_fds=files,
            env=child_environment(),
        )
    except OSError as error:
        raise cannot_run(path, error) from error


def ffmpeg_version() -> str:
    """Return the version of the ffmpeg that is used; raises as `find_ffmpeg`."""
    return read_version(find_ffmpeg(), VERSION_SECONDS)


def read_version(path: str, seconds: float) -> str:
    """Return what the program at `path` calls its version, `unknown` where it does not say so in time."""
    try:
        said = subprocess.run(
            [path, "-version"], capture_output=True, check=False, timeout=seconds, env=child_environment()
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.match(rb"ffmpeg version (\S+)", said)
    return "unknown" if found is None else found[1].decode(errors="replace")


def broken(path: Path, done: subprocess.CompletedProcess[bytes]) -> EncodeError:
    """Return the error for a video that ffmpeg could not read, in its own words."""
    errors = re.findall(r"\[(?:error|fatal)\] (.*?)\.?$", done.stderr.decode(errors="replace"), re.MULTILINE)
    reason = errors[0] if errors else f"ffmpeg ended with status {done.returncode}"
    return EncodeError("encode.broken", path=str(path), reason=reason)
