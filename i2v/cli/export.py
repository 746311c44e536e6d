"""`i2v export`: some jobs with their files as one file, for another installation."""

from __future__ import annotations

import argparse
import json
import os

from i2v.cli.archive_progress import ArchiveProgress, counted
from i2v.cli.backup import add_common
from i2v.cli.parsers import Commands


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "export",
        help="write jobs with their pictures and videos to one file, for i2v import",
        description="Write finished jobs with their pictures and videos to one file, for i2v import on"
        " another machine. The server may run meanwhile.",
    )
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="ids of the jobs")
    parser.add_argument("--all", action="store_true", help="all finished jobs that are not in the trash")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    add_common(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.errors import InvalidRequest
    from i2v.core.settings_sources import load_settings
    from i2v.service.transfer import export_jobs

    if bool(arguments.jobs) == arguments.all:
        raise InvalidRequest("export.which")
    settings = load_settings(arguments.config, os.environ)
    progress = ArchiveProgress("exporting")
    which = None if arguments.all else arguments.jobs
    found = export_jobs(settings, which, arguments.file, arguments.force, progress)
    progress.end()
    if arguments.json:
        print(json.dumps({"path": str(arguments.file), **vars(found)}))
        return 0
    missing = f" Not there, and left out: {counted(found.missing, 'video')}." if found.missing else ""
    print(f"{arguments.file}: {counted(found.jobs, 'job')}, {counted(found.videos, 'video')}.{missing}")
    return 0
