"""`i2v generate`: flags to a request, and the wiring of one clip. What is shown of it: `clip_output`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.clip_output import ClipProgress, Like, report
from i2v.cli.engine_help import flag
from i2v.cli.info import read_clip
from i2v.cli.parsers import Commands, local_path
from i2v.cli.picture_files import read_picture
from i2v.cli.request_flags import add_request_flags
from i2v.cli.sound_flags import add_sound_flags, kept_sound, sound_fields
from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown
from i2v.core.inputs import InputPicture, Keyframe
from i2v.core.schema import GenerationRequest

if TYPE_CHECKING:
    from i2v.core.results import Result
    from i2v.core.settings import Settings
    from i2v.media.outputs import OutputTarget
    from i2v.media.provenance import Provenance
    from i2v.media.unpublished import FrameRecorder
    from i2v.pipeline.clip import Output

EXAMPLES = """\
examples:
  i2v generate photo.jpg --prompt "the camera pans left"
  i2v generate photo.jpg --prompt "ocean waves crashing on the shore" --preset quick --seed 7
  i2v generate photo.jpg --prompt 镜头向左移动 --output clip.mp4 --json
  i2v generate photo.jpg --like clip.mp4 --seed 8

Videos are saved in outputs/ unless you pass --output. All settings: configs/default.yaml.
"""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "generate",
        help="generate a clip from a picture and a prompt",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.late_help = describe_engines
    parser.add_argument(
        "image", metavar="IMAGE", help="picture: PNG, JPEG, WebP, HEIC, AVIF, GIF, TIFF or BMP"
    )
    add_request_flags(parser)
    parser.add_argument("--last-image", help=argparse.SUPPRESS)  # told with the engines that take one
    parser.add_argument("--motion-mask", help=argparse.SUPPRESS)  # likewise
    parser.add_argument("--style-image", help=argparse.SUPPRESS)
    parser.add_argument("--keyframe", action="append", metavar="FRAME=FILE", help=argparse.SUPPRESS)
    add_sound_flags(parser)
    parser.add_argument(
        "--like",
        metavar="CLIP",
        help="reuse the settings of a video made by i2v; other flags override them",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="path of the video (default: outputs/video_DATE_TIME.mp4)"
    )
    parser.add_argument("--force", action="store_true", help="replace --output if it exists")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of the path")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    return parser


def describe_engines() -> str:
    """Return what `--help` says last: what each engine takes."""
    from i2v.cli.engine_help import describe_engines
    from i2v.engines.registry import engines

    return describe_engines(engines())


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.packages import refuse_old_packages

    refuse_old_packages()
    from i2v.core.settings_sources import load_settings
    from i2v.memory import allocator

    allocator.configure()  # before torch is there
    submitted = datetime.now()
    settings = load_settings(arguments.config, os.environ)
    others = _other_pictures(arguments)
    given = given_fields(arguments) | sound_fields(arguments)
    if others:
        given["inputs"] = [asked for asked, _ in others]
    image, clip, output = (
        None if name is None else local_path(name)
        for name in (arguments.image, arguments.like, arguments.output)
    )
    assert image is not None
    like = Like(_read_provenance(clip), clip, frozenset(given)) if clip is not None else None
    request = _request(given, like, settings)
    if request.inputs and not others:  # the clip `like` had some
        raise InvalidRequest("request.missing_field", field=_flags_of(request.inputs))
    if request.sound is not None and arguments.sound_file is None:  # the same
        raise InvalidRequest("request.missing_field", field="--sound FILE")
    images = [image, *(path for _, path in others)]

    from i2v.media.outputs import OutputFile, OutputName
    from i2v.pipeline.clip import Output
    from i2v.pipeline.make import check_output

    target: OutputTarget = OutputName.of(settings.output, submitted)
    if output is not None:
        target = OutputFile(output, force=arguments.force)
    check_output(target)  # before torch is loaded, which takes seconds
    with (
        kept_sound(arguments.sound_file, request.sound, settings) as track,
        _recorder(settings, submitted) as recorder,
        ClipProgress(like) as progress,
    ):
        result = _make(request, images, Output(target, recorder, track=track), settings, progress)
    report(result, progress.seen, as_json=arguments.json)
    return 0


def _make(
    request: GenerationRequest,
    images: Sequence[Path],
    output: Output,
    settings: Settings,
    progress: ClipProgress,
) -> Result:
    from i2v.core.file_names import facts_of
    from i2v.core.stages import Stage
    from i2v.engines.registry import engines
    from i2v.media.image import ImageLimits, decode_picture
    from i2v.media.outputs import OutputName
    from i2v.memory.plan import probe_device
    from i2v.pipeline.engines import EngineCache
    from i2v.pipeline.make import make_clip
    from i2v.pipeline.plan import ClipPlanner
    from i2v.pipeline.stages import Stopwatch
    from i2v.workers.devices import device_type, environment

    limits = ImageLimits.of(settings.image)
    watch = Stopwatch()
    with watch.phase(Stage.PICTURE):
        pictures = [decode_picture(read_picture(image, limits.max_bytes), limits) for image in images]
    with watch.phase(Stage.LOAD):
        os.environ.update(environment(request.device, os.environ))  # before torch is there
        device = probe_device(device_type(request.device) or settings.engine.device)
        plan = ClipPlanner(settings, engines()).plan_clip(request, pictures[0].image.size, device)
    if isinstance(output.target, OutputName):
        facts = facts_of(plan.generation, images[0].name)
        output = replace(output, target=replace(output.target, facts=facts))
    cache = EngineCache(settings.models)
    result = make_clip(plan, pictures, output, cache, settings, progress.show, watch)
    return replace(result, notices=(*result.notices, *progress.differences))


@contextmanager
def _recorder(settings: Settings, submitted: datetime) -> Iterator[FrameRecorder]:
    """Record the frames; where only the end fails, say where they are and how it goes on."""
    from i2v.core.errors import I2VError
    from i2v.media.unpublished import FrameRecorder, sweep

    sweep(settings.unpublished)
    name = f"{settings.output.prefix}{submitted:%Y%m%d_%H%M%S}_{os.getpid()}"
    with FrameRecorder(settings.unpublished, name) as recorder:
        try:
            yield recorder
        except I2VError:
            if recorder.notice is not None:
                print(f"i2v: {recorder.notice.message}", file=sys.stderr)
            if recorder.path.exists():
                print(
                    f"i2v: To write the video: i2v finish {shlex.quote(str(recorder.path))}", file=sys.stderr
                )
            raise


def given_fields(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the fields of a request that the flags give."""
    values = {name: getattr(arguments, name, None) for name in GenerationRequest.model_fields}
    given = {name: value for name, value in values.items() if value is not None}
    if arguments.option:
        given["options"] = dict(_option(each) for each in arguments.option)
    return given


