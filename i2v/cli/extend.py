"""`i2v extend`: a finished clip made longer: a file, or a job of a server."""

from __future__ import annotations

import argparse
import os
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.clip_output import ClipProgress, report
from i2v.cli.enhance import add_output_flags, submit
from i2v.cli.info import read_clip
from i2v.cli.parsers import Commands, local_path
from i2v.core.extension import ExtendRequest
from i2v.core.story import MAX_SECONDS

if TYPE_CHECKING:
    from i2v.core.results import Result
    from i2v.core.settings import Settings
    from i2v.media.outputs import OutputTarget

EXAMPLES = """\
examples:
  i2v extend clip.mp4 --seconds 4
  i2v extend clip.mp4 --seconds 4 --prompt "the camera zooms in" --output longer.mp4
  i2v extend 5f3a... --seconds 8     # a job of the server that runs: a new job there
"""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "extend",
        help="make a finished clip longer",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("clip", metavar="CLIP|JOB", help="a video made by i2v, or the id of a server's job")
    parser.add_argument("--seconds", required=True, help=f"how much longer, up to {MAX_SECONDS} in all")
    parser.add_argument("--prompt", help="what should happen then (default: the clip's own prompt)")
    parser.add_argument("--seed", help="of the new frames (default: a random one)")
    parser.add_argument(
        "--correct-drift",
        help="true or false: hold colours and sharpness to those of the first frame (default: true)",
    )
    parser.add_argument("--device", help="auto, cpu, or a GPU such as cuda:0")
    add_output_flags(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.packages import refuse_old_packages

    refuse_old_packages()
    from i2v.core.settings_sources import load_settings
    from i2v.media.outputs import OutputFile, OutputName
    from i2v.memory import allocator

    settings = load_settings(arguments.config, os.environ)
    given = {name: getattr(arguments, name) for name in ExtendRequest.model_fields}
    fields = {name: value for name, value in given.items() if value is not None}
    request = ExtendRequest.parse(fields)
    if re.fullmatch(r"[0-9a-f]{32}", arguments.clip) and not Path(arguments.clip).exists():
        submit("extend", arguments, settings, fields)
        return 0
    allocator.configure()  # before torch is there
    path = local_path(arguments.clip)
    output = None if arguments.output is None else local_path(arguments.output)
    target: OutputTarget = OutputName.of(settings.output, datetime.now())
    if output is not None:
        target = OutputFile(output, force=arguments.force)
    with ClipProgress(None) as progress:
        result = _make(path, request, target, settings, progress)
    report(result, progress.seen, as_json=arguments.json)
    return 0


def _make(
    path: Path, request: ExtendRequest, target: OutputTarget, settings: Settings, progress: ClipProgress
) -> Result:
    from dataclasses import replace

    from i2v.core.file_names import facts_of
    from i2v.core.stages import Stage
    from i2v.engines.registry import engines
    from i2v.media.outputs import OutputName
    from i2v.memory.plan import probe_device
    from i2v.pipeline.clip import Output
    from i2v.pipeline.engines import EngineCache
    from i2v.pipeline.enhance import read_source
    from i2v.pipeline.make import check_output, make_clip
    from i2v.pipeline.plan import ClipPlanner
    from i2v.pipeline.stages import Stopwatch
    from i2v.workers.devices import device_type, environment

    read_clip(path)  # says what is wrong with a file that is none
    source = read_source(path)
    check_output(target, with_sound=source.video.sound is not None)
    watch = Stopwatch()
    with watch.phase(Stage.LOAD):
        os.environ.update(environment(request.device, os.environ))  # before torch is there
        device = probe_device(device_type(request.device) or settings.engine.device)
        planner = ClipPlanner(settings, engines())
        plan = planner.plan_extension(request, source, source.generation, device)
    progress.say(plan.notices)
    if isinstance(target, OutputName):
        target = replace(target, facts=facts_of(plan.generation, path.name))
    cache = EngineCache(settings.models)
    return make_clip(plan, (), Output(target), cache, settings, progress.show, watch, source)
