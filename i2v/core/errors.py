"""What can go wrong, and how it is said.

Every error and every notice is `{code, params, message}`: the code is stable and is what pages translate by,
the params are the values it is about, the message is the English sentence made from both (`messages` has the
sentences). This module knows nothing about requests, pictures or models.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import Any, ClassVar, Self

from i2v.core.messages import catalogue, fill

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

Param = str | int | float | bool | None


def printable(text: str) -> str:
    """Return `text` with escapes for what breaks a line, a terminal or UTF-8, e.g. lone surrogates."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _encodable(value: Param) -> Param:
    """Escape lone surrogates, which names of files can hold: no reply or log could be written with them."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def render(code: str, params: dict[str, Param]) -> str:
    """Return the English sentence for `code`; a missing code or parameter is a bug (`KeyError`)."""
    return fill(catalogue()[code].message, params)


@dataclass(frozen=True)
class Notice:
    """Something the person should know although the job goes on, e.g. that a prompt was cut off."""

    code: str
    params: dict[str, Param]
    sentence: str = field(default="", compare=False)  # as it was said where it was made, if not here

    def __post_init__(self) -> None:
        encodable = {name: _encodable(value) for name, value in self.params.items()}
        object.__setattr__(self, "params", encodable)

    @property
    def message(self) -> str:
        return self.sentence or render(self.code, self.params)

    @classmethod
    def rebuilt(cls, stored: Mapping[str, Any]) -> Self:
        """Return the notice that `to_dict` of another process, maybe of another version, returned."""
        return cls(stored["code"], dict(stored["params"]), stored.get("message", ""))

    def to_dict(self) -> dict[str, object]:
        return {"code": self.code, "params": self.params, "message": self.message}


def read_notices(stored: object) -> tuple[Notice, ...]:
    """Return the notices of parsed JSON, which any version may have written; raise `ValueError`."""
    from i2v.core.stored import read_as  # needs pydantic, whose absence is an error to be told as well

    notices = tuple(Notice.rebuilt(vars(each)) for each in read_as(_NOTICES, stored))
    for notice in notices:
        try:
            _ = notice.message
        except (LookupError, ValueError):  # of another version, and stored without its sentence
            raise ValueError(f"the notice {notice.code} has no message") from None
    return notices


@dataclass(frozen=True)
class _StoredNotice:
    code: str
    params: dict[str, Any] = field(default_factory=dict)
    message: str = ""


_NOTICES = tuple[_StoredNotice, ...]


class I2VError(Exception):
    """Base of all errors that a person is meant to read. `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, **params: Param) -> None:
        self.code = code
        self.params = {name: _encodable(value) for name, value in params.items()}
        self.message = render(code, self.params)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Callable[[], I2VError], tuple[()]]:
        """Let the error travel between processes: by default, pickle would pass the message as the code."""
        return partial(type(self), self.code, **self.params), ()

    @classmethod
    def rebuilt(cls, stored: Mapping[str, Any]) -> Self:
        """Return the error that another process sent as code and params."""
        return cls(stored["code"], **stored["params"])

    def to_dict(self) -> dict[str, object]:
        return {"code": self.code, "params": self.params, "message": self.message}


class InvalidRequest(I2VError):
    """The request, the picture or a setting is wrong; nothing was started."""

    exit_code = 2


class ModelUnavailable(I2VError):
    """The weights are missing, incomplete or do not fit the engine."""


class InsufficientMemory(I2VError):
    """The job does not fit the device, whatever the options."""


class EncodeError(I2VError):
    """A video or a picture could not be written; carries the words of ffmpeg or the system."""


def not_stored(folder: str | PathLike[str], error: OSError) -> EncodeError:
    """Return why `folder` does not take a picture: its disk is full, or something else."""
    path, reason = str(folder), error.strerror or str(error)
    if error.errno in DISK_FULL:
        return EncodeError("image.no_space", path=path, reason=reason)
    return EncodeError("image.not_stored", path=path, reason=reason)


class Cancelled(I2VError):
    """The person stopped the job."""

    exit_code = 130


class QueueFull(I2VError):
    """The service takes no more jobs for now."""
