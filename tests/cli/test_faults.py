"""What can break a run, really broken: one clear line is said, and nothing is left behind."""

from __future__ import annotations

import os
import pty
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from i2v.media.video import probe
from tests import disks
from tests.cli.running import PROMPT, command, generate_here, read_terminal


def assert_failed(done: subprocess.CompletedProcess[str], words: str, outputs: Path, code: int = 1) -> None:
    assert done.returncode == code, done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not outputs.is_dir() or list(outputs.iterdir()) == []


# --- ffmpeg


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("kill -9 $$", id="start", marks=pytest.mark.slow),
        pytest.param('head -c 60000 | "$FFMPEG" "$@"; kill -9 $$', id="middle"),
        pytest.param('"$FFMPEG" "$@"; kill -9 $$', id="end", marks=pytest.mark.slow),
    ],
)
def test_a_killed_ffmpeg_is_a_failure(
    environment: dict[str, str], picture: Path, outputs: Path, tmp_path: Path, script: str
) -> None:
    """A shell around the real ffmpeg is killed while it encodes (not while it checks the result).

    It makes the small clip that proves before any work that it can.
    """
    wrapper = tmp_path / "ffmpeg"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    encodes = 'case "$*" in *" 64x64 "*) ;; *rawvideo*libx264*)'
    wrapper.write_text(f'#!/bin/bash\nFFMPEG={ffmpeg}\n{encodes} {script};; esac\nexec "$FFMPEG" "$@"\n')
    wrapper.chmod(0o755)
    environment["IMAGEIO_FFMPEG_EXE"] = str(wrapper)
    assert_failed(generate_here(environment, picture), "Cannot write the video to .*Killed", outputs)


# --- the disk


def run_while(
    environment: dict[str, str], picture: Path, meanwhile: Callable[[], object]
) -> subprocess.CompletedProcess[str]:
    """Run a clip, and do something else as soon as it denoises."""
    ours, theirs = pty.openpty()
    alone = ("--option", "camera_strength=1")  # or the first steps are left out
    arguments = command("generate", picture, "--prompt", PROMPT, "--num-inference-steps", "6", *alone)
    child = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    read_terminal(ours, until=b" 1/6")
    meanwhile()
    shown = read_terminal(ours, until=b"nobody says this")
    os.close(ours)
    out, _ = child.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, child.returncode, out, shown.decode())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "small", "70m") as folder:
        yield folder


@pytest.mark.slow
def test_a_disk_that_fills_up_meanwhile_is_named(
    environment: dict[str, str], picture: Path, small_disk: Path
) -> None:
    outputs = small_disk / "clips"
    environment["I2V_OUTPUT__DIRECTORY"] = str(outputs)
    done = run_while(environment, picture, lambda: disks.fill(small_disk))
    assert_failed(done, "Disk full while writing .*No space left", outputs)


