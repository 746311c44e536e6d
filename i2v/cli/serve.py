"""`i2v serve`: the API, and the jobs behind it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from i2v.cli.parsers import Commands


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("serve", help="answer over HTTP, and run jobs one after another")
    parser.add_argument(
        "--host",
        metavar="NAME",
        help="where to listen (server.host: 127.0.0.1); 0.0.0.0: on the network, with a token",
    )
    parser.add_argument("--port", metavar="N", help="server.port (7860); 0: a free one, which is printed")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings to use instead of config.yaml")
    parser.add_argument("--quiet", action="store_true", help="write warnings to the log alone")
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.settings import load_settings
    from i2v.serve import serve

    flags = {"server.host": arguments.host, "server.port": arguments.port}
    serve(load_settings(arguments.config, os.environ, flags), quiet=arguments.quiet)
    return 0
