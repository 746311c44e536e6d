"""i2v.web.api.files: what is answered for videos and pictures that somebody has moved, replaced or damaged.

What there is of a sound job is tested with the API.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from PIL import Image

from i2v.jobs.model import Job
from i2v.media.decoder import thumbnail_of
from tests.web.house import House

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def made(shared_house: House) -> Job:
    """A finished job."""
    job_id = shared_house.submit_id()
    while shared_house.executor.run_next():
        pass
    return shared_house.store.get(job_id)


@pytest.fixture
def job(made: Job) -> Iterator[Job]:
    """The same, whose video and thumbnail are as they were after the test."""
    path = Path(made.output)
    whole = path.read_bytes()
    yield made
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(whole)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def flip_bytes_inside(path: Path) -> None:
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_clip_is_fetched_as_a_moving_picture(shared_house: House, job: Job, kind: str) -> None:
    response = shared_house.get(f"/jobs/{job.id}/animation?format={kind}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, f"image/{kind}")
    assert f"{Path(job.output).stem}.{kind}" in response.headers["Content-Disposition"]
    with Image.open(io.BytesIO(response.content)) as moving:
        assert moving.format == kind.upper()
    assert shared_house.get(f"/jobs/{job.id}/animation?format=png").status_code == 422


def test_a_clip_that_is_too_long_for_that_says_so(
    shared_house: House, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.service.service.MAX_FRAMES", 3)
    response = shared_house.get(f"/jobs/{job.id}/animation")
    assert (response.status_code, response.json()["code"]) == (409, "job.too_long_to_export")


GONE: dict[str, tuple[str, Change]] = {
    "removed": ("job.video_missing", Path.unlink),
    "a folder": ("job.video_missing", replace_by_folder),
    "empty": ("job.video_missing", lambda path: os.truncate(path, 0)),
    "text": ("job.video_broken", lambda path: path.write_text("no video")),
    "cut": ("job.video_broken", lambda path: os.truncate(path, path.stat().st_size // 2)),
}


@pytest.mark.parametrize(("code", "change"), GONE.values(), ids=GONE)
def test_a_video_that_is_not_there_any_more_is_gone(
    shared_house: House, job: Job, code: str, change: Change
) -> None:
    assert shared_house.get(f"/jobs/{job.id}").json()["video_available"] is True
    change(Path(job.output))
    for what in ("video", "last-frame", "poster"):
        response = shared_house.get(f"/jobs/{job.id}/{what}")
        body = response.json()
        assert (response.status_code, body["status"], body["code"]) == (410, 410, code)
        assert job.output in body["detail"]
        assert body["hint"]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Type"] == "application/problem+json"
    head = requests.head(f"{shared_house.api}/jobs/{job.id}/video", timeout=30)
    assert (head.status_code, head.content) == (410, b"")
    ranged = shared_house.get(f"/jobs/{job.id}/video", Range="bytes=0-99")
    assert ranged.status_code == 410
    body = shared_house.get(f"/jobs/{job.id}").json()
    assert (body["status"], body["video_available"]) == ("succeeded", False)
    [listed] = [each for each in shared_house.get("/jobs").json()["jobs"] if each["id"] == job.id]
    assert listed == body
    assert '"video_available":false' in shared_house.get(f"/jobs/{job.id}/events").text


def test_frames_that_only_decoding_shows_to_be_broken_are_a_clear_answer(
    shared_house: House, job: Job
) -> None:
    flip_bytes_inside(Path(job.output))
    for what in ("last-frame", "poster"):
        response = shared_house.get(f"/jobs/{job.id}/{what}")
        assert (response.status_code, response.json()["code"]) == (410, "job.video_broken")


def test_a_video_that_is_put_back_is_there_again(shared_house: House, job: Job) -> None:
    path = Path(job.output)
    away = path.rename(path.with_suffix(".away"))
    assert shared_house.get(f"/jobs/{job.id}/video").status_code == 410
    away.rename(path)
    assert shared_house.get(f"/jobs/{job.id}/video").content == path.read_bytes()


def test_the_picture_is_as_its_clip_has_it(shared_house: House, made: Job) -> None:
    response = shared_house.get(f"/jobs/{made.id}/picture")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    assert made.generation is not None
    assert Image.open(io.BytesIO(response.content)).size == (made.generation.width, made.generation.height)


@pytest.mark.parametrize("change", [Path.unlink, lambda path: os.truncate(path, 0), replace_by_folder])
def test_a_picture_that_is_not_there_any_more_is_gone(shared_house: House, change: Change) -> None:
    job_id = shared_house.submit_id()
    assert shared_house.get(f"/jobs/{job_id}/thumbnail").status_code == 200
    name = shared_house.service.get(job_id).input
    for file, address in ((thumbnail_of(Path(name)), "thumbnail"), (Path(name), "picture")):
        change(shared_house.settings.inputs / file)
        response = shared_house.get(f"/jobs/{job_id}/{address}")
        assert (response.status_code, response.json()["code"]) == (410, "job.no_thumbnail")
    shared_house.service.cancel(job_id)
    assert shared_house.service.delete(job_id).video == "none"
