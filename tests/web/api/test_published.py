"""i2v.web.api.published: what the two published clients send, as they send it, over a real socket.

`client_a` and `client_b` are those clients' own requests: addresses, names, order and values are theirs, only
the host, the paths and (for B) the single picture instead of a folder are ours.
"""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from i2v.media.video import probe
from tests.web.house import House, wait_for

RESOLUTIONS = (512, 512.0, "512", "512p")
PROMPT = "A cat turning its head slowly"


def client_a(url: str, picture: bytes, *numbers: object, prompt: str = PROMPT) -> requests.Response:
    resolution, num_frames, fps, steps, guidance_scale = numbers or (512, 16, 8, 50, 9.0)
    payload = {
        "data": [
            {"name": "input.png", "data": f"data:image/png;base64,{base64.b64encode(picture).decode()}"},
            prompt,
            resolution,
            num_frames,
            fps,
            steps,
            guidance_scale,
        ]
    }
    return requests.post(f"{url}/api/predict", json=payload, timeout=60)


def client_b(url: str, path: Path, **changed: object) -> requests.Response:
    with path.open("rb") as f:
        files = {"image": f}
        data = {
            "prompt": PROMPT,
            "num_frames": 16,
            "fps": 8,
            "resolution": "512p",
            "steps": 50,
            "guidance_scale": 9.0,
        }
        return requests.post(f"{url}/generate", files=files, data={**data, **changed}, timeout=60)


