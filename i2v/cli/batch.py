"""`i2v batch`: many pictures, one command: what is made, what of it is shown, and how it ends.

A row's job is asked for by a key of its picture and fields, so that the command can be killed at any moment
and run again. A video gets its final name in one step, and carries its job's tag: a row is made if a file of
its names does. Who makes the clips is not known here: `batch_makers`.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.clip_output import bar, draw
from i2v.cli.generate import describe_engines, given_fields
from i2v.cli.parsers import Commands, local_path
from i2v.cli.request_flags import add_request_flags
from i2v.core.errors import I2VError, InvalidRequest, QueueFull

if TYPE_CHECKING:
    from i2v.cli.batch_makers import JobState, Maker
    from i2v.cli.batch_names import NamePattern
    from i2v.cli.batch_report import Line
    from i2v.cli.batch_rows import Row
    from i2v.core.engine_spec import EngineSpec
    from i2v.core.settings import Settings
    from i2v.media.image import ImageLimits

SOME_FAILED = 3  # the exit code
MAX_COMPLAINTS = 20  # rows that are wrong and told, of perhaps thousands

EXAMPLES = """\
examples:
  i2v batch photos --prompt "the camera pans left"
  i2v batch clips.csv --preset quick --name "{stem}_{seed}" --output clips
  i2v batch clips.jsonl --server http://studio:7860

