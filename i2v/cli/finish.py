"""`i2v finish`: publish the frames that `i2v generate` kept when only the end of its work failed."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.clip_output import report
from i2v.cli.parsers import Commands

if TYPE_CHECKING:
    from i2v.media.outputs import OutputTarget


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "finish", help="write a video whose frames were generated but could not be saved"
    )
    parser.add_argument(
        "frames", metavar="FRAMES", type=Path, help="the file of saved frames that i2v generate printed"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="path of the video (default: outputs/video_DATE_TIME.mp4)"
    )
    parser.add_argument("--force", action="store_true", help="replace --output if it exists")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the path")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.file_names import facts_of
    from i2v.core.settings_sources import load_settings
    from i2v.media.outputs import OutputFile, OutputName
    from i2v.media.unpublished import read_kept
    from i2v.pipeline.delivery import publish_kept
    from i2v.pipeline.make import check_output

    output = load_settings(arguments.config, os.environ).output
    kept = read_kept(arguments.frames)
    facts = facts_of(kept.about.generation, "")
    target: OutputTarget = OutputName.of(output, datetime.now(), facts)
    if arguments.output is not None:
        target = OutputFile(arguments.output, force=arguments.force)
    check_output(target, with_sound=kept.about.sound is not None)
    report(publish_kept(kept, target), (), as_json=arguments.json)
    return 0