@pytest.fixture
def photo_file(picture: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "ein Bild 照片.png"
    path.write_bytes(picture)
    return path


@pytest.fixture(scope="module")
def busy(shared_house: House) -> Iterator[House]:
    """A house whose worker is working."""
    with shared_house.executor.working():
        yield shared_house


def newest(house: House) -> dict[str, Any]:
    job: dict[str, Any] = house.get("/jobs?limit=1").json()["jobs"][0]
    return job


# --- as they stand


def test_client_a_downloads_its_video(busy: House, picture: bytes, tmp_path: Path) -> None:
    response = client_a(busy.url, picture)
    assert response.status_code == 200, response.text
    video_url = response.json()["data"][0]
    assert video_url.startswith(busy.url)
    output_mp4 = tmp_path / "output.mp4"
    output_mp4.write_bytes(requests.get(video_url, timeout=60).content)
    video = probe(output_mp4)
    assert (video.num_frames, round(video.fps), video.codec) == (16, 8, "h264")
    result = newest(busy)["result"]
    assert (result["num_inference_steps"], result["guidance_scale"], result["prompt"]) == (50, 9.0, PROMPT)
    assert newest(busy)["request"]["resolution"] == "512p"
    assert video.width * video.height == pytest.approx(512 * 512, rel=0.1)


def test_client_b_reads_its_video_where_the_answer_says(busy: House, photo_file: Path) -> None:
    response = client_b(busy.url, photo_file)
    assert response.status_code == 200, response.text
    output = Path(response.json()["output_path"])
    assert output.is_absolute()
    video = probe(output)
    assert (video.num_frames, round(video.fps)) == (16, 8)
    job = newest(busy)
    assert response.json()["job_id"] == job["id"]
    assert requests.get(response.json()["video_url"], timeout=60).content == output.read_bytes()
    assert job["result"]["num_inference_steps"] == 50


def batch_generate(url: str, image_folder: Path, prompt: str) -> list[dict[str, str]]:
    """The published batch script, as it stands but for the address and where pictures lie."""
    results = []
    for img_file in os.listdir(image_folder):  # noqa: PTH208
        if img_file.lower().endswith((".png", ".jpg", ".jpeg")):
            img_path = os.path.join(image_folder, img_file)  # noqa: PTH118
            with open(img_path, "rb") as f:  # noqa: PTH123
                files = {"image": f}
                data: dict[str, str | int | float] = {
                    "prompt": prompt,
                    "num_frames": 16,
                    "fps": 8,
                    "resolution": "512p",
                    "steps": 50,
                    "guidance_scale": 9.0,
                }
                response = requests.post(url + "/generate", files=files, data=data)
            if response.status_code == 200:
                result = response.json()
                print(f"✅ 成功生成: {result['output_path']}")
                results.append(result)
            else:
                print(f"❌ 失败: {img_file}, {response.text}")
    return results


def test_the_batch_script_makes_a_clip_of_each_picture_and_goes_on_behind_a_broken_one(
    busy: House, picture: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("a.png", picture), ("b.PNG", picture), ("c.jpg", picture[:60]), ("note.txt", b"x")):
        (tmp_path / name).write_bytes(data)
    made = batch_generate(busy.url, tmp_path, "A cat turning its head slowly")
    assert len({result["output_path"] for result in made}) == 2
    assert {probe(Path(result["output_path"])).num_frames for result in made} == {16}
    message = capsys.readouterr().out
    assert message.count("✅ 成功生成: ") == 2
    assert "❌ 失败: c.jpg, " in message
    assert "image.damaged" in message


def test_both_work_with_a_trailing_slash(busy: House, picture: bytes) -> None:
    """As far as what is wrong with them: they are not sent on to another address."""
    form = {"prompt": "x", "steps": 0}
    b = requests.post(f"{busy.url}/generate/", files={"image": picture}, data=form, timeout=60)
    a = requests.post(f"{busy.url}/api/predict/", json={"data": [None]}, timeout=60)
    assert (a.status_code, b.status_code) == (422, 422)
    assert (a.json()["field"], b.json()["field"]) == ("data", "steps")
    assert not a.history
    assert not b.history


def test_the_url_is_how_the_client_reached_us(busy: House, picture: bytes) -> None:
    """What a stranger says about that is ignored."""
    port = busy.url.rpartition(":")[2]
    response = client_a(f"http://localhost:{port}", picture, 256, 4, 8, 1, 1.0)
    assert response.json()["data"][0].startswith(f"http://localhost:{port}/")
    proxied = requests.post(
        f"{busy.url}/generate",
        files={"image": picture},
        data={"prompt": "x", "steps": 1, "num_frames": 4, "resolution": "256p"},
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/i2v", "Host": "localhost"},
        timeout=60,
    )
    assert proxied.json()["video_url"].startswith("http://localhost/api/v1/")


# --- what goes wrong is another status, with text


@pytest.mark.parametrize(
    ("numbers", "field", "message"),
    [
        ((500, 16, 8, 50, 9.0), "resolution", "'256p', '512p', '768p' or '1024p'"),
        ((512.5, 16, 8, 50, 9.0), "resolution", "'512p'"),
        ((True, 16, 8, 50, 9.0), "resolution", "'512p'"),
        ((None, 3, 8, 50, 9.0), "num_frames", "4 to 128"),
        ((512, 16, 0, 50, 9.0), "fps", "1 to 60"),
        ((512, 16, 8, 0, 9.0), "num_inference_steps", "1 to 200"),
        ((512, 16, 8, 50, "much"), "guidance_scale", "1 to 30"),
    ],
)
def test_client_a_is_told_what_is_allowed(
    busy: House, picture: bytes, numbers: tuple[object, ...], field: str, message: str
) -> None:
    response = client_a(busy.url, picture, *numbers)
    assert response.status_code == 422
    assert response.json()["field"] == field
    assert message in response.text


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        ({"steps": 0}, "steps", "steps must be a whole number from 1 to 200 (got 0)"),
        ({"num_inference_steps": 0}, "steps", "given more than once"),
        ({"resolution": "500"}, "resolution", "resolution must be one of '256p', '512p'"),
        ({"prompt": " "}, "prompt", "The prompt is empty"),
        ({"step": 1}, "step", "Unknown field"),
    ],
)
def test_client_b_is_reported_in_its_own_words(
    busy: House, photo_file: Path, changed: dict[str, object], field: str, message: str
) -> None:
    response = client_b(busy.url, photo_file, **changed)
    assert response.status_code == 422
    assert response.json()["field"] == field
    assert message in response.text


