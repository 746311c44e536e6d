"""The options of `scripts/start_app.sh`, which has their description, and what each of them does."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence

from i2v.cli.parsers import Parser
from i2v.core.errors import I2VError
from i2v.core.signals import INTERRUPTED, stopping
from i2v.launcher import control
from i2v.launcher.start import FLAGS, SCRIPT, Launcher, open_launcher, start, start_in_foreground
from i2v.launcher.terminal import Terminal
from i2v.launcher.texts import language_of

ACTIONS: dict[str, Callable[[Launcher], int]] = {
    "foreground": start_in_foreground,
    "stop": control.stop,
    "status": control.status,
    "restart": control.restart,
    "logs": control.show_log,
}


def main(argv: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 shows what it can
            stream.reconfigure(errors="replace")
    given = vars(build_parser().parse_args(argv))
    terminal = Terminal(language_of(os.environ), colours=not os.environ.get("NO_COLOR"))
    action = next((act for name, act in ACTIONS.items() if given[name]), start)
    flags = {name: given[name] for name in FLAGS if given[name] is not None}
    with stopping():
        try:
            return action(open_launcher(flags, terminal))
        except I2VError as error:
            return terminal.fail(error)
        except KeyboardInterrupt:
            return INTERRUPTED


def build_parser() -> Parser:
    parser = Parser(prog=SCRIPT, allow_abbrev=False)
    choice = parser.add_mutually_exclusive_group()
    for name in ACTIONS:
        choice.add_argument(f"--{name}", action="store_true")
    for name in FLAGS:
        parser.add_argument(f"--{name}")
    return parser
