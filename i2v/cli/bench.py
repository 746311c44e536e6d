"""`i2v bench`: what this machine really does, as a table and as a file to send."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from i2v.cli.parsers import Commands
from i2v.core.errors import Cancelled, InvalidRequest
from i2v.core.fields import shown
from i2v.core.memory_plan import Switch

if TYPE_CHECKING:
    from i2v.bench.report import Row

EPILOG = """\
checks:
  stock     the same clip with stock diffusers and with i2v: seconds, memory, frames
  presets   the four presets: seconds and memory, compared with the estimate and published figures
  nan       half precision: no NaN, no black frames
  cancel    how fast a cancelled clip stops, and whether its memory is released
  memory    whether a clip still finishes when memory gets short

The report contains no paths, prompts or names, so you can attach bench.json to an issue.
"""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "bench",
        help="benchmark this machine and write bench.json",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="run a few steps of each preset and extrapolate the times"
    )
    parser.add_argument("--only", metavar="CHECKS", help="run only these checks, separated by commas")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=Path("bench.json"),
        help="where to write the report (default: bench.json)",
    )
    parser.add_argument(
        "--engine", help="auto, or a model listed by i2v models (default: engine.name in the settings)"
    )
    for name, what in (("--kernels", "i2v's GPU kernels"), ("--cuda-graph", "CUDA graphs")):
        parser.add_argument(
            name,
            choices=get_args(Switch),
            help=f"off: measure without {what} (default: as the settings say)",
        )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Return 1 if a check has failed."""
    from i2v.bench.report import check_target
    from i2v.bench.run import NAMES, Asked, Bench
    from i2v.bench.table import heading
    from i2v.core.settings_sources import load_settings

    flags = {"engine.kernels": arguments.kernels, "engine.cuda_graph": arguments.cuda_graph}
    settings = load_settings(arguments.config, os.environ, flags)
    asked = Asked(
        engine=arguments.engine or settings.engine.name,
        only=_chosen(arguments.only, NAMES),
        is_quick=arguments.quick,
    )
    check_target(arguments.json)
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, _Screen() as screen:
        bench = Bench(settings, asked, os.environ, Path(folder), screen)
        print(heading(bench.report), flush=True)
        try:
            report = bench.run(arguments.json)
        except KeyboardInterrupt:
            screen.clear()
            if not bench.report.rows:
                raise
            print(f"i2v: Interrupted. The results so far are in {arguments.json}.", file=sys.stderr)
            return Cancelled.exit_code
    print(f"Report: {arguments.json}. It contains no paths, prompts or names; attach it to an issue.")
    return int(report.has_failed)


def _chosen(names: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    if names is None:
        return known
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    for name in chosen:
        if name not in known:
            allowed = f"one of {', '.join(known)}"
            raise InvalidRequest("request.invalid", field="--only", value=shown(name), allowed=allowed)
    if not chosen:
        raise InvalidRequest(
            "request.invalid", field="--only", value="''", allowed=f"one of {', '.join(known)}"
        )
    return tuple(name for name in known if name in chosen)


class _Screen:
    """Rows on standard output; on a terminal, what is being measured and the time left on standard error."""

    WIDTH = 78

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> _Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, name: str, left: float | None) -> None:
        if self._is_terminal:
            time = "" if left is None else f", about {_duration(left)} left"
            print(f"\r{f'measuring: {name}{time}':<{self.WIDTH}}", end="", file=sys.stderr, flush=True)

    def add(self, row: Row) -> None:
        from i2v.bench.table import line

        self.clear()
        print(line(row), flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print(f"\r{'':<{self.WIDTH}}\r", end="", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
