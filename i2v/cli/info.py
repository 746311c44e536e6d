"""`i2v info`: what a video is, and how i2v made it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.parsers import Commands, local_path
from i2v.core.errors import EncodeError, InvalidRequest, printable
from i2v.core.fields import shown

if TYPE_CHECKING:
    from i2v.media.video import VideoInfo

HEADINGS = {"generation": "settings", "size": "requested size", "plan": "memory plan", "versions": "versions"}


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("info", help="show what a video is and how it was made")
    parser.add_argument("video", metavar="CLIP", help="an MP4 file")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.media.label import AIGC
    from i2v.media.provenance import Provenance
    from i2v.media.video import probe

    path = local_path(arguments.video)
    tags = read_clip(path)
    video = probe(path)
    made: dict[str, object] | None = None
    why_not = ""
    try:
        made = Provenance.from_tags(tags, path).model_dump()
    except InvalidRequest as error:  # somebody else's video is a video too
        why_not = error.message
    if arguments.json:
        fields = {"video": _video_fields(video), "provenance": made, "label": tags.get(AIGC)}
        print(json.dumps(fields))
        return 0
    print(
        f"{printable(str(video.path))}: {video.num_frames} frames of {video.width} x {video.height}"
        f" at {video.fps:g} fps, {video.duration:g} s, {video.codec} {video.pix_fmt}{_sound(video)}"
    )
    print(f"AI label ({AIGC}): {printable(tags.get(AIGC, 'none'))}")
    print(why_not if made is None else "\n".join(_lines(made)))
    return 0


def read_clip(path: Path) -> dict[str, str]:
    """Return the metadata of a video that a person named.

    Raises `InvalidRequest` (`clip.missing`, `clip.unreadable`) if it is none.
    """
    from i2v.media.video import read_tags

    name = shown(str(path), limit=300)
    if not path.exists():
        raise InvalidRequest("clip.missing", path=name, folder=shown(str(Path.cwd()), limit=300))
    if path.is_dir():
        raise InvalidRequest("clip.unreadable", path=name, reason="it is a folder")
    try:
        return read_tags(path)
    except EncodeError as error:
        if error.code != "encode.broken":
            raise
        reason = error.params["reason"]
        raise InvalidRequest("clip.unreadable", path=name, reason=reason) from error


def _video_fields(video: VideoInfo) -> dict[str, object]:
    return {**asdict(video), "path": str(video.path)}


def _sound(video: VideoInfo) -> str:
    sound = video.sound
    if sound is None:
        return ""
    return f", sound {sound.codec} {sound.sample_rate} Hz {printable(sound.channel_layout)}"


def _lines(made: dict[str, object], indent: str = "") -> list[str]:
    """Return a line for each value. Texts come from a file that anybody may have written."""
    lines: list[str] = []
    for name, value in made.items():
        if isinstance(value, dict):
            lines += [f"{indent}{HEADINGS.get(name, name)}:", *_lines(value, indent + "  ")]
        elif value not in ("", []):  # nothing was asked for
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
            lines.append(f"{indent}{printable(name)}: {'(not saved)' if value is None else printable(shown)}")
    return lines
