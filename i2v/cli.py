"""The command line: `i2v generate` and what it prints. Wiring only; the work is in `pipeline`.

Standard output carries the result (the path, or one line of JSON), standard error the progress and the
notices. Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Self, get_args

from i2v.errors import Cancelled, I2VError, InvalidRequest
from i2v.schema import Fit, GenerationRequest, PresetName, Resolution, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from i2v.engines.base import Engine, Event
    from i2v.pipeline import Result
    from i2v.schema import EngineSpec, MemoryPlan
    from i2v.settings import Settings
    from i2v.video import OutputTarget

EPILOG = """\
examples:
  i2v generate photo.jpg --prompt "the camera pans left"
  i2v generate photo.jpg --prompt "ocean waves crashing on the shore" --preset quick --seed 7
  i2v generate photo.jpg --prompt 镜头向左移动 --output clip.mp4 --json

The video goes to outputs/ unless --output names a file. Settings: configs/default.yaml.
"""


class _Parser(argparse.ArgumentParser):
    """argparse, but what is wrong with a value is said by the one validator, not by argparse."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"i2v: {message}\nTry: {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser. Values that belong to the request stay text: `GenerationRequest` checks them."""
    parser = _Parser(
        prog="i2v",
        description="A photo and a sentence become a video.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"i2v {version('i2v')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    generate = commands.add_parser(
        "generate",
        help="make a video from a picture and a prompt",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    generate.add_argument(
        "image", metavar="IMAGE", type=Path, help="a PNG, JPEG, WebP, BMP, TIFF or GIF file"
    )
    generate.add_argument("--prompt", required=True, help="what should happen, e.g. 'the camera pans left'")
    generate.add_argument("--negative-prompt", help="what should not happen (default: the engine's)")
    generate.add_argument(
        "--preset", help=f"{', '.join(get_args(PresetName))} (default: standard); explicit values beat it"
    )
    generate.add_argument(
        "--resolution", help=f"{', '.join(get_args(Resolution))}: 512p is an area of 512 x 512 pixels"
    )
    generate.add_argument(
        "--fit", help=f"{', '.join(get_args(Fit))} (default: keep, the picture's aspect ratio)"
    )
    generate.add_argument("--height", help="pixels, 64 to 2048, with --width and instead of --resolution")
    generate.add_argument("--width", help="pixels, 64 to 2048, with --height")
    generate.add_argument("--num-frames", help="4 to 128")
    generate.add_argument("--fps", help="frames a second that the video plays at, 1 to 60")
    generate.add_argument("--target-fps", help="frames a second that the model is told, if other than --fps")
    generate.add_argument(
        "--num-inference-steps", help="denoising steps, 1 to 200: more takes longer and looks better"
    )
    generate.add_argument("--guidance-scale", help="how closely the prompt is followed, 1 to 30")
    generate.add_argument(
        "--seed", help="0 to 4294967295: the same seed gives the same video (default: drawn)"
    )
    generate.add_argument("--engine", help="auto, i2vgen-xl or embedded (default: as in the settings)")
    generate.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        default=None,
        help="says what it does (nothing, when generating)",
    )
    generate.add_argument(
        "--output", type=Path, metavar="FILE", help="the video's path (default: outputs/video_DATE_TIME.mp4)"
    )
    generate.add_argument("--force", action="store_true", help="replace --output if it exists")
    generate.add_argument("--json", action="store_true", help="print one line of JSON instead of the path")
    generate.add_argument(
        "--config", type=Path, metavar="FILE", help="settings to use instead of config.yaml"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    No traceback reaches the person; it goes to a file in logs/.
    """
    arguments = build_parser().parse_args(argv)
    try:
        with _stop_on_signals():
            return _generate(arguments)
    except I2VError as error:
        return _fail(error.message, error.exit_code)
    except KeyboardInterrupt:
        return _fail(Cancelled("job.interrupted").message, Cancelled.exit_code)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - nobody reads any more; Python flushes once more at exit
        return 1
    except Exception as error:
        return _fail(f"Something went wrong inside i2v ({type(error).__name__}). {_log_traceback()}", 1)


def _fail(message: str, code: int) -> int:
    print(f"i2v: {message}", file=sys.stderr)
    return code


def _log_traceback() -> str:
    """Write the traceback to logs/ and return a sentence that says where."""
    from i2v.settings import ROOT

    path = ROOT / "logs" / f"error_{datetime.now():%Y%m%d_%H%M%S}_{os.getpid()}.log"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError as error:
        return f"The details could not be written to {path}: {error}."
    return f"The details are in {path}."


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """Let SIGTERM end the job as Ctrl-C does: at the next step, with nothing left behind."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _generate(arguments: argparse.Namespace) -> int:
    from i2v.settings import load_presets, load_settings

    submitted = datetime.now()
    settings = load_settings(arguments.config, os.environ)
    given = {
        name: getattr(arguments, name) for name in GenerationRequest.model_fields if hasattr(arguments, name)
    }
    fields: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    request = GenerationRequest.parse({"engine": settings.engine.name} | fields)

    from i2v.image import ImageLimits, decode_picture
    from i2v.pipeline import Stopwatch, generate_video, resolve
    from i2v.video import OutputFile, OutputName, prepare_output

    target: OutputTarget = OutputName(settings.output.directory, submitted, settings.output.prefix)
    if arguments.output is not None:
        target = OutputFile(arguments.output, force=arguments.force)
    prepare_output(target)
    limits = ImageLimits(
        max_bytes=round(settings.image.max_megabytes * 1e6),
        max_pixels=round(settings.image.max_megapixels * 1e6),
    )
    watch = Stopwatch()
    with watch.phase("picture"):
        picture = decode_picture(_read(arguments.image, limits.max_bytes), limits)
    with watch.phase("load"):
        spec, plan = _choose(request, settings)
        generation, notices = resolve(request, spec, load_presets(), picture.image.size)
        engine = _load_engine(spec, settings, plan)
    with _Progress() as progress:
        result = generate_video(engine, generation, picture, target, progress.show, watch)
    _report(replace(result, notices=(*notices, *result.notices)), as_json=arguments.json)
    return 0


def _read(path: Path, limit: int) -> bytes:
    """Return the file's bytes, one more than `limit` at most: the decoder refuses those."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise InvalidRequest(
            "image.unreadable", path=shown(str(path), limit=300), reason=error.strerror or str(error)
        ) from error


