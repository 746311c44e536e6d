"""`i2v completion`: what lets a shell complete the commands, flags and files of this program.

The script is made by shtab from the parser itself, so that a new flag needs nothing here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from i2v.cli.parsers import Commands

SHELLS = ("bash", "zsh", "fish")
_FILES = ("IMAGE", "CLIP", "SOURCE", "FILE", "FRAMES")  # metavars of what is a file; `SOURCE`: or a folder
_FOLDER = "FOLDER"

EXAMPLES = """\
to load it, once for each shell that begins:
  bash: eval "$(i2v completion bash)"           in ~/.bashrc
  zsh:  eval "$(i2v completion zsh)"            in ~/.zshrc, after compinit
  fish: i2v completion fish | source            in ~/.config/fish/config.fish
"""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "completion",
        help="print the script for completion in bash, zsh or fish",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    return parser


def run(arguments: argparse.Namespace) -> int:
    import shtab

    from i2v.cli.main import build_parser

    parser = build_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar == _FOLDER:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=arguments.shell), end="")
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the flags and arguments of a parser, and of all its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _actions(each)
