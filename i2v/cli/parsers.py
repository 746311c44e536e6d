"""argparse as the commands use it, and what a person may name as a file."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias
from urllib.parse import unquote, urlsplit

from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """argparse, but what is wrong with a value is said by the one validator, not by argparse.

    Attributes:
        late_help: returns what `--help` says last; called when it is printed, and not for each command.
    """

    late_help: Callable[[], str] | None = None

    def format_help(self) -> str:
        said = super().format_help()
        return said if self.late_help is None else f"{said}\n{self.late_help()}\n"

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"i2v: {message}\nTry: {self.prog} --help\n")


def local_path(given: str) -> Path:
    """Return the path of a file on this machine.

    Raises:
        InvalidRequest: it is an address (`path.*`), with what to do instead.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?", given)
    if scheme is None or (Path(given).exists() and not scheme[2]):
        return Path(given)
    if scheme[1].lower() == "file":
        path = unquote(urlsplit(given).path)
        raise InvalidRequest("path.file_url", value=shown(given, limit=300), path=shown(path, limit=300))
    if scheme[1].lower() == "data":
        raise InvalidRequest("path.data_url")
    if scheme[2]:
        raise InvalidRequest("path.address", value=shown(given, limit=300))
    return Path(given)
