"""i2v.media.video.tags: what strangers' files may take of this machine when their tags are read."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import imageio_ffmpeg
import pytest

from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer, read_tags
from i2v.media.video.tags import LIMITS
from tests.clips import SIZE, make_frames


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data) + 8) + kind + data


def compressed_index(entries: int) -> bytes:
    """A QuickTime file whose index is zeros, packed by zlib."""
    table = struct.pack(">II", 0, entries) + bytes(4 * entries)
    offsets = box(b"stco", table)
    sizes = box(b"stsz", bytes(4), table)
    handler = box(b"hdlr", bytes(8), b"vide", bytes(13))
    media = box(b"mdia", box(b"mdhd", bytes(24)), handler, box(b"minf", box(b"stbl", offsets, sizes)))
    index = box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"tkhd", bytes(84)), media))
    packed = box(b"cmvd", struct.pack(">I", len(index)), zlib.compress(index, 1))
    return box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + box(
        b"moov", box(b"cmov", box(b"dcom", b"zlib"), packed)
    )


READ = """
import resource, sys
from pathlib import Path
from i2v.core.errors import EncodeError
from i2v.media.video import read_tags
try:
    read_tags(Path(sys.argv[1]))
except EncodeError as error:
    print(error.code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def test_a_header_that_unpacks_to_much_more_stays_within_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "packed.mp4"
    path.write_bytes(compressed_index(160 * 10**6 // 8))
    assert path.stat().st_size < 2_000_000
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    code, taken = done.stdout.split()
    assert code == "encode.broken"
    assert int(taken) < LIMITS.memory + 64 * 2**20, "the program itself is some 30 MB"


def test_tags_of_nearly_the_largest_size_fit_into_the_limit(tmp_path: Path) -> None:
    tags = {"i2v": "x" * (2**20 - 1000)}
    with Mp4Writer(OutputFile(tmp_path / "a.mp4"), fps=8, size=SIZE, tags=tags) as writer:
        writer.append(make_frames(2))
        path = writer.finish().path
    assert read_tags(path).items() >= tags.items()


def test_no_program_that_reads_or_writes_videos_knows_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "ffmpeg"
    tool.write_text(f'#!/bin/sh\nenv >> {tmp_path}/seen\nexec {imageio_ffmpeg.get_ffmpeg_exe()} "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tool))
    for name in ("I2V_SECURITY__TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "guess-me-if-you-can")
    with Mp4Writer(OutputFile(tmp_path / "a.mp4"), fps=8, size=SIZE, tags={"title": "a"}) as writer:
        writer.append(make_frames(2))
        path = writer.finish().path
    assert read_tags(path)["title"] == "a"
    seen = (tmp_path / "seen").read_text()
    assert seen.count("PATH=") >= 3
    assert "guess-me-if-you-can" not in seen
