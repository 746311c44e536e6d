"""`python -m tests.batching HOME ARGUMENTS...` is `i2v batch` with the rehearsal engine in HOME."""

from __future__ import annotations

import sys
from pathlib import Path

from i2v.cli.batch import run_batch
from i2v.cli.main import build_parser
from i2v.core.errors import I2VError
from i2v.core.signals import INTERRUPTED, stopping
from tests.rehearsal import ENGINES, stage


def main(home: Path, arguments: list[str]) -> int:
    with stopping():
        try:
            return run_batch(build_parser().parse_args(["batch", *arguments]), stage(home), ENGINES)
        except I2VError as error:
            print(f"i2v: {error.message}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
