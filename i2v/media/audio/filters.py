"""Samples through filters of ffmpeg. Deliberately does not know which filters, nor what the sounds are."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from i2v.core.errors import EncodeError
from i2v.media.sound import Sound
from i2v.media.video.program import cannot_run, find_ffmpeg, run_ffmpeg
from i2v.media.video.soundtrack import memory_file

SECONDS = 600.0  # that one run may take; a minute of sound takes some tenths


def filtered(
    sounds: Sequence[Sound], graph: str, sample_rate: int = 0, channels: int = 0
) -> tuple[Sound, str]:
    """Return what the filter graph makes of `sounds`, its inputs [0:a], [1:a] and so on, and ffmpeg's log.

    The graph's last output has no label.

    sample_rate, channels: of what comes out; 0: those of the first sound.

    Raises `EncodeError` (`encode.no_ffmpeg`, `sound.filter_failed`).
    """
    sample_rate, channels = sample_rate or sounds[0].sample_rate, channels or sounds[0].channels
    with ExitStack() as stack:
        inputs: list[str] = []
        files: list[int] = []
        for sound in sounds:
            try:
                file = stack.enter_context(memory_file())
                file.write(np.ascontiguousarray(sound.samples, "<f4").data)
                file.flush()
            except OSError as error:
                raise cannot_run(find_ffmpeg(), error) from error
            files.append(file.fileno())
            inputs += ["-f", "f32le", "-ar", str(sound.sample_rate), "-ac", str(sound.channels)]
            inputs += ["-i", f"/dev/fd/{file.fileno()}"]
        command = ["-v", "level+info", "-nostats", *inputs, "-filter_complex", graph]
        command += ["-ar", str(sample_rate), "-ac", str(channels), "-f", "f32le", "-"]
        try:
            done = run_ffmpeg(*command, files=files, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise _failed(f"ffmpeg took over {SECONDS:g} s") from error
    log = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        lines = [line for line in log.splitlines() if "[error]" in line or "[fatal]" in line]
        raise _failed(lines[0] if lines else f"ffmpeg ended with status {done.returncode}")
    samples = np.frombuffer(done.stdout, "<f4").astype(np.float32).reshape(-1, channels)
    return Sound(samples, sample_rate), log


def _failed(reason: str) -> EncodeError:
    return EncodeError("sound.filter_failed", reason=reason)
