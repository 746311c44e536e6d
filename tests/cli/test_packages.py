"""Commands without one of their packages, or with one that is too old: a sentence and an exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from i2v.core.settings_sources import ROOT
from tests.cli.running import command, generate, run

HIDDEN = Path(__file__).parents[1] / "hidden"
MODULES = {
    "accelerate": "accelerate", "diffusers": "diffusers", "fastapi": "fastapi", "ftfy": "ftfy",
    "gradio": "gradio", "h11": "h11",
    "huggingface-hub": "huggingface_hub", "imageio": "imageio", "imageio-ffmpeg": "imageio_ffmpeg",
    "numpy": "numpy", "pillow": "PIL", "pillow-heif": "pillow_heif",
    "prometheus-client": "prometheus_client", "psutil": "psutil",
    "pydantic": "pydantic", "python-multipart": "python_multipart", "pyyaml": "yaml",
    "safetensors": "safetensors", "shtab": "shtab", "torch": "torch", "transformers": "transformers",
    "uvicorn": "uvicorn",
}  # fmt: skip
OF_SERVER = {
    "fastapi",
    "h11",
    "imageio-ffmpeg",
    "numpy",
    "pillow",
    "prometheus-client",
    "psutil",
    "pydantic",
    "python-multipart",
    "pyyaml",
}
OF_SERVER |= {"uvicorn"}
OF_CLIPS = {"imageio", "imageio-ffmpeg", "numpy", "pillow", "psutil", "pydantic", "pyyaml", "torch"}
OF_CLIPS |= {"accelerate", "diffusers", "huggingface-hub", "safetensors", "transformers"}
# By default, one that every command asks for and one that only clips do.
OFTEN = {"pydantic", "torch"}


def without(environment: dict[str, str], package: str, is_old: bool = False) -> dict[str, str]:
    path = os.pathsep.join([str(HIDDEN), *filter(None, [environment.get("PYTHONPATH")])])
    return environment | {
        "PYTHONPATH": path,
        "HIDDEN_PACKAGE": f"{package}={MODULES[package]}",
        "HIDDEN_BY_AGE": str(int(is_old)),
    }


def says(package: str, is_old: bool) -> str:
    return f"Package {package} is version 0.0.1, but" if is_old else f"Package {package} is not installed."


def serve(environment: dict[str, str]) -> tuple[int, str]:
    """Start the server, end it as soon as it listens, and return its exit code and all that it said."""
    process = subprocess.Popen(
        command("serve", "--port", "0"),
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = ""
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "i2v listens at" in line:
                process.send_signal(signal.SIGTERM)
    return process.returncode, said


def test_each_package_that_we_ask_for_is_tried() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r'^ +"([\w-]+)', listed, re.MULTILINE)) == MODULES.keys()


@pytest.mark.parametrize(
    "package", [pytest.param(each, marks=[] if each in OFTEN else pytest.mark.slow) for each in MODULES]
)
def test_doctor_names_a_missing_package(environment: dict[str, str], package: str) -> None:
    done = run(without(environment, package), "doctor", "--port", "49333")
    assert done.returncode == 1
    assert says(package, is_old=False) in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("package", MODULES)
def test_doctor_names_a_package_that_is_too_old(environment: dict[str, str], package: str) -> None:
    done = run(without(environment, package, is_old=True), "doctor", "--port", "49333")
    assert done.returncode == 1
    assert says(package, is_old=True) in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


CASES = [(package, is_old) for is_old in (False, True) for package in MODULES]
RARE = [(package, is_old) for package, is_old in CASES if is_old or package not in OFTEN - {"torch"}]


@pytest.mark.parametrize(
    ("package", "is_old"),
    [pytest.param(*case, marks=pytest.mark.slow if case in RARE else []) for case in CASES],
)
def test_the_server_ends_with_a_sentence_or_runs_without_the_package(
    environment: dict[str, str], package: str, is_old: bool
) -> None:
    """Without its page, the server needs no Gradio; what only clips need is for the worker to tell."""
    code, said = serve(without(environment, package, is_old) | {"I2V_SERVER__PAGE": "false"})
    assert "Traceback" not in said, said
    if is_old or package in OF_SERVER:
        assert (code, says(package, is_old) in said) == (1, True), said
    else:
        assert (code, "i2v listens at" in said) == (0, True), said


@pytest.mark.slow
def test_with_its_page_the_server_ends_with_a_sentence_where_gradio_is_missing(
    environment: dict[str, str],
) -> None:
    code, said = serve(without(environment, "gradio") | {"I2V_SERVER__PAGE": "true"})
    assert (code, said.splitlines()[-1]) == (1, f"i2v: {says('gradio', False)} Run bash scripts/setup.sh.")


@pytest.mark.parametrize(
    ("name", "package"),
    [
        pytest.param(name, package, marks=[] if package in OFTEN else pytest.mark.slow)
        for package in ("numpy", "pillow", "psutil", "pydantic", "pyyaml")
        for name in ("plan", "info")
    ],
)
def test_smaller_commands_end_with_a_sentence_or_do_their_work(
    environment: dict[str, str], package: str, name: str, tmp_path: Path
) -> None:
    arguments = ["--vram", "8"] if name == "plan" else [tmp_path / "none.mp4"]
    done = run(without(environment, package), name, *arguments)
    assert "Traceback" not in done.stdout + done.stderr
    if done.returncode == 1:
        assert done.stderr == f"i2v: {says(package, is_old=False)} Run bash scripts/setup.sh.\n"
    else:
        assert done.returncode == (2 if name == "info" else 0), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("is_old", [False, True], ids=["missing", "old"])
@pytest.mark.parametrize("package", MODULES)
def test_a_clip_ends_with_a_sentence_or_is_made(
    environment: dict[str, str], picture: Path, package: str, is_old: bool
) -> None:
    done = generate(without(environment, package, is_old), picture)
    assert "Traceback" not in done.stdout + done.stderr
    if is_old or package in OF_CLIPS:
        assert done.returncode == 1
        assert says(package, is_old) in done.stderr.splitlines()[-1]
    else:
        assert done.returncode == 0, done.stderr
