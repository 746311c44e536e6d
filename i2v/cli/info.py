"""`i2v info`: what a video is, and how i2v made it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.parsers import Commands
from i2v.errors import InvalidRequest

if TYPE_CHECKING:
    from i2v.video import VideoInfo

HEADINGS = {"generation": "what was run", "plan": "how", "versions": "with"}


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("info", help="what a video is, and how it was made")
    parser.add_argument("video", metavar="CLIP", type=Path, help="an MP4 file")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.label import AIGC
    from i2v.provenance import Provenance
    from i2v.video import probe, read_tags

    video = probe(arguments.video)
    tags = read_tags(arguments.video)
    try:
        made: dict[str, object] | None = Provenance.from_tags(tags, arguments.video).model_dump()
        why = None
    except InvalidRequest as error:
        if error.code != "provenance.none":
            raise
        made, why = None, error.message
    if arguments.json:
        told = {"video": _video_fields(video), "provenance": made, "label": tags.get(AIGC)}
        print(json.dumps(told, ensure_ascii=False))
        return 0
    print(
        f"{video.path}: {video.num_frames} frames of {video.width} x {video.height} at {video.fps:g} fps,"
        f" {video.duration:g} s, {video.codec} {video.pix_fmt}"
    )
    print(f"AI label ({AIGC}): {tags.get(AIGC, 'none')}")
    print(why if made is None else "\n".join(_lines(made)))
    return 0


def _video_fields(video: VideoInfo) -> dict[str, object]:
    return {**vars(video), "path": str(video.path)}


def _lines(made: dict[str, object], indent: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in made.items():
        if isinstance(value, dict):
            lines += [f"{indent}{HEADINGS.get(name, name)}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {'(left out)' if value is None else value}")
    return lines
