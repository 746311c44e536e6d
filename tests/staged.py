"""`python -m tests.staged FOLDER [PORT [HOST]]` is `i2v serve` with the rehearsal engine, all in FOLDER."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from i2v.serve import serve
from tests.rehearsal import ENGINES, stage

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as `i2v.cli.main` has it
    home = Path(sys.argv[1])
    port = sys.argv[2] if len(sys.argv) > 2 else "0"
    host = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
    serve(stage(home, server__port=port, server__host=host), ENGINES, home / "logs")
