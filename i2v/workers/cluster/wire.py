"""What the service and its actors say to each other: values that are pickled, by the same version of all.

Nothing here opens anything: settings with tokens, keys or addresses of webhooks stay with the service.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from i2v.core.errors import I2VError, Notice
from i2v.core.memory_plan import DeviceInfo
from i2v.core.results import Result
from i2v.core.settings import EngineSettings, OutputSettings, Settings, WorkerSettings
from i2v.jobs.model import Progress
from i2v.weights.records import Expected
from i2v.workers.devices import Fetch

PIECE_BYTES = 2**22  # of a file, at a time


@dataclass(frozen=True)
class Versions:
    """What has to be the same on all machines: values are pickled between them."""

    i2v: str
    python: str
    ray: str

    @classmethod
    def here(cls) -> Versions:
        return cls(version("i2v"), platform.python_version(), version("ray"))


def mismatch(ours: Versions, theirs: Versions, node: str) -> I2VError | None:
    """Return why a machine cannot work for the service, `None` where it can.

    Of Python the third number does not matter.
    """
    for name, here, there in (
        ("i2v", ours.i2v, theirs.i2v),
        ("Python", _minor(ours.python), _minor(theirs.python)),
        ("Ray", ours.ray, theirs.ray),
    ):
        if here != there:
            return I2VError("cluster.other_version", node=node, name=name, here=here, there=there)
    return None


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


@dataclass(frozen=True)
class Shared:
    """The service's settings that its actors work by; where a machine keeps weights, its own settings say.

    embeddings_megabytes, embeddings_days: what is kept of prompts is the service's choice on every machine.
    """

    engine: EngineSettings
    output: OutputSettings
    worker: WorkerSettings
    embeddings_megabytes: float
    embeddings_days: float

    @classmethod
    def of(cls, settings: Settings) -> Shared:
        service = settings.service
        kept = (service.embeddings_megabytes, service.embeddings_days)
        return cls(settings.engine, settings.output, settings.worker, *kept)


@dataclass(frozen=True)
class Introduction:
    """What an actor says of itself first. `models`: the engines whose weights its machine has."""

    versions: Versions
    device: DeviceInfo
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """On the way: how far the clip is, and notices that stand in the job from now on.

    `fetch`: how far the weights are, where they are fetched.
    """

    progress: Progress | None = None
    notices: tuple[Notice, ...] = ()
    fetch: Fetch | None = None


@dataclass(frozen=True)
class Errand:
    """An actor is to get an engine's weights for its machine.

    Attributes:
        engine: its name.
        ticket: what `stop` calls it.
        from_server: the server has them, and is asked by `Wanted`; else they come from the hubs that the
            machine's own settings name.
        is_accepted: a person has accepted their licences on the server.
    """

    engine: str
    ticket: str
    from_server: bool
    is_accepted: bool


@dataclass(frozen=True)
class Wanted:
    """What an actor asks of the server meanwhile: a piece of a file, or with no `name` the list of all."""

    engine: str
    name: str = ""
    offset: int = 0
    size: int = 0


@dataclass(frozen=True)
class Files:
    """The answer to the latter: the server's files by their names in the model's folder."""

    files: Mapping[str, Expected]


@dataclass(frozen=True)
class Refused:
    """The server cannot give what is wanted."""

    reason: str


Answer = Files | bytes | Refused


@dataclass(frozen=True)
class FileFacts:
    """A file that an actor has ready: the clip's video, or its frames where only the end failed."""

    kind: Literal["video", "frames"]
    size: int
    sha256: str

    @classmethod
    def of(cls, kind: Literal["video", "frames"], path: Path) -> FileFacts:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(kind, path.stat().st_size, digest)


@dataclass(frozen=True)
class Made:
    """An actor's last word on a clip: the video is there and checked. `is_fit`: it can make another one."""

    result: Result
    video: FileFacts
    is_fit: bool = True


@dataclass(frozen=True)
class NotMade:
    """The other last word. `frames`: all were made; `notice`: what became of them otherwise."""

    error: I2VError
    frames: FileFacts | None = None
    notice: Notice | None = None
    is_fit: bool = True


@dataclass(frozen=True)
class Fetched:
    """The last word on an errand: the weights are there. `models`: see `Introduction`."""

    models: tuple[str, ...]


LastWord = Made | NotMade | Fetched
Message = Said | Wanted | LastWord
