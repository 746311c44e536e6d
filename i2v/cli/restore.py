"""`i2v restore`: the data becomes what a backup says."""

from __future__ import annotations

import argparse
import json
import os

from i2v.cli.archive_progress import ArchiveProgress, counted
from i2v.cli.backup import add_common
from i2v.cli.parsers import Commands


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "restore",
        help="make the server's data what a backup says",
        description="Make the server's data what a backup says, while no server runs. The file is checked"
        " first; videos never replace other files.",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="also where there are jobs already: they go to the trash of the data folder",
    )
    add_common(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.settings_sources import load_settings
    from i2v.service.restore import restore

    settings = load_settings(arguments.config, os.environ)
    progress = ArchiveProgress("restoring")
    found = restore(settings, arguments.file, arguments.replace, progress)
    progress.end()
    folder = settings.service.data_dir
    if arguments.json:
        print(json.dumps({"path": str(folder), **vars(found)}))
    else:
        parts = f"{counted(found.jobs, 'job')}, {counted(found.videos, 'video')}"
        print(f"{folder}: {parts} in {settings.output.directory}.")
    return 0
