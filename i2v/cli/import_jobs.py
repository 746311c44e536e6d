"""`i2v import`: jobs of another installation are taken in."""

from __future__ import annotations

import argparse
import json
import os

from i2v.cli.archive_progress import ArchiveProgress, counted
from i2v.cli.backup import add_common
from i2v.cli.parsers import Commands


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "import",
        help="take in the jobs of a file that i2v export wrote",
        description="Take in the jobs of a file that i2v export wrote, with their pictures and videos."
        " Nothing is replaced, and jobs that are here already are left alone. The server may run meanwhile.",
    )
    add_common(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.settings_sources import load_settings
    from i2v.service.transfer import import_jobs

    settings = load_settings(arguments.config, os.environ)
    progress = ArchiveProgress("importing")
    found = import_jobs(settings, arguments.file, progress)
    progress.end()
    if arguments.json:
        print(json.dumps({"path": str(arguments.file), **vars(found)}))
    else:
        print(f"{arguments.file}: {counted(found.added, 'job')} added, {found.present} already here.")
    return 0
