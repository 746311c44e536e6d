"""The metadata of a video: texts by name, as ffmpeg writes and reads them; not what they mean."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from i2v.core.errors import EncodeError
from i2v.media.video.program import Limits, broken, run_ffmpeg

MAX_TAGS = 2**20  # bytes of a file's metadata; ours has some thousand
LIMITS = Limits(memory=2**27, seconds=20)  # ours take some 30 MB; a header may unpack to any size

# https://ffmpeg.org/ffmpeg-formats.html#Metadata-2: these are escaped by a backslash, the end of a line too.
_SPECIAL = re.compile(r"[=;#\\\n]")
_HEADER = ";FFMETADATA1"


def read_tags(path: Path, seconds: float = 20.0, files: Sequence[int] = ()) -> dict[str, str]:
    """Return the metadata of an MP4 file by name; raise `EncodeError` (`encode.broken`) if it is none.

    Anybody may have made the file. It is read as MP4 and nothing else, since a playlist would have ffmpeg
    open other files and addresses; no frame is decoded; time, memory and what is taken over have limits.

    files: see `run_ffmpeg`; `path` may be one of them, as in /dev/fd/3.
    """
    command = ["-v", "level+error", "-max_alloc", str(LIMITS.memory)]
    command += ["-f", "mov", "-protocol_whitelist", "file", "-nofind_stream_info", "-i", f"file:{path}"]
    try:
        done = run_ffmpeg(*command, "-f", "ffmetadata", "-", timeout=seconds, limits=LIMITS, files=files)
    except subprocess.TimeoutExpired as error:
        reason = f"reading it took over {seconds:g} s"
        raise EncodeError("encode.broken", path=str(path), reason=reason) from error
    if done.returncode != 0:
        raise broken(path, done)
    if len(done.stdout) > MAX_TAGS:
        raise EncodeError("encode.broken", path=str(path), reason=f"its metadata has over {MAX_TAGS} bytes")
    return from_ffmetadata(done.stdout.decode(errors="replace"))


def to_ffmetadata(tags: Mapping[str, str]) -> bytes:
    def escaped(text: str) -> str:
        return _SPECIAL.sub(lambda found: "\\" + found[0], text)

    lines = [_HEADER, *(f"{escaped(name)}={escaped(text)}" for name, text in tags.items())]
    return "\n".join([*lines, ""]).encode()


def from_ffmetadata(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for line in re.findall(r"((?:\\.|[^\\\n])*)\n", text, re.DOTALL):
        if line.startswith("["):  # sections of streams and chapters follow
            break
        pair = re.fullmatch(r"((?:\\.|[^\\=])*)=(.*)", line, re.DOTALL)
        if pair is not None and not line.startswith((";", "#")):
            name, value = (re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in pair.groups())
            tags[name] = value
    return tags