def test_a_disk_that_is_full_is_named_before_anything_starts(
    environment: dict[str, str], picture: Path, small_disk: Path
) -> None:
    disks.fill(small_disk)
    environment["I2V_OUTPUT__DIRECTORY"] = str(small_disk / "clips")
    assert_failed(generate_here(environment, picture), "0 MB left|No space left", small_disk / "clips")


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_a_failure(
    environment: dict[str, str], picture: Path, outputs: Path
) -> None:
    done = subprocess.run(
        command("generate", picture, "--prompt", PROMPT, "--num-inference-steps", "1"),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert_failed(done, "Cannot write the video to .*(File too large|File size limit exceeded)", outputs)


# --- the folder


def test_a_file_in_the_folders_place_is_refused(
    environment: dict[str, str], picture: Path, outputs: Path
) -> None:
    outputs.write_text("precious")
    assert_failed(generate_here(environment, picture), "is not a folder", outputs, code=2)
    assert outputs.read_text() == "precious"


def test_a_folder_on_a_read_only_disk_is_refused(
    environment: dict[str, str], picture: Path, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    environment["I2V_OUTPUT__DIRECTORY"] = str(small_disk)
    assert_failed(generate_here(environment, picture), "Read-only file system", small_disk, code=2)


# --- the weights


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def scramble_the_header(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[8:40] = os.urandom(32)
    file.write_bytes(data)


def rename_a_tensor(file: Path) -> None:
    data = file.read_bytes()
    assert data.count(b'"conv_in.bias"') == 1
    file.write_bytes(data.replace(b'"conv_in.bias"', b'"conv_on.bias"'))


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "cannot read .*unet/diffusion_pytorch_model.fp16.safetensors"),
        (scramble_the_header, "cannot read .*unet/diffusion_pytorch_model.fp16.safetensors"),
        (rename_a_tensor, "unet/.*tensor conv_in.bias is missing"),
        (remove, "unet/diffusion_pytorch_model.safetensors is missing"),
    ],
)
def test_damaged_weights_are_named_by_file_and_tensor(
    environment: dict[str, str],
    picture: Path,
    outputs: Path,
    tiny_folder: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    words: str,
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "models" / "i2vgen-xl")
    damage(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    environment["I2V_MODELS__DIRECTORY"] = str(tmp_path / "models")
    done = generate_here(environment, picture, "--engine", "i2vgen-xl", "--resolution", "256p")
    assert_failed(done, words, outputs)


# --- signals and clocks

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

# Each function is entered in one phase of a run, in this order.
PHASES = [
    "i2v.pipeline.plan.load_presets",
    "i2v.media.image.decode_picture",
    "i2v.engines.i2vgen_xl.engine.load_components",
    "i2v.pipeline.engines.weights_digest",
    "i2v.engines.i2vgen_xl.engine.condition",
    "i2v.engines.i2vgen_xl.unet.UNet.forward",
    "i2v.engines.diffusion.decode.to_uint8",
    "i2v.media.video.writer.Encoder._start",
    "i2v.media.video.writer.Encoder.write",
    "i2v.media.video.writer.Encoder.close",
    "i2v.media.video.writer.probe",
]

# Runs the command once a phase and signal, in one process so that torch is loaded once: the process sends
# itself a real signal when the phase is entered. In one run of the suite, three of the phases will do.
FEW = [
    ("i2v.engines.i2vgen_xl.engine.load_components", "SIGTERM"),
    ("i2v.engines.i2vgen_xl.unet.UNet.forward", "SIGHUP"),
    ("i2v.media.video.writer.Encoder.write", "SIGINT"),
]
ALL = [(phase, number) for phase in PHASES for number in SIGNALS]
DRIVER = """
import importlib, os, signal, sys
from unittest.mock import patch
from i2v.cli.main import main

def resolve(name):
    owner, _, attribute = name.rpartition(".")
    try:
        return importlib.import_module(owner), attribute
    except ImportError:
        return getattr(*resolve(owner)), attribute

for case in sys.argv[1].split(","):
    name, _, number = case.partition("=")
    owner, attribute = resolve(name)
    real = getattr(owner, attribute)
    def enter(*arguments, **named):
        os.kill(os.getpid(), signal.Signals[number])
        return real(*arguments, **named)
    with patch.object(owner, attribute, enter):
        code = main(sys.argv[2:])
    print(name, number, code, os.listdir(os.environ["I2V_OUTPUT__DIRECTORY"]), flush=True)
"""


@pytest.mark.parametrize("cases", [FEW, pytest.param(ALL, marks=pytest.mark.slow)], ids=["few", "all"])
def test_a_signal_in_any_phase_leaves_nothing(
    environment: dict[str, str],
    picture: Path,
    outputs: Path,
    tiny_folder: Path,
    tmp_path: Path,
    cases: list[tuple[str, str]],
) -> None:
    outputs.mkdir()
    shutil.copytree(tiny_folder, tmp_path / "models" / "i2vgen-xl")
    environment["I2V_MODELS__DIRECTORY"] = str(tmp_path / "models")
    arguments = ["generate", str(picture), "--prompt", PROMPT, "--engine", "i2vgen-xl"]
    arguments += ["--height", "64", "--width", "64", "--num-inference-steps", "2", "--num-frames", "4"]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, ",".join(map("=".join, cases)), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    expected = [f"{phase} {number} 130 []" for phase, number in cases]
    assert done.stdout.splitlines() == expected, done.stderr
    assert done.stderr.count("i2v: Interrupted. No files were left behind.") == len(expected)


PUBLISH = "i2v.media.video.writer.publish"


@pytest.mark.slow
def test_a_signal_while_the_video_appears_comes_too_late(
    environment: dict[str, str], picture: Path, outputs: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    outputs.mkdir()
    shutil.copytree(tiny_folder, tmp_path / "models" / "i2vgen-xl")
    environment["I2V_MODELS__DIRECTORY"] = str(tmp_path / "models")
    arguments = ["generate", str(picture), "--prompt", PROMPT, "--engine", "i2vgen-xl", "--output"]
    arguments += [str(outputs / "clip.mp4"), "--force"]
    arguments += ["--height", "64", "--width", "64", "--num-inference-steps", "1", "--num-frames", "4"]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, ",".join(f"{PUBLISH}={number}" for number in SIGNALS), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    reported = [line for line in done.stdout.splitlines() if line.startswith(PUBLISH)]
    assert reported == [f"{PUBLISH} {number} 0 ['clip.mp4']" for number in SIGNALS]
    assert probe(outputs / "clip.mp4").num_frames == 4


@pytest.mark.slow
def test_runs_that_finish_in_the_same_second_get_names_of_their_own(
    environment: dict[str, str], picture: Path, outputs: Path
) -> None:
    """Every name of the next minute is taken already, as it is after a clock was set back."""
    outputs.mkdir()
    start = time.time()
    taken = {f"video_{time.strftime('%Y%m%d_%H%M%S', time.localtime(start + k))}.mp4" for k in range(60)}
    for name in taken:
        (outputs / name).write_text("precious")
    arguments = command("generate", picture, "--prompt", PROMPT, "--num-inference-steps", "1")
    running = [
        subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    paths = {Path(child.communicate(timeout=120)[0].splitlines()[-1]) for child in running}
    assert len(paths) == 2
    assert {path.name for path in paths} & taken == set()
    assert all(re.fullmatch(r"video_\d{8}_\d{6}_[23]\.mp4", path.name) for path in paths)
    assert [probe(path).num_frames for path in paths] == [8, 8]
    assert {path.read_text() for path in outputs.iterdir() if path not in paths} == {"precious"}
