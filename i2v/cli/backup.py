"""`i2v backup`: all jobs with their files as one file."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from i2v.cli.archive_progress import ArchiveProgress, counted
from i2v.cli.parsers import Commands


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "backup",
        help="write all jobs with their pictures and videos to one file",
        description="Write all jobs with their pictures and videos, and the access token, to one file. The"
        " server may run meanwhile. Model weights, settings and logs are not in it.",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    add_common(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.settings_sources import load_settings
    from i2v.service.backup import back_up

    settings = load_settings(arguments.config, os.environ)
    progress = ArchiveProgress("backing up")
    found = back_up(settings, arguments.file, arguments.force, progress)
    progress.end()
    if arguments.json:
        print(json.dumps({"path": str(arguments.file), **vars(found)}))
        return 0
    missing = f" Not there, and left out: {counted(found.missing, 'video')}." if found.missing else ""
    parts = f"{counted(found.jobs, 'job')}, {counted(found.videos, 'video')}, {found.size / 1e6:.1f} MB"
    print(f"{arguments.file}: {parts}.{missing}")
    return 0


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what all commands take that write or read an archive."""
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
