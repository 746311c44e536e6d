"""Pictures from strangers are read in a process of their own, with a limit on memory and on time.

A bomb or a decoder's bug ends that process and nothing else. This module is both sides: the functions for
the caller, and the process (`python -m i2v.media.decoder`), which reads one line of JSON and the picture, and
answers with lines of JSON, behind which pixels may follow.

What is kept of a picture is its own file with all but the pixels taken out, where that is known how to do,
and a PNG of the pixels otherwise; beside it lies a thumbnail, so that nobody has to unpack the large one to
show it.
"""

from __future__ import annotations

import io
import json
import math
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from PIL import Image

from i2v.core.child_environment import child_environment
from i2v.core.errors import I2VError, InvalidRequest, Notice, not_stored
from i2v.media.pictures.decode import (
    Inspection,
    Picture,
    clean,
    decode_cleaned,
    decode_picture,
    inspect_picture,
)
from i2v.media.pictures.limits import KEPT_PIXELS, ImageLimits

if TYPE_CHECKING:
    from i2v.media.picture_facts import PictureFacts

THUMBNAIL_SIDE = 256  # pixels, of the longer side
THUMBNAIL_TYPE = "image/jpeg"
HEADER_SECONDS = 8  # of the processor, for what is read before the pixels
DECODE_SECONDS = 30  # for all of the largest picture
CLOCK_SECONDS = 60  # whatever the process waits for, beside others

Task = Literal["inspect", "examine", "keep", "pixels", "png"]

_ROOT = Path(__file__).resolve().parents[2]  # where this very package is found
_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each further thread reserves address space
# Of what was let in already, under any settings.
_STORED = ImageLimits(max_bytes=10**9, max_pixels=400_000_000)
# Somebody else's signals: the picture cannot send them. The kernel sends the first when memory runs out.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class Confines:
    """What the process may take.

    Attributes:
        memory: bytes of address space.
        seconds: of the processor, less for small pictures.
        clock: seconds on the clock.
    """

    memory: int
    seconds: int = DECODE_SECONDS
    clock: int = CLOCK_SECONDS

    @classmethod
    def of(cls, limits: ImageLimits) -> Self:
        """Return enough for every picture within `limits`.

        The greediest kinds took 28 bytes a pixel; of those that are scaled down, 16 (WebP of 110 megapixels).
        """
        pixels = max(64 * min(limits.max_pixels, KEPT_PIXELS), 24 * limits.max_pixels)
        return cls(2**29 + pixels + 4 * limits.max_bytes)


@dataclass(frozen=True)
class DecodedFile:
    """What was written: (width, height) of the picture in pixels, and what the person should know."""

    size: tuple[int, int]
    notices: tuple[Notice, ...]


def thumbnail_of(output: Path) -> Path:
    """Return where the thumbnail of the picture `output` lies (`THUMBNAIL_TYPE`)."""
    return output.with_suffix(".jpg")


def inspect_bytes(data: bytes, limits: ImageLimits) -> Inspection:
    """Return what the header of `data` tells; raises as `decode_to_file` does, for what a header can tell."""
    confines = replace(Confines.of(limits), seconds=HEADER_SECONDS, clock=2 * HEADER_SECONDS)
    answer, _ = _ask("inspect", data, limits, confines)
    size, source_size = answer["size"], answer["source_size"]
    notices = tuple(map(Notice.rebuilt, answer["notices"]))
    return Inspection((size[0], size[1]), (source_size[0], source_size[1]), notices)


def decode_to_file(
    data: bytes, limits: ImageLimits, output: Path, confines: Confines | None = None
) -> DecodedFile:
    """Decode `data` and keep it as `output`, a file that is on the disk when this returns.

    Its thumbnail is written too. Raises what follows, and may leave unfinished files then:
        InvalidRequest: `image.*`, as `decode_picture` does, or the process went beyond its confines.
        EncodeError: `image.no_space`, `image.not_stored`.
        I2VError: `image.decoder_stopped`, `image.decoder_missing`; the picture may be right.
    """
    answer, _ = _ask("keep", data, limits, confines or Confines.of(limits), output.absolute())
    if "unstored" in answer:
        number = answer["unstored"]
        raise not_stored(output.parent, OSError(number, os.strerror(number)))
    width, height = answer["size"]
    return DecodedFile((width, height), tuple(map(Notice.rebuilt, answer["notices"])))


def examine_bytes(data: bytes, limits: ImageLimits, confines: Confines | None = None) -> PictureFacts:
    """Return what is found in the picture `data`; nothing is written. Raises as `decode_to_file` does."""
    from i2v.media.picture_facts import PictureFacts

    answer, _ = _ask("examine", data, limits, confines or Confines.of(limits))
    return PictureFacts(**answer["facts"])


def read_picture(path: Path) -> Picture:
    """Return the picture that `decode_to_file` kept as `path`, with the same pixels.

    Raises `OSError` if the file cannot be read, and as `decode_to_file` does if it is not what it was.
    """
    data = path.read_bytes()
    answer, pixels = _ask("pixels", data, _STORED, Confines.of(_STORED))
    width, height = answer["size"]
    return Picture(Image.frombytes("RGB", (width, height), pixels), (width, height), ())


def read_png(path: Path) -> bytes:
    """Return the same as a PNG file of its pixels and of nothing else."""
    return _ask("png", path.read_bytes(), _STORED, Confines.of(_STORED))[1]