def _choose(request: GenerationRequest, settings: Settings) -> tuple[EngineSpec, MemoryPlan]:
    """Return the engine to run and how.

    "auto": the published weights where they and a CUDA device are there, else the embedded.
    """
    from i2v.engines.specs import EMBEDDED, I2VGEN_XL, find_spec
    from i2v.memory import plan_memory, probe_device
    from i2v.weights import is_available

    device = probe_device(settings.engine.device)
    if request.engine == "auto":
        spec = (
            I2VGEN_XL
            if device.type == "cuda" and is_available(I2VGEN_XL, settings.models.directory)
            else EMBEDDED
        )
    else:
        spec = find_spec(request.engine)
    return spec, plan_memory(
        device, settings.engine.dtype, settings.engine.decode_chunk, settings.engine.threads
    )


def _load_engine(spec: EngineSpec, settings: Settings, plan: MemoryPlan) -> Engine:
    from i2v.engines.base import engine_class
    from i2v.weights import find_weights

    return engine_class(spec).load(spec, find_weights(spec, settings.models.directory), plan)


class _Progress:
    """A bar with the time left on a terminal; silent where standard error is a file or a pipe."""

    WIDTH = 30

    def __init__(self) -> None:
        self.visible = sys.stderr.isatty()
        self.started: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.visible and self.started is not None:
            print(file=sys.stderr)

    def show(self, event: Event) -> None:
        from i2v.engines.base import Conditioned, Decoded, Denoised

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


def _report(result: Result, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
        return
    for notice in result.notices:
        print(f"i2v: {notice.message}", file=sys.stderr)
    generation = result.generation
    total = sum(result.seconds.values())
    print(
        f"i2v: {generation.engine}, {generation.num_frames} frames of"
        f" {generation.width} x {generation.height} at {generation.fps} fps, seed {generation.seed},"
        f" {total:.1f} s",
        file=sys.stderr,
    )
    print(result.path)