def test_a_resolution_may_be_a_number_or_its_name(house: House, picture: bytes) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(client_a, house.url, picture, value, 4, 8, 1, 1.0) for value in RESOLUTIONS]
        wait_for(lambda: len(house.get("/jobs").json()["jobs"]) == len(RESOLUTIONS))
        jobs = house.get("/jobs").json()["jobs"]
        for job in jobs:  # that they were accepted is enough
            house.service.cancel(job["id"])
    assert {answer.result().status_code for answer in answers} == {409}
    assert [job["request"]["resolution"] for job in jobs] == ["512p"] * 4


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        [1],
        ["x"] * 8,
        [{"name": "/etc/passwd"}, "x", 512, 16, 8, 50, 9.0],
        [{"name": "x.png", "data": "/etc/passwd"}, "x", 512, 16, 8, 50, 9.0],
        [{"name": "x.png", "data": "http://127.0.0.1:1/x.png"}, "x", 512, 16, 8, 50, 9.0],
        [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "x", 512, 16, 8, 50, 9.0],
        ["/etc/passwd", "x", 512, 16, 8, 50, 9.0],
        [None, "x", 512, 16, 8, 50, 9.0],
    ],
)
def test_data_that_is_no_call_is_refused(busy: House, data: object) -> None:
    response = requests.post(f"{busy.url}/api/predict", json={"data": data}, timeout=60)
    assert response.status_code == 422
    assert response.json()["field"] in ("data", "image")


def test_a_failed_job_is_another_status_with_its_reason(house: House, picture: bytes) -> None:
    started = threading.Event()

    def lose_the_model() -> None:
        wait_for(lambda: bool(house.get("/jobs").json()["jobs"]))
        (house.settings.models.directory / "rehearsal" / "model_index.json").unlink()
        started.set()

    thread = threading.Thread(target=lose_the_model)
    thread.start()

    def work() -> None:
        started.wait(60)
        house.executor.run_next()

    worker = threading.Thread(target=work)
    worker.start()
    response = client_a(house.url, picture, 256, 4, 8, 1, 1.0)
    for each in (thread, worker):
        each.join()
    assert response.status_code == 500
    assert response.json()["code"] == "weights.missing_folder"
    assert "no model folder" in response.text


def test_a_model_that_is_not_here_is_said_before_there_is_a_job(house: House, picture: bytes) -> None:
    (house.settings.models.directory / "rehearsal" / "model_index.json").unlink()
    response = client_a(house.url, picture, 256, 4, 8, 1, 1.0)
    assert (response.status_code, response.json()["code"]) == (409, "weights.missing_folder")
    assert house.get("/jobs").json()["jobs"] == []


def test_a_cancelled_job_is_another_status(house: House, picture: bytes) -> None:
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(client_a(house.url, picture)))
    thread.start()
    wait_for(lambda: bool(house.get("/jobs").json()["jobs"]))
    house.service.cancel(newest(house)["id"])
    thread.join()
    assert (answers[0].status_code, answers[0].json()["code"]) == (409, "job.cancelled")


def test_a_server_that_ends_says_that_the_job_is_kept(house: House, picture: bytes) -> None:
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(client_a(house.url, picture)))
    thread.start()
    wait_for(lambda: bool(house.get("/jobs").json()["jobs"]))
    job_id = newest(house)["id"]
    house.closing.set()
    thread.join()
    assert (answers[0].status_code, answers[0].json()["code"]) == (503, "server.stopping")
    assert job_id in answers[0].text
    assert house.store.get(job_id).status == "queued"


def test_if_the_connection_drops_the_job_goes_on_and_is_in_the_list(house: House, picture: bytes) -> None:
    body = requests.Request(
        "POST",
        f"{house.url}/generate",
        files={"image": ("x.png", picture)},
        data={"prompt": "dropped", "steps": 2, "num_frames": 4, "resolution": "256p"},
    ).prepare()
    host, _, port = house.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        headers = "".join(f"{name}: {value}\r\n" for name, value in body.headers.items())
        assert isinstance(body.body, bytes)
        connection.sendall(f"POST /generate HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode() + body.body)
        wait_for(lambda: bool(house.get("/jobs").json()["jobs"]))
    assert house.executor.run_next()
    assert (newest(house)["status"], newest(house)["request"]["prompt"]) == ("succeeded", "dropped")
