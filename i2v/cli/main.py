"""The entry point: which commands there are, exit codes, signals, and what a person sees of a failure.

Standard output carries results, standard error progress and notices. Exit codes: 0 done, 1 failed, 2 bad
input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from types import FrameType

from i2v.cli import bench, doctor, finish, generate, info, models, plan, serve
from i2v.cli.parsers import Parser
from i2v.errors import Cancelled, I2VError

COMMANDS = (generate, finish, serve, plan, info, models, doctor, bench)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="i2v",
        description="A photo and a sentence become a video.",
        epilog=generate.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"i2v {version('i2v')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add_parser(commands).set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    No traceback reaches the person; it goes to a file in logs/.
    """
    arguments = build_parser().parse_args(argv)
    try:
        with _stop_on_signals():
            code: int = arguments.run(arguments)
            sys.stdout.flush()  # here, where a reader that is gone or a full disk can be told
            return code
    except I2VError as error:
        return _fail(error.message, error.exit_code)
    except KeyboardInterrupt:
        return _fail(Cancelled("job.interrupted").message, Cancelled.exit_code)
    except BrokenPipeError:
        _close_stdout()
        return 1
    except Exception as error:
        return _fail(f"Something went wrong inside i2v ({type(error).__name__}). {_log_traceback()}", 1)


def _close_stdout() -> None:
    """Let what is still buffered go nowhere: Python would complain of it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    print(f"i2v: {message}", file=sys.stderr)
    return code


def _log_traceback() -> str:
    """Write the traceback to logs/ and return a sentence that says where."""
    from i2v.settings import ROOT

    path = ROOT / "logs" / f"error_{datetime.now():%Y%m%d_%H%M%S}_{os.getpid()}.log"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError as error:
        return f"The details could not be written to {path}: {error}."
    return f"The details are in {path}."


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the job as Ctrl-C does: at once, with nothing left behind."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in numbers:  # SIGHUP is ignored under nohup, and stays so
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
