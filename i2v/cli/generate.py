"""`i2v generate`: flags to a request, the wiring of one clip, and what is shown of it."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

from i2v.cli.info import read_clip
from i2v.cli.parsers import Commands, local_path
from i2v.cli.streams import why_lost
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.option_fields import option_fields
from i2v.core.schema import Fit, GenerationRequest, PresetName, Resolution, Speed, shown
from i2v.media.pictures.kinds import is_video

if TYPE_CHECKING:
    from i2v.core.results import Result
    from i2v.core.settings import Settings
    from i2v.media.outputs import OutputTarget
    from i2v.media.provenance import Provenance
    from i2v.media.unpublished import FrameRecorder
    from i2v.pipeline.make import ClipEvent

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
    parser.late_help = _describe_engines
    parser.add_argument(
        "image", metavar="IMAGE", help="picture: PNG, JPEG, WebP, HEIC, AVIF, GIF, TIFF or BMP"
    )
    _add_request_flags(parser)
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


def _describe_engines() -> str:
    from i2v.cli.engine_help import describe_engines
    from i2v.engines.registry import engines

    return describe_engines(engines())


def _add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field of the request. Values stay text: `GenerationRequest` checks them.

    Bounds are the widest that any engine has; which has less stands at the end of the help.
    """
    allowed = {field.name: field.allowed for field in option_fields(GenerationRequest)}
    parser.add_argument("--prompt", help="what should happen, e.g. 'the camera pans left'")
    parser.add_argument("--last-image", help=argparse.SUPPRESS)  # told with the engines that take one
    parser.add_argument("--negative-prompt", help="what to avoid (default: the model's own)")
    parser.add_argument(
        "--preset", help=f"{', '.join(get_args(PresetName))} (default: standard); other flags override it"
    )
    parser.add_argument(
        "--resolution", help=f"{', '.join(get_args(Resolution))}: 512p means an area of 512 x 512 pixels"
    )
    parser.add_argument(
        "--fit", help=f"{', '.join(get_args(Fit))} (default: keep the picture's aspect ratio)"
    )
    parser.add_argument(
        "--height", help=f"pixels, {allowed['height']}; with --width, instead of --resolution"
    )
    parser.add_argument("--width", help=f"pixels, {allowed['width']}; with --height")
    parser.add_argument("--num-frames", help=f"{allowed['num_frames']}; fewer with most models (see below)")
    parser.add_argument("--fps", help=f"frames per second of the video, {allowed['fps']}")
    parser.add_argument("--target-fps", help="frame rate given to the model as a condition (default: --fps)")
    parser.add_argument(
        "--num-inference-steps",
        help=f"denoising steps, {allowed['num_inference_steps']}; more steps look better and take longer",
    )
    parser.add_argument(
        "--guidance-scale", help="how closely to follow the prompt, 1 to 30; 1 turns guidance off"
    )
    parser.add_argument(
        "--speed", help=f"{', '.join(get_args(Speed))} (default: auto, which is fast where verified)"
    )
    parser.add_argument(
        "--seed", help="0 to 4294967295; the same seed gives the same clip (default: -1, random)"
    )
    parser.add_argument(
        "--engine", help="auto, or a model listed below (default: engine.name in the settings)"
    )
    parser.add_argument(
        "--option",
        action="append",
        metavar="NAME=VALUE",
        help="an option of one model (see below); may be repeated",
    )
    parser.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        default=None,
        help="accepted for compatibility; has no effect",
    )


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.packages import refuse_old_packages

    refuse_old_packages()
    from i2v.core.settings import load_settings
    from i2v.memory import allocator

    allocator.configure()  # before torch is there
    submitted = datetime.now()
    settings = load_settings(arguments.config, os.environ)
    given = _given_fields(arguments)
    image, last_image, clip, output = (
        None if name is None else local_path(name)
        for name in (arguments.image, arguments.last_image, arguments.like, arguments.output)
    )
    assert image is not None
    like = _Like(_read_provenance(clip), clip, frozenset(given)) if clip is not None else None
    request = _request(given, like, settings)
    if request.inputs and last_image is None:  # the clip `like` had one
        raise InvalidRequest("request.missing_field", field="--last-image")
    images = [image] if last_image is None else [image, last_image]

    from i2v.media.outputs import OutputFile, OutputName
    from i2v.pipeline.make import check_output

    target: OutputTarget = OutputName(settings.output.directory, submitted, settings.output.prefix)
    if output is not None:
        target = OutputFile(output, force=arguments.force)
    check_output(target)  # before torch is loaded, which takes seconds
    with _recorder(settings, submitted) as recorder, _Progress(like) as progress:
        result = _make(request, images, target, recorder, settings, progress)
    report(result, progress.seen, as_json=arguments.json)
    return 0


def _make(
    request: GenerationRequest,
    images: Sequence[Path],
    target: OutputTarget,
    recorder: FrameRecorder,
    settings: Settings,
    progress: _Progress,
) -> Result:
    from i2v.core.stages import Stage
    from i2v.engines.registry import engines
    from i2v.media.image import ImageLimits, decode_picture
    from i2v.memory.plan import probe_device
    from i2v.pipeline.engines import EngineCache
    from i2v.pipeline.make import Output, make_clip
    from i2v.pipeline.plan import ClipPlanner
    from i2v.pipeline.stages import Stopwatch

    limits = ImageLimits.of(settings.image)
    watch = Stopwatch()
    with watch.phase(Stage.PICTURE):
        pictures = [decode_picture(_read(image, limits.max_bytes), limits) for image in images]
    with watch.phase(Stage.LOAD):
        device = probe_device(settings.engine.device)
        plan = ClipPlanner(settings, engines()).plan_clip(request, pictures[0].image.size, device)
    cache = EngineCache(settings.models)
    result = make_clip(plan, pictures, Output(target, recorder), cache, settings, progress.show, watch)
    return replace(result, notices=(*result.notices, *progress.differences))


