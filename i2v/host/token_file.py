"""Secrets that i2v makes itself, such as the access token: files that only their owner reads.

Knows not what they open.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from i2v.core.errors import I2VError
from i2v.core.fields import shown
from i2v.core.setting_values import check_token

BYTES = 32  # of randomness


def new_token() -> str:
    return secrets.token_urlsafe(BYTES)


def read_or_make(path: Path, make: Callable[[], str] = new_token) -> tuple[str, bool]:
    """Return the token that is kept at `path`, and whether it was made just now because there was none.

    make: returns a new one, 16 to 200 printable ASCII characters without spaces.

    Raises:
        I2VError: it cannot be read or written, others may read it, or it is no token.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path), False
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    token = make()
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)  # the next start would find half a token
        raise _unusable(path, error.strerror or str(error)) from error
    return token, True


def read_given(path: Path) -> str:
    """Return the token in a file that is not ours: who may read it is its owner's business, as of a secret
    that a container is given. Raises `I2VError` as `read_or_make` does.
    """
    return _read_with_mode(path)[0]


def _read(path: Path) -> str:
    token, mode = _read_with_mode(path)
    if mode & 0o077:
        raise _unusable(path, f"others may use the file, its mode is {mode:04o}")
    return token


def _read_with_mode(path: Path) -> tuple[str, int]:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(10_000).strip()
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    try:
        check_token(token)
    except ValueError as error:
        raise _unusable(path, f"it does not hold {error}") from error
    return token, mode


def _unusable(path: Path, reason: str) -> I2VError:
    return I2VError("server.token_file", path=shown(str(path), limit=300), reason=reason)
