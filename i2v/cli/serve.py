"""`i2v serve`: the API, and the jobs behind it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from i2v.cli.parsers import Commands


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("serve", help="run the server: web page, API and job queue")
    parser.add_argument(
        "--host",
        metavar="NAME",
        help="address to listen on (default: 127.0.0.1); 0.0.0.0 opens it to the network, with a token",
    )
    parser.add_argument(
        "--port", metavar="N", help="port to listen on (default: 7860); 0 picks a free one and prints it"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    parser.add_argument("--quiet", action="store_true", help="log warnings to the log file only")
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.packages import refuse_old_packages

    refuse_old_packages()  # before they are loaded
    from i2v.core.settings_sources import load_settings
    from i2v.serve import serve

    flags = {"server.host": arguments.host, "server.port": arguments.port}
    serve(load_settings(arguments.config, os.environ, flags), quiet=arguments.quiet)
    return 0
