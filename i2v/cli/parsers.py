"""argparse as the commands use it."""

from __future__ import annotations

import argparse
from typing import NoReturn, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """argparse, but what is wrong with a value is said by the one validator, not by argparse."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"i2v: {message}\nTry: {self.prog} --help\n")