A folder: each picture in it becomes a clip; photo.txt beside photo.jpg is its prompt. A CSV or JSON Lines
file: the column image (a path as seen from that file), and any field of a request. Flags are for rows that do
not say it themselves.
Exit codes: 0 all made, 1 stopped by an error, 2 bad input (nothing was made), 3 some failed, 130 interrupted.
Run the same command again to go on: what was made is not made twice, and what failed is tried again.
"""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "batch",
        help="generate a clip from each of many pictures",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.late_help = describe_engines
    parser.add_argument("source", metavar="SOURCE", help="a folder of pictures, or a .csv or .jsonl file")
    add_request_flags(parser)
    parser.add_argument(
        "--output", metavar="FOLDER", help="folder of the videos (default: outputs/NAME, as SOURCE is called)"
    )
    parser.add_argument(
        "--name",
        default="{stem}",
        metavar="PATTERN",
        help="names of the videos: {stem} of the picture, {picture} (its letters and digits), {prompt},"
        " {number}, {seed}, {engine}, {width}, {height}, {num_frames}, {fps} (default: {stem}); _2 follows"
        " where a name is taken",
    )
    parser.add_argument("--server", metavar="URL", help="let this server make the clips")
    parser.add_argument("--token", help="the server's access token (default: I2V_SECURITY__TOKEN)")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.packages import refuse_old_packages

    refuse_old_packages()
    from i2v.core.settings_sources import load_settings
    from i2v.engines.registry import engines

    return run_batch(arguments, load_settings(arguments.config, os.environ), engines())


def run_batch(arguments: argparse.Namespace, settings: Settings, engines: Mapping[str, EngineSpec]) -> int:
    """Make all clips and return the exit code."""
    from i2v.cli.batch_names import NamePattern
    from i2v.cli.batch_report import Line, write_report
    from i2v.cli.batch_rows import read_rows
    from i2v.media.image import ImageLimits

    source = local_path(arguments.source)
    names = NamePattern(arguments.name)
    rows = read_rows(source, given_fields(arguments))
    limits = ImageLimits.of(settings.image)
    folder = settings.output.directory / source.resolve().stem
    if arguments.output is not None:
        folder = local_path(arguments.output)
    lines = [Line(row.number, row.place, str(row.picture)) for row in rows]
    with _opened(arguments, settings, engines, source, folder) as maker:
        if not _are_right(rows, limits, maker):
            return InvalidRequest.exit_code
        maker.begin()
        batch = _Batch(rows, lines, limits, maker, names, folder)
        try:
            batch.make()
        finally:
            batch.end()
            reports = write_report(folder, str(source), lines)
    counts = Counter(line.outcome for line in lines)
    print(f"i2v: {counts['made']} of {len(rows)} made; {reports[0]}", file=sys.stderr)
    return 0 if counts["made"] == len(rows) else SOME_FAILED


def _opened(
    arguments: argparse.Namespace,
    settings: Settings,
    engines: Mapping[str, EngineSpec],
    source: Path,
    folder: Path,
) -> AbstractContextManager[Maker]:
    """Make the folder and return who makes the clips."""
    from i2v.cli.batch_makers import RemoteMaker, local_maker
    from i2v.media.outputs import OutputFile, prepare_output

    prepare_output(OutputFile(folder / ".i2v.mp4", force=True))
    key = sha256(f"{platform.node()} {source.resolve()} {folder.resolve()}".encode()).hexdigest()
    if arguments.server is None:
        return local_maker(settings, folder, key, engines)
    token = arguments.token or settings.security.token.get_secret_value()
    return nullcontext(RemoteMaker(arguments.server, token, key))


def _are_right(rows: Sequence[Row], limits: ImageLimits, maker: Maker) -> bool:
    """Tell whether all rows can be made, before the first one is; complain about those that cannot."""
    wrong = 0
    asked: dict[str, I2VError | None] = {}  # most rows ask for the same
    for row in rows:
        try:
            size = row.check(limits)
            question = f"{size} {sorted(row.fields.items())}"
            if question not in asked:
                asked[question] = _refusal(maker, row.fields, size)
            if (refusal := asked[question]) is not None:
                raise refusal
        except InvalidRequest as error:
            wrong += 1
            if wrong <= MAX_COMPLAINTS:
                print(f"i2v: {row.refused(error).message}", file=sys.stderr)
    if wrong:
        print(f"i2v: {wrong} of {len(rows)} rows are wrong. Nothing was made.", file=sys.stderr)
    return not wrong


def _refusal(maker: Maker, fields: dict[str, object], size: tuple[int, int]) -> InvalidRequest | None:
    try:
        maker.check(fields, size)
    except InvalidRequest as error:
        return error
    return None


class _Batch:
    """The rows on their way; `lines` tell what became of each."""

    def __init__(
        self,
        rows: Sequence[Row],
        lines: Sequence[Line],
        limits: ImageLimits,
        maker: Maker,
        names: NamePattern,
        folder: Path,
    ) -> None:
        self._rows = rows
        self._lines = lines
        self._limits = limits
        self._maker = maker
        self._names = names
        self._folder = folder
        self._jobs: dict[str, int] = {}  # those that are under way, with the index of their row
        self._failed: set[str] = set()  # before this command began
        self._is_seen = sys.stderr.isatty()

    def make(self) -> None:
        """Send the rows and fetch what they become, until none is left."""
        states, _ = self._maker.states()
        self._failed = {job for job, state in states.items() if state.status in ("failed", "cancelled")}
        unsent = self._keyed()
        following = next(unsent, None)
        looked = 0.0
        while following is not None or self._jobs:
            if following is not None and self._send(*following):
                following = next(unsent, None)
            elif following is not None or self._jobs:
                time.sleep(self._maker.poll_seconds)
            if time.monotonic() - looked >= self._maker.poll_seconds:
                self._look()
                looked = time.monotonic()

    def end(self) -> None:
        """Leave the bar's line."""
        if self._is_seen:
            print(file=sys.stderr)

    def _keyed(self) -> Iterator[tuple[int, str]]:
        """Yield each row's index and the key that asks for its job: rows that are alike differ by a count."""
        alike: Counter[str] = Counter()
        for index, row in enumerate(self._rows):
            digest = row.digest(self._limits)
            alike[digest] += 1
            yield index, f"{digest} {alike[digest]}"

    def _send(self, index: int, key: str) -> bool:
        """Ask for the row's job, again if it had failed; return False if there is no room now."""
        row, line = self._rows[index], self._lines[index]
        try:
            line.job = self._maker.submit(row.picture.name, row.fields, row.read(self._limits), key)
            if line.job in self._failed:
                with suppress(InvalidRequest):  # somebody else was faster
                    self._maker.retry(line.job)
        except QueueFull:
            return False
        except InvalidRequest as error:
            self._fail(line, error.message)
        else:
            self._jobs[line.job] = index
        return True

    def _look(self) -> None:
        states, left = self._maker.states()
        for job, index in list(self._jobs.items()):
            state = states.get(job)
            if state is None or state.status in ("queued", "running"):
                continue
            line = self._lines[index]
            if state.status == "succeeded":
                self._fetch(line, index)
            else:
                self._fail(line, state.error or f"the job was {state.status}")
            del self._jobs[job]
        self._show(states, left)

    def _fetch(self, line: Line, index: int) -> None:
        """Give the row's video its name, unless it has it already."""
        result = self._maker.result(line.job)
        stem = self._rows[index].picture.stem
        path = self._publish(line.job, self._names.candidates(self._folder, stem, line.number, result))
        seconds = result.get("seconds")
        line.outcome, line.video = "made", str(path)
        seed = result.get("seed")
        line.seed = seed if isinstance(seed, int) else None
        if isinstance(seconds, Mapping):
            line.seconds = round(sum(float(value) for value in seconds.values()), 3)
        if self._is_seen:
            draw("")
        print(path, flush=True)

    def _publish(self, job: str, candidates: Iterator[Path]) -> Path:
        from i2v.jobs.model import OwnedFiles
        from i2v.media.outputs import OutputFile, publish
        from i2v.service.job_files import video_bytes

        part = self._folder / f".{sha256(job.encode()).hexdigest()[:32]}.part.mp4"
        part.unlink(missing_ok=True)  # of a command that was killed
        try:
            for path in candidates:
                if os.path.lexists(path):
                    if video_bytes(OwnedFiles(job, (), str(path), None)):
                        return path  # made before the command was run again
                    continue
                if not part.exists():
                    self._maker.copy_video(job, part)
                with suppress(InvalidRequest):  # the name was taken this very moment
                    return publish(part, OutputFile(path))
        finally:
            part.unlink(missing_ok=True)
        raise AssertionError("names do not end")

    def _fail(self, line: Line, reason: str) -> None:
        line.outcome, line.error = "failed", reason
        if self._is_seen:
            draw("")
        print(f"i2v: {line.place}: {reason}", file=sys.stderr)

    def _show(self, states: Mapping[str, JobState], left: float | None) -> None:
        if not self._is_seen:
            return
        ended = Counter(line.outcome for line in self._lines)
        done = (
            ended["made"] + ended["failed"] + sum(states[job].progress for job in self._jobs if job in states)
        )
        text = f"[{bar(done, len(self._rows))}] {ended['made']}/{len(self._rows)} made"
        if ended["failed"]:
            text += f", {ended['failed']} failed"
        if left is not None:
            text += f", {left:.0f} s left"
        draw(text)