@dataclass(frozen=True)
class _Like:
    """The clip whose settings are taken over, and the fields that are given instead."""

    provenance: Provenance
    path: Path
    given: frozenset[str]


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


def _given_fields(arguments: argparse.Namespace) -> dict[str, object]:
    values = {name: getattr(arguments, name, None) for name in GenerationRequest.model_fields}
    given = {name: value for name, value in values.items() if value is not None}
    if arguments.last_image is not None:
        given["inputs"] = [{"role": "last_image"}]
    if arguments.option:
        given["options"] = dict(_option(each) for each in arguments.option)
    return given


def _option(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise InvalidRequest("request.invalid", field="--option", value=shown(text), allowed="NAME=VALUE")
    return name.strip(), value.strip()


def _request(given: dict[str, object], like: _Like | None, settings: Settings) -> GenerationRequest:
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


def _unused(given: Mapping[str, object], like: _Like) -> frozenset[str]:
    """Return the fields of the clip `like` that meant nothing to its engine, or do not to the one given."""
    from i2v.engines.registry import engines

    names = {str(like.provenance.generation.get("engine")), str(given.get("engine"))}
    specs = (spec for name, spec in engines().items() if name in names)
    return frozenset().union(*(spec.capabilities.unused for spec in specs))


def _read_provenance(path: Path) -> Provenance:
    from i2v.media.provenance import Provenance

    return Provenance.from_tags(read_clip(path), path)


def _read(path: Path, limit: int) -> bytes:
    """Return the file's bytes, one more than `limit` at most: the decoder refuses those."""
    name = shown(str(path), limit=300)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise InvalidRequest("image.missing", path=name, folder=shown(str(Path.cwd()), limit=300)) from error
    except IsADirectoryError as error:
        raise InvalidRequest("image.is_folder", path=name) from error
    except OSError as error:
        raise InvalidRequest("image.unreadable", path=name, reason=error.strerror or str(error)) from error
    if is_video(data[:512]):
        raise InvalidRequest("image.is_video", path=name)
    return data


class _Progress:
    """A bar with the time left on a terminal; silent where standard error is a file or a pipe."""

    WIDTH = 30

    def __init__(self, like: _Like | None) -> None:
        self.visible = sys.stderr.isatty()
        self.started: float | None = None
        self.seen: list[Notice] = []  # that could not wait for the end
        self.differences: list[Notice] = []  # from the clip `like`
        self._like = like

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.visible and self.started is not None:
            print(file=sys.stderr)

    def say(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            line = f"i2v: {notice.message}"
            print(f"\r{line:<70}" if self.visible else line, file=sys.stderr, flush=True)  # over the bar
            self.seen.append(notice)

    def show(self, event: ClipEvent) -> None:
        from i2v.engines.base import Conditioned, Decoded, Denoised, SteppedDown
        from i2v.pipeline.make import Loaded

        if isinstance(event, SteppedDown):
            self.say(event.notices)
        elif isinstance(event, Loaded) and self._like is not None:
            like = self._like
            self.differences += event.provenance.differences(like.provenance, like.path, like.given)
        if not self.visible:
            return
        if isinstance(event, Conditioned):
            self.started = time.monotonic()
        elif isinstance(event, Denoised) and self.started is not None:
            left = (time.monotonic() - self.started) / event.step * (event.total - event.step)
            filled = self.WIDTH * event.step // event.total
            bar = "#" * filled + "-" * (self.WIDTH - filled)
            self._draw(f"denoising [{bar}] {event.step}/{event.total}, {left:.0f} s left")
        elif isinstance(event, Decoded):
            self._draw("decoding and encoding")

    def _draw(self, line: str) -> None:
        print(f"\r{line:<70}", end="", file=sys.stderr, flush=True)


def report(result: Result, seen: Sequence[Notice], as_json: bool) -> None:
    """Print the result, and those of its notices that were not `seen` before."""
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
        _keep(result.path)
        return
    for notice in result.notices:
        if notice not in seen:
            print(f"i2v: {notice.message}", file=sys.stderr)
    generation = result.generation
    total = sum(result.seconds.values())
    seed = f" seed {generation.seed}," if _has_seed(generation.engine) else ""
    print(
        f"i2v: {generation.engine}, {generation.num_frames} frames of"
        f" {generation.width} x {generation.height} at {generation.fps} fps,{seed} {total:.1f} s",
        file=sys.stderr,
    )
    print(result.path)
    _keep(result.path)


def _has_seed(engine: str) -> bool:
    from i2v.engines.registry import engines

    spec = engines().get(engine)
    return spec is None or spec.capabilities.seed


def _keep(path: Path) -> None:
    """Say where the video is if standard output could not."""
    if why_lost(sys.stdout) is not None:
        notice = Notice("cli.video_kept", {"path": shown(str(path), limit=300)})
        print(f"i2v: {notice.message}", file=sys.stderr)
