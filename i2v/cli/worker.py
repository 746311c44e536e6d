"""`i2v worker`: this machine runs jobs of a server on another one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from i2v.cli.parsers import Commands

JOIN_SECONDS = 120.0


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("worker", help="run jobs of a server on another machine, by Ray")
    parser.add_argument(
        "--address",
        required=True,
        metavar="HOST:PORT",
        help="Ray of the server: its ray.head_host and ray.head_port",
    )
    parser.add_argument("--name", metavar="NAME", help="what to call this machine (default: its host name)")
    parser.add_argument(
        "--host", metavar="ADDRESS", help="this machine's own address in that network (default: Ray finds it)"
    )
    parser.add_argument("--gpus", type=int, metavar="N", help="lend so many GPUs (default: all)")
    parser.add_argument(
        "--grace",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="when it is stopped, let running jobs end for so long, then give them back (default: 600)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="read settings from FILE, as where weights are kept",
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.packages import refuse_old_packages

    refuse_old_packages()
    from i2v.core.errors import I2VError
    from i2v.core.settings_sources import ROOT, load_settings
    from i2v.workers.cluster.member import (
        Membership,
        check_address,
        joined,
        own_environment,
        wait_until_reached,
    )

    load_settings(arguments.config, os.environ)  # what is wrong there is said here, and not by each actor
    check_address(arguments.address)
    membership = Membership(arguments.address, arguments.name, arguments.host, arguments.gpus)
    environ, log, is_back = own_environment(arguments.config), ROOT / "logs" / "ray.log", False
    while True:
        try:
            with joined(membership, environ, log) as member:
                member.wait_until_joined(JOIN_SECONDS)
                print(f"This machine has joined {arguments.address}. Ctrl-C: leave in order", flush=True)
                is_back = True
                try:
                    member.wait()
                except KeyboardInterrupt:
                    print("Leaving: running jobs end first, or are given back", flush=True)
                    member.leave(arguments.grace)
                    return 0
            print("Ray has ended here: this machine joins again when the server is back", flush=True)
        except I2VError as error:
            if not is_back:  # the first time: a person is there
                raise
            print(error.message, flush=True)
        wait_until_reached(arguments.address)