# --- the caller's side


def _ask(
    task: Task, data: bytes, limits: ImageLimits, confines: Confines, output: Path | None = None
) -> tuple[dict[str, Any], bytes]:
    """Return the process's answer, and what it sends behind it."""
    limits.check_bytes(len(data))  # else it need not travel
    order = {
        "task": task,
        "limits": asdict(limits),
        "confines": asdict(confines),
        "output": output and str(output),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "i2v.media.decoder"],
            input=json.dumps(order).encode() + b"\n" + data,
            capture_output=True,
            timeout=confines.clock,
            cwd=_ROOT,
            env=child_environment(_ALONE),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidRequest("image.too_slow", allowed=confines.clock) from error
    except OSError as error:  # no descriptor, no process, no memory left
        raise I2VError("image.decoder_missing", reason=error.strerror or str(error)) from error
    seconds, line, sent = confines.seconds, b"", done.stdout
    while sent and not line.startswith(b"{"):
        seconds = int(line or seconds)
        line, _, sent = sent.partition(b"\n")
    _check_end(done.returncode, done.stderr, seconds)
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise InvalidRequest.rebuilt(answer["error"])
    return answer, sent


def _check_end(status: int, stderr: bytes, seconds: int) -> None:
    """Raise if the process has not come to its end: by the picture's fault, or by nobody's."""
    if status == 0:
        return
    reason = stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
    if status == -signal.SIGXCPU:
        raise InvalidRequest("image.too_slow", allowed=seconds)
    if -status in _FROM_OUTSIDE:
        raise I2VError("image.decoder_stopped", status=status)
    if status < 0:  # a crash
        raise InvalidRequest(
            "image.decoder_died", status=status, reason=reason or signal.strsignal(-status) or ""
        )
    if reason.startswith("MemoryError"):
        raise InvalidRequest("image.no_memory")
    raise I2VError("image.decoder_missing", reason=reason)  # all that a picture can cause is answered


# --- the process


def main() -> int:
    os.umask(0o077)  # what it writes is for the service alone
    order = json.loads(sys.stdin.buffer.readline())
    confines = Confines(**order["confines"])
    resource.setrlimit(resource.RLIMIT_AS, (confines.memory, confines.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_time(min(HEADER_SECONDS, confines.seconds))
    os.nice(5)  # who only wants to see a page comes first
    Image.MAX_IMAGE_PIXELS = None  # the limits have the number
    limits = ImageLimits(**order["limits"] | {"background": tuple(order["limits"]["background"])})
    output = Path(order["output"]) if order["output"] else None
    answer, sent = _answer(order["task"], sys.stdin.buffer.read(), limits, confines, output)
    print(json.dumps(answer), flush=True)
    sys.stdout.buffer.write(sent)
    sys.stdout.flush()
    return 0


def _limit_time(seconds: int) -> None:
    """Allow so many seconds of the processor from the start of the process, and say so to the caller."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
    print(seconds, flush=True)


def _seconds_for(size: tuple[int, int]) -> int:
    """Return what a picture of `size` may take: ordinary ones take a tenth of it."""
    return HEADER_SECONDS + math.ceil(size[0] * size[1] / 4e6)


def _answer(
    task: Task, data: bytes, limits: ImageLimits, confines: Confines, output: Path | None
) -> tuple[dict[str, object], bytes]:
    try:
        found = inspect_picture(data, limits)
        if task == "inspect":
            return _header(found.size, found.notices, found.source_size), b""
        _limit_time(min(_seconds_for(found.source_size), confines.seconds))
        if task == "keep":
            assert output is not None
            return _keep(data, limits, output), b""
        picture = decode_picture(data, limits)
        if task == "examine":
            from i2v.media.picture_facts import examine  # numpy: half of the time that other tasks take

            return {"facts": asdict(examine(picture.image))}, b""
        sent = _png(picture.image) if task == "png" else picture.image.tobytes()
        return {"size": picture.image.size}, sent
    except I2VError as error:
        return {"error": error.to_dict()}, b""
    except MemoryError:
        return {"error": InvalidRequest("image.no_memory").to_dict()}, b""


def _header(
    size: tuple[int, int], notices: tuple[Notice, ...], source_size: tuple[int, int]
) -> dict[str, object]:
    return {"size": size, "source_size": source_size, "notices": [notice.to_dict() for notice in notices]}


def _keep(data: bytes, limits: ImageLimits, output: Path) -> dict[str, object]:
    kind, cleaned = clean(data, limits)
    picture = decode_cleaned(kind, cleaned, limits)
    try:
        _write(output, cleaned.data if cleaned.is_private else _png(picture.image))
        _write(thumbnail_of(output), _thumbnail(picture.image))
    except OSError as error:
        if error.errno is None:  # the encoder's, not the disk's
            raise
        return {"unstored": error.errno}
    return _header(picture.image.size, picture.notices, picture.source_size)


def _write(output: Path, data: bytes) -> None:
    with output.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=1)
    return file.getvalue()


def _thumbnail(image: Image.Image) -> bytes:
    scale = min(1.0, THUMBNAIL_SIDE / max(image.size))
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    file = io.BytesIO()
    # reducing_gap: averaged by whole pixels down to three times the size first, which is fast for large ones
    image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0).save(file, format="JPEG", quality=80)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
