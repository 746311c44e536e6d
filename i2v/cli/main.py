"""The command line: which commands there are, exit codes, and what a person sees of a failure.

Standard output carries results, standard error progress and notices. Exit codes: 0 done, 1 failed, 2 bad
input, 130 interrupted; of `i2v batch` also 3: some of it failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from i2v.cli import (
    backup,
    batch,
    bench,
    completion,
    doctor,
    enhance,
    export,
    extend,
    finish,
    generate,
    import_jobs,
    info,
    jobs,
    mcp,
    models,
    plan,
    restore,
    serve,
    worker,
)
from i2v.cli.engine_help import flag_of
from i2v.cli.failures import failure_sentence
from i2v.cli.parsers import Parser
from i2v.cli.streams import why_lost
from i2v.core.errors import Cancelled, I2VError, render
from i2v.core.messages import hint
from i2v.core.signals import stopping

COMMANDS = (
    generate, batch, enhance, extend, finish, serve, worker, jobs, mcp, plan, info, models, doctor, bench,
    backup, restore, export, import_jobs, completion,
)  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="i2v",
        description="Turn a photo and a sentence into a video.",
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
    with stopping() as is_stopped:
        try:
            return _run(argv)
        except I2VError as error:
            return _fail(_sentence(error), error.exit_code)
        except KeyboardInterrupt:
            return _interrupted()
        except Exception as error:
            if is_stopped():  # and a library made something else of the interruption
                return _interrupted()
            return _fail(failure_sentence(error), 1)


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as end:  # argparse's way: help was printed, or what is wrong with the arguments
        return int(end.code or 0) or _check_stdout()
    code: int = arguments.run(arguments)
    if arguments.run is serve.run:  # its answers go over the network
        return code
    return code or _check_stdout()


def _check_stdout() -> int:
    """Return 1 if a result was lost, and say so unless its reader has gone away."""
    error = why_lost(sys.stdout)
    if error is None:
        return 0
    if isinstance(error, BrokenPipeError):  # as of `head`, which has what it wanted
        return 1
    return _fail(I2VError("cli.result_lost", reason=error.strerror).message, 1)


def _sentence(error: I2VError) -> str:
    """Return what happened and what to do, with a field of the request named as its flag."""
    message, advice = error.message, hint(error.code)
    named = flag_of(str(error.params.get("field", "")), str(error.params.get("value", "")))
    if named is not None:
        message = render(error.code, error.params | {"field": named})
    return message if advice is None else f"{message} {advice}"


def _interrupted() -> int:
    return _fail(Cancelled("job.interrupted").message, Cancelled.exit_code)


def _fail(message: str, code: int) -> int:
    print(f"i2v: {message}", file=sys.stderr)
    return code
