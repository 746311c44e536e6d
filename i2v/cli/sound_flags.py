"""The flags of `i2v generate` for sound: which there are, and the fields of a request that they mean."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from i2v.cli.parsers import local_path
from i2v.core.errors import InvalidRequest
from i2v.core.fields import shown

if TYPE_CHECKING:
    from i2v.core.settings import Settings
    from i2v.core.sound import Track

_NARRATION = ("language", "voice", "fit", "volume")
_SETTINGS = ("start", "fade_in", "fade_out", "loop", "volume")


def add_sound_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sound")
    group.add_argument(
        "--sound",
        metavar="FILE",
        dest="sound_file",
        help="sound beside the frames: MP3, M4A, WAV, FLAC or Ogg",
    )
    group.add_argument("--sound-start", metavar="SECONDS", help="leave out so much of the file's beginning")
    group.add_argument("--sound-fade-in", metavar="SECONDS", help="get louder for so long, up to 60")
    group.add_argument("--sound-fade-out", metavar="SECONDS", help="get quieter for so long, up to 60")
    group.add_argument(
        "--sound-loop", action="store_true", default=None, help="repeat a file that is shorter than the clip"
    )
    group.add_argument("--sound-volume", metavar="FACTOR", help="0 to 2 (default: 1, which is -16 LUFS)")
    group.add_argument("--narration", metavar="TEXT", help="have a synthetic voice speak this")
    group.add_argument("--narration-language", help="auto (default: by the text), en, zh-CN")
    group.add_argument(
        "--narration-voice", metavar="NAME", help="a voice of Piper, in models/voices (default: espeak-ng)"
    )
    group.add_argument(
        "--narration-fit",
        help="hold (default: the last frame stays to the end of the speech), or speed (the speech fills the"
        " clip)",
    )
    group.add_argument("--narration-volume", metavar="FACTOR", help="0 to 2 (default: 1)")


def sound_fields(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the fields `sound` and `narration`, as far as flags ask for them; raise `InvalidRequest`."""
    return _track(arguments) | _narration(arguments)


def _track(arguments: argparse.Namespace) -> dict[str, object]:
    values = {name: getattr(arguments, f"sound_{name}", None) for name in _SETTINGS}
    given = {name: value for name, value in values.items() if value is not None}
    if arguments.sound_file is not None:
        return {"sound": given}
    if given:
        raise InvalidRequest("request.missing_field", field="--sound FILE")
    return {}


def _narration(arguments: argparse.Namespace) -> dict[str, object]:
    values = {name: getattr(arguments, f"narration_{name}", None) for name in _NARRATION}
    given = {name: value for name, value in values.items() if value is not None}
    if arguments.narration is not None:
        return {"narration": {"text": arguments.narration, **given}}
    if given:
        raise InvalidRequest("request.missing_field", field="--narration TEXT")
    return {}


@contextmanager
def kept_sound(name: str | None, track: Track | None, settings: Settings) -> Iterator[Path | None]:
    """Lend the sound file as `make_clip` takes it; `None` where there is none.

    Raises `InvalidRequest` (`sound.*`), also where it cannot be opened, and as `check_start` does.
    """
    if name is None or track is None:
        yield None
        return
    from i2v.media.audio.files import SoundLimits, keep_sound
    from i2v.pipeline.soundtrack import check_start

    limits, path = SoundLimits.of(settings.sound), local_path(name)
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except FileNotFoundError as error:
        name, folder = (shown(str(each), limit=300) for each in (path, Path.cwd()))
        raise InvalidRequest("sound.missing", path=name, folder=folder) from error
    except OSError as error:
        reason = f"{shown(str(path), limit=300)}: {error.strerror or error}"
        raise InvalidRequest("sound.unreadable", reason=reason) from error
    with TemporaryDirectory(prefix="i2v-sound-") as folder:
        kept = Path(folder) / "track.sound"
        check_start(track, keep_sound(data, limits, kept))
        yield kept
