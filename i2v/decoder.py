"""Pictures from strangers are decoded in a process of their own, with a limit on memory and on time.

A bomb or a decoder's bug ends that process and nothing else. What comes back is a PNG file of the upright
pixels and nothing but pixels, and a thumbnail of it, so that nobody has to unpack the large one just to show
it; or, where the picture is only examined, its facts. This module is both sides: `decode_to_file` and
`examine_bytes` for the caller, and the process (`python -m i2v.decoder`), which reads one line of JSON and
the picture, and answers with one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from PIL import Image

from i2v.errors import EncodeError, I2VError, InvalidRequest, Notice
from i2v.image import ImageLimits, decode_picture
from i2v.picture_facts import PictureFacts, examine
from i2v.settings import ROOT

THUMBNAIL_SIDE = 256  # pixels, of the longer side
THUMBNAIL_TYPE = "image/jpeg"

_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each further thread reserves address space


@dataclass(frozen=True)
class Confines:
    """What the process may take.

    Attributes:
        memory: bytes of address space.
        seconds: of the processor, and twice as many on the clock.
    """

    memory: int
    seconds: int = 30

    @classmethod
    def of(cls, limits: ImageLimits) -> Self:
        """Return enough for every picture within `limits`: the greediest kinds took 28 bytes a pixel."""
        return cls(2**29 + 64 * limits.max_pixels + 2 * limits.max_bytes)


@dataclass(frozen=True)
class DecodedFile:
    """What was written: (width, height) in pixels, and what the person should know."""

    size: tuple[int, int]
    notices: tuple[Notice, ...]


def thumbnail_of(output: Path) -> Path:
    """Return where the thumbnail of the picture `output` lies (`THUMBNAIL_TYPE`)."""
    return output.with_suffix(".jpg")


def decode_to_file(
    data: bytes, limits: ImageLimits, output: Path, confines: Confines | None = None
) -> DecodedFile:
    """Decode `data` and write its pixels to `output`, a PNG that is on the disk when this returns.

    Its thumbnail is written too. Raises what follows, and may leave unfinished files then:
        InvalidRequest: `image.*`, as `decode_picture` does, or the process went beyond its confines.
        EncodeError: `image.not_stored`.
    """
    answer = _ask(data, limits, confines, output.absolute())
    if "unstored" in answer:
        raise EncodeError("image.not_stored", path=str(output.parent), reason=answer["unstored"])
    width, height = answer["size"]
    return DecodedFile((width, height), tuple(map(Notice.rebuilt, answer["notices"])))


def examine_bytes(data: bytes, limits: ImageLimits, confines: Confines | None = None) -> PictureFacts:
    """Return what is found in the picture `data`; nothing is written.

    Raises `InvalidRequest` as `decode_to_file` does.
    """
    return PictureFacts(**_ask(data, limits, confines, None)["facts"])


def _ask(data: bytes, limits: ImageLimits, confines: Confines | None, output: Path | None) -> dict[str, Any]:
    """Return the process's answer: the facts where there is no `output`."""
    if len(data) > limits.max_bytes:  # it need not travel
        decode_picture(data, limits)
    confines = confines or Confines.of(limits)
    order = {"limits": asdict(limits), "confines": asdict(confines), "output": output and str(output)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "i2v.decoder"],
            input=json.dumps(order).encode() + b"\n" + data,
            capture_output=True,
            timeout=2 * confines.seconds,
            cwd=ROOT,  # where this very package is found
            env=os.environ | _ALONE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidRequest("image.too_slow", allowed=confines.seconds) from error
    if done.returncode == -signal.SIGXCPU:
        raise InvalidRequest("image.too_slow", allowed=confines.seconds)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InvalidRequest("image.decoder_died", status=done.returncode, reason=reason[:200])
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise InvalidRequest.rebuilt(answer["error"])
    return answer


def main() -> int:
    order = json.loads(sys.stdin.buffer.readline())
    confines = Confines(**order["confines"])
    resource.setrlimit(resource.RLIMIT_AS, (confines.memory, confines.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (confines.seconds, confines.seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = ImageLimits(**order["limits"] | {"background": tuple(order["limits"]["background"])})
    output = Path(order["output"]) if order["output"] else None
    print(json.dumps(_answer(sys.stdin.buffer.read(), limits, output)))
    return 0


def _answer(data: bytes, limits: ImageLimits, output: Path | None) -> dict[str, object]:
    try:
        picture = decode_picture(data, limits)
        if output is None:
            return {"facts": asdict(examine(picture.image))}
        _store(picture.image, output)
        _store_thumbnail(picture.image, thumbnail_of(output))
    except I2VError as error:
        return {"error": error.to_dict()}
    except MemoryError:
        return {"error": InvalidRequest("image.no_memory").to_dict()}
    except OSError as error:  # of `_store`: `decode_picture` raises none
        if error.errno is None:  # the encoder's, not the disk's
            raise
        return {"unstored": os.strerror(error.errno)}
    return {"size": picture.image.size, "notices": [notice.to_dict() for notice in picture.notices]}


def _store(image: Image.Image, output: Path) -> None:
    with output.open("wb") as file:
        image.save(file, format="PNG", compress_level=1)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(output.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _store_thumbnail(image: Image.Image, output: Path) -> None:
    scale = min(1.0, THUMBNAIL_SIDE / max(image.size))
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    # reducing_gap: averaged by whole pixels down to three times the size first, which is fast for large ones
    image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0).save(output, format="JPEG", quality=80)


if __name__ == "__main__":
    sys.exit(main())
