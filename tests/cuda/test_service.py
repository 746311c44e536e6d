"""The real server and its worker on the device: a clip over REST, cancelling, the page; two processes.

The embedded model, as a person has it after installing.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from i2v.core.settings_sources import ROOT
from tests.cli.running import command
from tests.clips import read_frames
from tests.cuda.devices import CUDA, DEVICES
from tests.servers import APP, Server, environment_in, launched

PICTURE = ROOT / "examples" / "coffee.jpg"
PROMPT = "the camera pans left"
SECONDS = 240.0


@contextmanager
def server_on(device: str, folder: Path, page: bool = False) -> Iterator[Server]:
    chosen = ["env", f"I2V_ENGINE__DEVICE={device}", "I2V_ENGINE__NAME=embedded"]
    with launched([*chosen, *APP, "--port", "0"], folder, page) as server:
        yield server


def submit(server: Server, **fields: object) -> str:
    form = {"prompt": PROMPT, "engine": "embedded", "num_frames": 4, "seed": 5, **fields}
    with PICTURE.open("rb") as file:
        answer = requests.post(f"{server.url}/api/v1/jobs", data=form, files={"image": file}, timeout=120)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait_for(server: Server, job: str, *statuses: str) -> dict[str, object]:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        reported: dict[str, object] = requests.get(f"{server.url}/api/v1/jobs/{job}", timeout=30).json()
        if reported["status"] in statuses:
            return reported
        assert reported["status"] not in ("failed", "cancelled", "succeeded"), reported["error"]
        time.sleep(0.05)
    raise AssertionError(f"{job} is not {' or '.join(statuses)} after {SECONDS:g} s")


@pytest.mark.parametrize("device", DEVICES)
def test_a_clip_comes_over_rest_and_tells_what_made_it(device: str, tmp_path: Path) -> None:
    with server_on(device, tmp_path) as server:
        body = wait_for(server, submit(server, num_inference_steps=2), "succeeded")
        result = body["result"]
        assert isinstance(result, dict)
        video = requests.get(result["video_url"], timeout=60)
    assert video.content[4:8] == b"ftyp"
    made = result["made_with"]
    assert made["dtype"] == ("float32" if device == "cpu" else "float16")
    assert (made["device"] == "CPU") == (device == "cpu")
    assert made["versions"].keys() >= {"i2v", "python", "torch", "ffmpeg"}


@pytest.mark.parametrize("device", DEVICES)
def test_a_cancelled_job_ends_soon_and_the_next_one_is_made(device: str, tmp_path: Path) -> None:
    with server_on(device, tmp_path) as server:
        alone = '{"camera_strength": 1}'  # or the first steps are left out
        long = submit(server, num_inference_steps=100, num_frames=16, guidance_scale=4, options=alone)
        wait_for(server, long, "running")
        start = time.monotonic()
        assert requests.delete(f"{server.url}/api/v1/jobs/{long}", timeout=30).ok
        wait_for(server, long, "cancelled")
        assert time.monotonic() - start < 60
        wait_for(server, submit(server, num_inference_steps=1), "succeeded")


@pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="Gradio is not installed")
@pytest.mark.parametrize("device", [CUDA])
def test_the_page_is_served_beside_the_worker(device: str, tmp_path: Path) -> None:
    with server_on(device, tmp_path, page=True) as server:
        assert "gradio" in requests.get(server.url, timeout=60).text
        wait_for(server, submit(server, num_inference_steps=1), "succeeded")


@pytest.mark.parametrize("device", DEVICES)
def test_two_processes_share_the_device_and_make_the_same_clip(device: str, tmp_path: Path) -> None:
    started = []
    for name in ("one", "two"):
        environment = environment_in(tmp_path / name) | {"I2V_ENGINE__DEVICE": device}
        line = command(
            "generate", PICTURE, "--prompt", PROMPT, "--engine", "embedded", "--seed", "5", "--json"
        )
        few = ["--num-frames", "4", "--num-inference-steps", "4"]
        started.append(
            subprocess.Popen(
                [*line, *few], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    reported = []
    for process in started:
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
        reported.append(json.loads(out.splitlines()[-1]))
    one, two = (read_frames(Path(each["path"])) for each in reported)
    assert (one == two).all()
