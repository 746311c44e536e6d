"""The command line as a person runs it: the embedded model, real files, and real processes and signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from i2v.media.outputs import OutputFile
from i2v.media.provenance import Provenance
from i2v.media.video import probe, read_tags
from tests.cli.running import FRAMES, PROMPT, command, generate, generate_here, read_terminal, run_here
from tests.clips import read_frames, write
from tests.contrary import CONTRARY


def test_a_photo_and_a_sentence_become_an_mp4_and_the_same_seed_the_same_file_in_another_process(
    environment: dict[str, str], picture: Path, outputs: Path, tmp_path: Path
) -> None:
    done = generate(environment, picture, "--seed", "3")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.splitlines()[-1])
    assert path.parent == outputs
    assert re.fullmatch(r"video_\d{8}_\d{6}\.mp4", path.name)
    info = probe(path)
    assert (info.num_frames, info.fps, info.codec, info.pix_fmt) == (FRAMES, 8, "h264", "yuv420p")
    assert "\r" not in done.stderr, "no progress bar where nobody watches"
    assert "Warning" not in done.stderr
    assert [file.name for file in outputs.iterdir()] == [path.name]
    done = generate_here(environment, picture, "--seed", "3", "--output", tmp_path / "again.mp4")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.mp4").read_bytes() == path.read_bytes()


def test_an_existing_output_is_kept_without_force(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    target = tmp_path / "mine.mp4"
    target.write_bytes(b"precious")
    refused = generate_here(environment, picture, "--output", target)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert target.read_bytes() == b"precious"
    forced = generate_here(environment, picture, "--output", target, "--force")
    assert forced.returncode == 0, forced.stderr
    assert probe(target).num_frames == FRAMES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--num-frames", "3"], "--num-frames must be a whole number from 4 to 128 with Demo model (got 3)"),
        (["--num-frames", "many"], "(got many)"),
        (["--guidance-scale", "nan"], "--guidance-scale must be"),
        (["--seed", "4294967296"], "--seed must be"),
        (["--preset", "best"], "--preset must be one of 'quick'"),
        (["--resolution", "480p"], "--resolution must be"),
        (["--height", "128"], "height and width go together"),
        (["--height", "128", "--width", "128", "--resolution", "256p"], "not both"),
        (["--engine", "sora"], "no model sora. Set engine to one of: auto, i2vgen-xl, embedded"),
        (["--prompt", "  "], "The prompt is empty"),
        (["--prompt", "x" * 2001], "at most 2000 characters"),
        (["--config", "/nonexistent.yaml"], "Cannot read settings from /nonexistent.yaml"),
        (["--output", "clip.avi"], "clip.avi"),
        (["--steps", "5"], "unrecognized arguments: --steps"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_bad_input_is_named_with_exit_code_2(
    environment: dict[str, str], picture: Path, outputs: Path, arguments: list[str], words: str
) -> None:
    done = generate_here(environment, picture, *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not outputs.exists() or list(outputs.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"\xff\xd8\xff\xe0 broken", "i2v: "),
    ],
    ids=["missing", "empty", "text", "broken"],
)
def test_a_bad_picture_is_named_with_exit_code_2(
    environment: dict[str, str], tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    done = generate_here(environment, path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("https://example.com/photo.jpg", "https://example.com/photo.jpg is a URL"),
        ("HTTP://example.com/x?y=1", "Download the file first"),
        ("s3://bucket/photo.jpg", "Download the file first"),
        ("file:///data/my%20photo.jpg", "the path of the file: /data/my photo.jpg"),
        ("data:image/png;base64,iVBORw0KGgo=", "Save it as a file first"),
        ("folder", "is a folder"),
        ("nothing.png", "no such file"),
        ("c:photo.jpg", "no such file"),
        ("clip.mp4", "is a video"),
        ("clip.png", "is a video"),
    ],
)
def test_what_is_no_file_of_a_picture_is_named_with_what_to_do(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    write(OutputFile(tmp_path / "clip.mp4"))
    (tmp_path / "clip.png").write_bytes((tmp_path / "clip.mp4").read_bytes())
    done = run_here(environment, "generate", given, "--prompt", PROMPT)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("flag", ["--like", "--output"])
def test_no_other_file_is_an_address_either(environment: dict[str, str], picture: Path, flag: str) -> None:
    done = generate_here(environment, picture, flag, "https://example.com/clip.mp4")
    assert (done.returncode, "is a URL" in done.stderr) == (2, True), done.stderr
    asked = run_here(environment, "info", "https://example.com/clip.mp4")
    assert (asked.returncode, "is a URL" in asked.stderr) == (2, True), asked.stderr


def test_missing_weights_are_a_failure_that_says_where_they_go(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    environment["I2V_MODELS__DIRECTORY"] = str(tmp_path / "models")
    done = generate_here(environment, picture, "--engine", "i2vgen-xl")
    assert done.returncode == 1
    assert str(tmp_path / "models" / "i2vgen-xl") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_within_a_step_and_leaves_nothing(
    environment: dict[str, str], picture: Path, outputs: Path, number: signal.Signals
) -> None:
    ours, theirs = pty.openpty()
    alone = ("--option", "camera_strength=1")  # or the first steps are left out
    arguments = command("generate", picture, "--prompt", PROMPT, "--num-inference-steps", "200", *alone)
    child = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    read_terminal(ours, until=b" 2/200")
    child.send_signal(signal.SIGSTOP)  # a busy machine would let it go on until this test has its turn
    os.waitpid(child.pid, os.WUNTRACED)
    child.send_signal(number)
    os.write(theirs, b"sent")
    child.send_signal(signal.SIGCONT)
    read_terminal(ours, until=b"sent")
    os.close(theirs)
    shown = read_terminal(ours, until=b"nobody says this")
    os.close(ours)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert shown.strip().splitlines()[-1] == b"i2v: Interrupted. No files were left behind."
    assert shown.count(b"/200") <= 1
    assert out == b""
    assert list(outputs.iterdir()) == []


# --- like


def test_a_clip_is_made_again_from_what_it_says_of_itself(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    first, again, other = (tmp_path / name for name in ("first.mp4", "again.mp4", "other.mp4"))
    done = generate_here(environment, picture, "--fps", "6", "--output", first, prompt="镜头向左移动")
    assert done.returncode == 0, done.stderr
    done = run_here(environment, "generate", picture, "--like", first, "--output", again)
    assert done.returncode == 0, done.stderr
    assert "differently" not in done.stderr
    assert again.read_bytes() == first.read_bytes()
    done = run_here(environment, "generate", picture, "--like", first, "--seed", "8", "--output", other)
    assert "differently" not in done.stderr, "what is asked for is no surprise"
    then, now = (Provenance.from_tags(read_tags(path), path).generation for path in (first, other))
    assert {name: value for name, value in now.items() if then[name] != value} == {"seed": 8}


@pytest.mark.slow
def test_another_picture_is_reported(
    environment: dict[str, str], picture: Path, photo: Image.Image, tmp_path: Path
) -> None:
    first, mirrored = tmp_path / "first.mp4", tmp_path / "mirrored.png"
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    assert generate_here(environment, picture, "--output", first).returncode == 0
    environment["I2V_ENGINE__DECODE_CHUNK"] = "3"
    done = run_here(environment, "generate", mirrored, "--like", first, "--json")
    assert done.returncode == 0, done.stderr
    notices = json.loads(done.stdout)["notices"]
    differing = {row["params"]["what"] for row in notices if row["code"] == "like.differs"}
    assert differing == {"picture", "decode_chunk"}


@pytest.mark.slow
def test_settings_are_taken_over_between_a_camera_move_and_a_model(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    move, clip, again = (tmp_path / name for name in ("move.mp4", "clip.mp4", "again.mp4"))
    short = ("--num-frames", "24", "--fps", "24")
    few = ("--engine", "embedded", "--num-frames", "4", "--fps", "8", "--num-inference-steps", "2")
    for given in (
        ("--engine", "camera-move", "--prompt", "zoom in", "--resolution", "256p", *short, "--output", move),
        ("--like", move, *few, "--resolution", "256p", "--output", clip),
        ("--like", clip, "--engine", "camera-move", *short, "--output", again),
    ):
        done = run_here(environment, "generate", picture, *given)
        assert done.returncode == 0, done.stderr
    made = [Provenance.from_tags(read_tags(path), path).generation for path in (move, clip, again)]
    assert [each["engine"] for each in made] == ["camera-move", "embedded", "camera-move"]
    assert {each["prompt"] for each in made} == {"zoom in"}
    assert made[2]["options"] == made[0]["options"]


# --- pictures besides the image


def test_a_last_image_ends_the_clip_and_is_asked_for_again(
    environment: dict[str, str], picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.engines.registry.engines", lambda: {CONTRARY.name: CONTRARY})
    grey, clip, again = tmp_path / "grey.png", tmp_path / "clip.mp4", tmp_path / "again.mp4"
    Image.new("RGB", (64, 64), "#909090").save(grey)
    asked = ("--engine", "contrary", "--num-frames", "24", "--last-image", grey, "--output", clip)
    done = run_here(environment, "generate", picture, *asked)
    assert done.returncode == 0, done.stderr
    assert abs(int(read_frames(clip)[-1].mean()) - 0x90) <= 3
    done = run_here(environment, "generate", picture, "--like", clip, "--output", again)
    assert (done.returncode, "last-image" in done.stderr) == (2, True), done.stderr
    asked = ("--like", clip, "--last-image", grey, "--output", again)
    done = run_here(environment, "generate", picture, *asked)
    assert (done.returncode, "differently" in done.stderr) == (0, False), done.stderr
    assert again.read_bytes() == clip.read_bytes()


def test_keyframes_are_their_frames_of_the_clip_and_are_asked_for_again(
    environment: dict[str, str], picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.engines.registry.engines", lambda: {CONTRARY.name: CONTRARY})
    grey, clip, again = tmp_path / "grey.png", tmp_path / "clip.mp4", tmp_path / "again.mp4"
    Image.new("RGB", (64, 64), "#909090").save(grey)
    keyframe = ("--keyframe", f"8={grey}")
    asked = ("--engine", "contrary", "--num-frames", "24", *keyframe, "--output", clip)
    done = run_here(environment, "generate", picture, *asked)
    assert done.returncode == 0, done.stderr
    assert abs(int(read_frames(clip)[8].mean()) - 0x90) <= 3
    done = run_here(environment, "generate", picture, "--like", clip, "--output", again)
    assert (done.returncode, "--keyframe" in done.stderr) == (2, True), done.stderr
    done = run_here(environment, "generate", picture, "--like", clip, *keyframe, "--output", again)
    assert (done.returncode, "differently" in done.stderr) == (0, False), done.stderr
    assert again.read_bytes() == clip.read_bytes()
    done = run_here(environment, "generate", picture, "--engine", "contrary", "--keyframe", grey)
    assert (done.returncode, "FRAME=FILE" in done.stderr) == (2, True), done.stderr


def test_a_last_image_that_the_model_does_not_take_is_refused_before_anything_else(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    done = generate_here(environment, picture, "--last-image", tmp_path / "none.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert "last_image" in done.stderr


@pytest.mark.slow
def test_a_clip_that_cannot_be_repeated_says_why(
    environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    silent, foreign = tmp_path / "silent.mp4", write(OutputFile(tmp_path / "foreign.mp4")).path
    environment["I2V_OUTPUT__PROMPTS"] = "false"
    assert generate_here(environment, picture, "--output", silent).returncode == 0
    for clip, words in (
        (silent, "was saved without its prompt. Pass --prompt"),
        (foreign, "has no generation settings in it"),
        (tmp_path / "none.mp4", "no such file"),
        (picture, "cannot be read as a video"),
    ):
        done = run_here(environment, "generate", picture, "--like", clip)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_prompt_is_needed_and_named(environment: dict[str, str], picture: Path) -> None:
    done = run_here(environment, "generate", picture)
    assert done.returncode == 2
    assert "--prompt is required" in done.stderr
