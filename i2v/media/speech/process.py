"""A text is spoken in a process of its own, with limits: C code reads what strangers wrote.

This module is both sides: `speak` for the caller, and the process (`python -m i2v.media.speech.process`),
which reads one line of JSON and answers with one, behind which the samples follow. The text travels in that
line, and never through a shell.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from i2v.core.child_environment import child_environment
from i2v.core.errors import EncodeError
from i2v.media.sound import Sound
from i2v.media.speech.voices import Voice

ESPEAK_MEMORY = 2**30  # bytes of address space; a network takes what it takes
CPU_SECONDS, CLOCK_SECONDS = 120, 300
_QUIET = 10 ** (-50 / 20)  # what is less at both ends is cut off
_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each further thread reserves address space
_ROOT = Path(__file__).resolve().parents[3]  # where this very package is found


class Speaker(Protocol):
    """What speaks.

    Attributes:
        version: what it is, for where a clip comes from.
    """

    @property
    def version(self) -> str: ...

    def speak(self, text: str, speed: float) -> Sound: ...


@dataclass(frozen=True)
class Speech:
    """What was spoken, one channel, without silence at its ends; `speaker`: by whom, with the version."""

    sound: Sound
    speaker: str

    @property
    def seconds(self) -> float:
        return self.sound.seconds


def speak(voice: Voice, text: str, speed: float = 1.0) -> Speech:
    """Return `text` as `voice` speaks it; `speed`: 1 as usual, 2 twice as fast.

    Raises `EncodeError` (`narration.failed`).
    """
    path = None if voice.path is None else str(voice.path.absolute())
    order = {"language": voice.language, "path": path, "text": text, "speed": speed}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "i2v.media.speech.process"],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=CLOCK_SECONDS,
            cwd=_ROOT,
            env=child_environment(_ALONE),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EncodeError("narration.failed", reason=f"it took over {CLOCK_SECONDS} s") from error
    except OSError as error:
        raise EncodeError("narration.failed", reason=error.strerror or str(error)) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise EncodeError("narration.failed", reason=said[:200] or f"it ended with status {done.returncode}")
    line, _, data = done.stdout.partition(b"\n")
    answer = json.loads(line)
    samples = _trimmed(np.frombuffer(data, "<f4").astype(np.float32))
    if not len(samples):
        raise EncodeError("narration.failed", reason="nothing was spoken")
    return Speech(Sound(samples[:, None], answer["sample_rate"]), answer["speaker"])


def _trimmed(
    samples: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


# --- the process


def main() -> int:
    order = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, resource.RLIM_INFINITY))
    if order["path"] is None:
        resource.setrlimit(resource.RLIMIT_AS, (ESPEAK_MEMORY, ESPEAK_MEMORY))
    os.nice(5)
    speaker = _speaker(order["language"], order["path"])
    sound = speaker.speak(order["text"], order["speed"])
    print(json.dumps({"sample_rate": sound.sample_rate, "speaker": speaker.version}), flush=True)
    sys.stdout.buffer.write(sound.samples.astype("<f4").tobytes())
    sys.stdout.flush()
    return 0


def _speaker(language: str, path: str | None) -> Speaker:
    if path is None:
        from i2v.media.speech.espeak import Espeak

        return Espeak(language)
    from i2v.media.speech.piper import Piper  # loads onnxruntime

    return Piper(Path(path))


if __name__ == "__main__":
    sys.exit(main())
