"""`i2v enhance`: a finished clip made larger, or with frames in between: a file, or a job of a server."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import quote

from i2v.cli.clip_output import ClipProgress, bar, draw, report
from i2v.cli.info import read_clip
from i2v.cli.parsers import Commands, local_path
from i2v.core.enhancement import MAX_SCALE, EnhanceRequest
from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.core.schema import MAX_OUTPUT_FPS, Interpolation, Upscaling

if TYPE_CHECKING:
    from i2v.core.results import Result
    from i2v.core.settings import Settings
    from i2v.engines.base import Decoded
    from i2v.media.outputs import OutputTarget

EXAMPLES = """\
examples:
  i2v enhance clip.mp4 --output-fps 60
  i2v enhance clip.mp4 --scale 2 --upscaler span --output large.mp4
  i2v enhance 5f3a... --output-fps 30 --scale 2     # a job of the server that runs: a new job there
"""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "enhance",
        help="make a finished clip larger, or its motion smoother",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("clip", metavar="CLIP|JOB", help="a video made by i2v, or the id of a server's job")
    parser.add_argument(
        "--output-fps", help=f"frames per second, more than the clip has, up to {MAX_OUTPUT_FPS}"
    )
    parser.add_argument(
        "--interpolation", help=f"how frames in between are computed: {', '.join(get_args(Interpolation))}"
    )
    parser.add_argument("--scale", help=f"sides times this, up to {MAX_SCALE}")
    parser.add_argument("--upscaler", help=f"what enlarges frames: {', '.join(get_args(Upscaling))}")
    add_output_flags(parser)
    return parser


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add what says where the clip goes that is made of another one."""
    parser.add_argument(
        "--output", metavar="FILE", help="path of the video (default: outputs/video_DATE_TIME.mp4)"
    )
    parser.add_argument("--force", action="store_true", help="replace --output if it exists")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.add_argument(
        "--server", metavar="URL", help="of a job (default: the one that runs with this data folder)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.settings_sources import load_settings

    settings = load_settings(arguments.config, os.environ)
    given = {name: getattr(arguments, name) for name in EnhanceRequest.model_fields}
    fields = {name: value for name, value in given.items() if value is not None}
    request = EnhanceRequest.parse(fields)
    if re.fullmatch(r"[0-9a-f]{32}", arguments.clip) and not Path(arguments.clip).exists():
        submit("enhance", arguments, settings, fields)
        return 0
    from i2v.media.outputs import OutputFile, OutputName

    path = local_path(arguments.clip)
    output = None if arguments.output is None else local_path(arguments.output)
    target: OutputTarget = OutputName.of(settings.output, datetime.now())
    if output is not None:
        target = OutputFile(output, force=arguments.force)
    report(_make(path, request, target, settings), (), as_json=arguments.json)
    return 0


def submit(act: str, arguments: argparse.Namespace, settings: Settings, fields: dict[str, object]) -> None:
    """Have a server make the job: `act` ("enhance", "extend") is done to the clip of another one."""
    from i2v.cli.remote import Server

    if arguments.output is not None:
        allowed = "left out with a job: the server names its video"
        value = shown(arguments.output)
        raise InvalidRequest("request.invalid", field="--output", value=value, allowed=allowed)
    server = Server.find(settings, arguments.server)
    job = server.ask("POST", f"/jobs/{quote(arguments.clip, safe='')}/{act}", fields)
    print(json.dumps(job) if arguments.json else job["id"])


def _make(path: Path, request: EnhanceRequest, target: OutputTarget, settings: Settings) -> Result:
    from dataclasses import replace

    from i2v.core.file_names import facts_of
    from i2v.media.outputs import OutputName
    from i2v.pipeline.enhance import enhance_clip, read_source, resolve_enhancement
    from i2v.pipeline.make import check_output

    read_clip(path)  # says what is wrong with a file that is none
    source = read_source(path)
    check_output(target, with_sound=source.video.sound is not None)
    generation, notices = resolve_enhancement(request, source, source.generation, settings.output.upscaler)
    if isinstance(target, OutputName):
        target = replace(target, facts=facts_of(generation, path.name))
    done, total = 0, source.video.num_frames

    def show(event: Decoded) -> None:
        nonlocal done
        done += len(event.frames)
        if sys.stderr.isatty():
            draw(f"enhancing [{bar(done, total)}] {done}/{total}")

    with ClipProgress(None) as progress:
        progress.say(notices)
        result = enhance_clip(source, generation, target, on_frame=show)
    return result
