"""The decoder's process, asked once for each picture: hundreds of tests send the same few."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from i2v.media import decoder
from i2v.media.pictures.limits import ImageLimits

LARGEST = 2**20  # bytes of a question and its answer: the few that are larger are asked again


@dataclass(frozen=True)
class Answer:
    """What the process said, and the files that it wrote: the picture and its thumbnail."""

    said: dict[str, Any]
    sent: bytes
    files: tuple[bytes, ...]


_ANSWERS: dict[tuple[decoder.Task, bytes, ImageLimits, decoder.Confines], Answer] = {}


@contextmanager
def decoded_once() -> Iterator[None]:
    """Give a question's second asker what the process answered to the first one; errors are not kept.

    That the process keeps to its confines is tested where this is not in force, in `tests/media`.
    """
    ask = decoder._ask

    def recall(
        task: decoder.Task, data: bytes, limits: ImageLimits, confines: decoder.Confines,
        output: Path | None = None,
    ) -> tuple[dict[str, Any], bytes]:  # fmt: skip
        question = task, data, limits, confines
        paths = (output, decoder.thumbnail_of(output)) if output else ()
        if question not in _ANSWERS:
            said, sent = ask(task, data, limits, confines, output)
            if "unstored" in said or len(data) + len(sent) > LARGEST:
                return said, sent
            files = tuple(path.read_bytes() for path in paths)
            _ANSWERS[question] = Answer(copy.deepcopy(said), sent, files)
            return said, sent
        answer = _ANSWERS[question]
        try:
            for path, content in zip(paths, answer.files, strict=True):
                path.touch(0o600)
                path.write_bytes(content)
        except OSError as error:
            return {"unstored": error.errno}, b""
        return copy.deepcopy(answer.said), answer.sent

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "_ask", recall)
        yield
