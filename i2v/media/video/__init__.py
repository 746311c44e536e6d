"""Videos: frames to an MP4 that has been checked, under a name that nobody else took; and reading them again.

Owns ffmpeg (imageio's, and only here): which one it is (`program`), that it can do what is asked of it
(`proof`), encoding (`writer`, `soundtrack`, `failures`), and reading (`reading`, `tags`). Deliberately does
not know what the frames show, which model made them, or what the tags mean.
"""

from __future__ import annotations

from i2v.media.video.program import ffmpeg_version
from i2v.media.video.proof import check_ffmpeg, prove_ffmpeg
from i2v.media.video.reading import SoundInfo, VideoInfo, probe, read_last_frame, read_poster
from i2v.media.video.tags import MAX_TAGS, read_tags
from i2v.media.video.writer import Mp4Writer

__all__ = [
    "MAX_TAGS",
    "Mp4Writer",
    "SoundInfo",
    "VideoInfo",
    "check_ffmpeg",
    "ffmpeg_version",
    "probe",
    "prove_ffmpeg",
    "read_last_frame",
    "read_poster",
    "read_tags",
]
