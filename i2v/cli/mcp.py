"""`i2v mcp`: the tools for agents over standard input and output, of a server that runs or of one of its own.

What an agent's program starts and ends. It makes no clips itself: jobs belong to a server, whose queue they
share with everybody else's. Where none runs for this data folder, one is started for as long as this lasts.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.parsers import Commands
from i2v.core.errors import I2VError

if TYPE_CHECKING:
    from i2v.cli.remote import Server
    from i2v.core.settings import Settings

START_SECONDS = 120.0  # that a server of our own may take to answer
POLL_SECONDS = 0.1

EXAMPLES = """\
In the settings of an agent's program:
  {"mcpServers": {"i2v": {"command": "i2v", "args": ["mcp"]}}}
"""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "mcp",
        help="serve tools to agents over stdio (Model Context Protocol)",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="which server (default: the one that runs with this data folder, or else one of its own)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    if find_spec("mcp") is None:
        raise I2VError("cli.no_mcp_package")
    from i2v.cli.mcp_bridge import bridge
    from i2v.cli.remote import Server
    from i2v.core.settings_sources import load_settings

    settings = load_settings(arguments.config, os.environ)
    if arguments.server is not None:
        bridge(Server.find(settings, arguments.server))
        return 0
    with _server(settings, arguments.config) as server:
        bridge(server)
    return 0


@contextmanager
def _server(settings: Settings, config: Path | None) -> Iterator[Server]:
    """Yield the server that runs with the data folder, or start one, and end that one afterwards."""
    if (running := _find(settings)) is not None:
        yield running
        return
    command = [sys.executable, "-m", "i2v", "serve", "--host", "127.0.0.1", "--port", "0"]
    command += [] if config is None else ["--config", str(config)]
    process = subprocess.Popen(
        command,
        env=os.environ | {"I2V_SERVER__PAGE": "false"},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,  # our own output is the protocol's
        start_new_session=True,  # so that it ends in its own time, whatever ends us
    )
    try:
        yield _wait(settings, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _find(settings: Settings) -> Server | None:
    from i2v.cli.remote import Server

    try:
        return Server.find(settings, None)
    except I2VError as error:
        if error.code != "cli.no_server":
            raise
        return None


def _wait(settings: Settings, process: subprocess.Popen[bytes]) -> Server:
    """Return the server once it answers; raise `I2VError` (`cli.not_started`)."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if (server := _find(settings)) is not None and server.answers():
            return server
        time.sleep(POLL_SECONDS)
    raise I2VError("cli.not_started")