def _other_pictures(arguments: argparse.Namespace) -> list[tuple[dict[str, object], Path]]:
    """Return what the request says of each picture besides the image, and where it is."""
    pictures: list[tuple[dict[str, object], Path]] = []
    for role in ("last_image", "motion_mask", "style_image"):
        if (file := getattr(arguments, role)) is not None:
            pictures.append(({"role": role}, local_path(file)))
    for text in arguments.keyframe or ():
        frame, found, file = text.partition("=")
        if not found or not file:
            raise InvalidRequest(
                "request.invalid", field="--keyframe", value=shown(text), allowed="FRAME=FILE"
            )
        pictures.append(({"role": "keyframe", "frame": frame.strip()}, local_path(file)))
    return pictures


def _flags_of(inputs: Sequence[InputPicture]) -> str:
    """Return the flags that give these pictures again: a clip names their frames, and has no pictures."""
    flags = (
        f"--keyframe {each.frame}=FILE" if isinstance(each, Keyframe) else f"{flag(each.role)} FILE"
        for each in inputs
    )
    return " ".join(flags)


def _option(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise InvalidRequest("request.invalid", field="--option", value=shown(text), allowed="NAME=VALUE")
    return name.strip(), value.strip()


def _request(given: dict[str, object], like: Like | None, settings: Settings) -> GenerationRequest:
    """Return the request; what is not given comes from the clip `like`, if any."""
    if like is None:
        return GenerationRequest.parse({"engine": settings.engine.name} | given)
    fields = like.provenance.request_fields(given, _unused(given, like))
    clip = shown(str(like.path), limit=300)
    if "prompt" not in fields:
        raise InvalidRequest("like.no_prompt", path=clip)
    try:
        return GenerationRequest.parse(fields)
    except InvalidRequest as error:
        if error.params.get("field") in given:
            raise
        raise InvalidRequest("provenance.unreadable", path=clip, reason=error.message) from error


def _unused(given: Mapping[str, object], like: Like) -> frozenset[str]:
    """Return the fields of the clip `like` that meant nothing to its engine, or do not to the one given."""
    from i2v.engines.registry import engines

    names = {str(like.provenance.generation.get("engine")), str(given.get("engine"))}
    specs = (spec for name, spec in engines().items() if name in names)
    return frozenset().union(*(spec.capabilities.unused for spec in specs))


def _read_provenance(path: Path) -> Provenance:
    from i2v.media.provenance import Provenance

    return Provenance.from_tags(read_clip(path), path)
