"""i2v.web.api.openai_videos: OpenAI's own Python client against a real server."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
from PIL import Image

from i2v.media.video import probe
from tests.contrary import CONTRARY
from tests.rehearsal import ENGINES
from tests.web.house import House, running, wait_for

# The client warns of the end of OpenAI's own service, which is not asked here.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

TOKEN = "a-token-of-more-than-sixteen-letters"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    engines = {**ENGINES, CONTRARY.name: CONTRARY}
    with running(tmp_path_factory.mktemp("openai"), picture, engines, security__token=TOKEN) as started:
        yield started


def client_of(house: House, token: str = TOKEN) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{house.url}/v1", api_key=token, max_retries=0)


@pytest.fixture(scope="module")
def videos(house: House) -> Iterator[Any]:
    with client_of(house) as client:
        yield client.videos


def data_url(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def test_a_file_becomes_a_video_that_can_be_fetched_and_deleted(
    house: House, videos: Any, tmp_path: Path
) -> None:
    with house.executor.working():
        video = videos.create_and_poll(
            prompt="waves",
            input_reference=("a.png", house.picture, "image/png"),
            model="rehearsal",
            size="96x64",
            seconds="0.5",
            extra_body={"num_inference_steps": 2, "user": "somebody"},
            poll_interval_ms=50,
        )
    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert (video.model, video.size, video.seconds, video.prompt) == ("rehearsal", "96x64", "0.5", "waves")
    assert video.completed_at >= video.created_at
    file = tmp_path / "video.mp4"
    videos.download_content(video.id).write_to_file(file)
    found = probe(file)
    assert (found.width, found.height, found.num_frames, found.fps) == (96, 64, 4, 8)
    thumbnail = videos.download_content(video.id, variant="thumbnail").read()
    assert Image.open(io.BytesIO(thumbnail)).format == "JPEG"
    assert house.store.get(video.id).generation.num_inference_steps == 2
    deleted = videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError) as caught:
        videos.retrieve(video.id)
    assert caught.value.code == "job.unknown"


@pytest.mark.parametrize("way", ["form", "object", "text"])
def test_a_data_url_is_the_same_picture(house: House, videos: Any, way: str) -> None:
    reference = data_url(house.picture) if way == "text" else {"image_url": data_url(house.picture)}
    if way == "form":  # as the client writes an object
        body = {"input_reference": reference, "seed": 3}
        video_id = videos.create(prompt="waves", extra_body=body).id
    else:
        body = {"prompt": "waves", "input_reference": reference, "seed": 3}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        sent = requests.post(f"{house.url}/v1/videos", json=body, headers=headers, timeout=60)
        assert sent.status_code == 200, sent.text
        video_id = sent.json()["id"]
    job = house.store.get(video_id)
    assert (job.generation.seed, job.status) == (3, "queued")
    assert videos.delete(video_id).deleted  # it waited: nothing to cancel first


def test_videos_are_listed_from_either_end_in_pages(house: House, videos: Any) -> None:
    made = [
        videos.create(prompt=f"clip {number}", input_reference=("a.png", house.picture)).id
        for number in range(5)
    ]
    assert [video.id for video in videos.list(limit=2)][:5] == made[::-1], "the client turns the pages"
    page = videos.list(limit=2, order="asc", after=made[0])
    assert ([video.id for video in page.data], page.has_more) == (made[1:3], True)
    assert (page.model_extra or {})["first_id"] == made[1]
    with pytest.raises(openai.NotFoundError):
        videos.list(after="nothing")
    for video_id in made:
        videos.delete(video_id)


def test_a_remix_is_the_same_picture_with_another_prompt(house: House, videos: Any) -> None:
    first = videos.create(
        prompt="waves", input_reference=("a.png", house.picture), extra_body={"fit": "crop", "num_frames": 6}
    )
    again = videos.remix(first.id, prompt="fog")
    assert (again.prompt, again.remixed_from_video_id, again.id != first.id) == ("fog", first.id, True)
    jobs = [house.store.get(video.id) for video in (first, again)]
    assert house.service.picture(jobs[0]) == house.service.picture(jobs[1])
    assert [(job.generation.fit, job.generation.num_frames) for job in jobs] == [("crop", 6)] * 2
    for job in jobs:
        videos.delete(job.id)


@pytest.mark.slow
def test_a_remix_of_a_story_or_of_a_clip_made_better_has_the_other_prompt(house: House, videos: Any) -> None:
    scenes = [{"seconds": 0.5, "prompt": "nothing"}, {"seconds": 1}]
    first = house.service.submit({"prompt": "nothing", "story": scenes}, house.picture)
    while house.executor.run_next():
        pass
    better = house.service.enhance(first.id, {"scale": 2}).id
    for video in (first.id, better):
        made = house.store.get(videos.remix(video, prompt="step: fail").id).generation
        assert made is not None
        assert [(scene.seconds, scene.prompt) for scene in made.story] == [
            (0.5, "step: fail"),
            (1, "step: fail"),
        ]
        assert (made.source, made.prompt) == ("", "step: fail")
    while house.executor.run_next():
        pass


def test_a_job_that_failed_or_was_cancelled_says_why(house: House, videos: Any) -> None:
    failed = videos.create(prompt="step 1: refuse", input_reference=("a.png", house.picture)).id
    assert house.executor.run_next()
    video = videos.retrieve(failed)
    assert (video.status, video.error.code) == ("failed", "weights.missing_file")
    waiting = videos.create(prompt="fog", input_reference=("a.png", house.picture)).id
    house.service.cancel(waiting)
    video = videos.retrieve(waiting)
    assert (video.status, video.error.code) == ("failed", "job.cancelled")
    for each in (failed, waiting):
        videos.delete(each)


def test_what_litellm_sends_is_understood(house: House) -> None:
    """As litellm 1.110 sends it (llms/openai/videos/transformation.py); tried by hand with itself."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    videos = f"{house.url}/v1/videos"
    data = {"model": "rehearsal", "prompt": "waves", "seconds": "0.5", "size": "96x64", "user": "somebody"}
    file = ("input_reference", ("input_reference.png", house.picture, "image/png"))
    with house.executor.working():
        made = session.post(videos, data=data, files=[file], timeout=60).json()
        wait_for(lambda: session.get(f"{videos}/{made['id']}", timeout=60).json()["status"] == "completed")
    expected = {
        "object": "video",
        "seconds": "0.5",
        "size": "96x64",
        "model": "rehearsal",
        "status": "queued",
    }
    assert {name: made[name] for name in expected} == expected
    content = session.get(f"{videos}/{made['id']}/content", params={}, timeout=60)
    assert content.headers["Content-Type"] == "video/mp4"
    thumbnail = session.get(f"{videos}/{made['id']}/content?variant=thumbnail", timeout=60)
    assert thumbnail.headers["Content-Type"] == "image/jpeg"
    listed = session.get(videos, params={"limit": "5", "order": "desc"}, timeout=60).json()
    assert listed["first_id"] == made["id"]
    remix = session.post(f"{videos}/{made['id']}/remix", json={"prompt": "fog"}, timeout=60).json()
    assert remix["remixed_from_video_id"] == made["id"]
    without = session.post(videos, json={"model": "rehearsal", "prompt": "waves"}, timeout=60)
    assert (without.status_code, without.json()["error"]["param"]) == (422, "input_reference")
    for each in (remix, made):
        assert session.delete(f"{videos}/{each['id']}", timeout=60).json()["deleted"]


@pytest.mark.parametrize(
    ("fields", "output_fps"),
    [
        ({"enable_frame_interpolation": True}, 16),
        ({"enable_frame_interpolation": "true", "frame_interpolation_exp": "2", "fps": "10"}, 40),
        ({"enable_frame_interpolation": False, "frame_interpolation_exp": 2}, None),
        ({"enable_frame_interpolation": True, "output_fps": 30}, 30),
    ],
)
def test_frames_in_between_are_asked_for_in_vllm_omnis_words(
    house: House, fields: Any, output_fps: int | None
) -> None:
    body = {"prompt": "waves", "input_reference": data_url(house.picture), **fields}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    response = requests.post(f"{house.url}/v1/videos", json=body, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    made = house.service.get(response.json()["id"]).generation
    assert made is not None
    assert made.output_fps == output_fps
    house.service.cancel(response.json()["id"])


@pytest.mark.parametrize(("fields", "code", "param"), [
    ({"size": "wide"}, "request.invalid", "size"),
    ({"seconds": "long"}, "request.invalid", "seconds"), ({"seconds": 10_000}, "request.invalid", "seconds"),
    ({"seconds": 500}, "request.invalid", "seconds"),
    ({"seconds": 1, "num_frames": 8}, "request.invalid", "seconds"),
    ({"enable_frame_interpolation": "often"}, "request.invalid", "enable_frame_interpolation"),
    ({"enable_frame_interpolation": True, "frame_interpolation_exp": 0}, "request.invalid",
     "frame_interpolation_exp"),
    ({"enable_frame_interpolation": True, "frame_interpolation_exp": 6}, "request.invalid", "output_fps"),
    ({"frame_interpolation_scale": 0.5}, "request.unknown_field", "frame_interpolation_scale"),
    ({"model": "sora-2"}, "request.unknown_engine", "model"),
    ({"flow_shift": 5}, "request.unknown_field", "flow_shift"),
    ({"input_reference": {"file_id": "file-1"}}, "request.missing_field", "input_reference"),
    ({"input_reference": {"image_url": "https://example.com/a.png"}}, "image.address", "input_reference"),
    ({"input_reference": 7}, "request.invalid", "input_reference"),
    ({"prompt": ""}, "request.blank_prompt", "prompt"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_their_form(house: House, fields: Any, code: str, param: str) -> None:
    body = {"prompt": "waves", "input_reference": data_url(house.picture), **fields}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    response = requests.post(f"{house.url}/v1/videos", json=body, headers=headers, timeout=60)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (422, "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]


def test_who_has_no_token_is_told_so_in_their_form(house: House) -> None:
    with client_of(house, "wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.videos.list()
    assert (caught.value.code, caught.value.type) == ("http.wrong_token", "authentication_error")
    with client_of(house) as client, pytest.raises(openai.NotFoundError) as missing:
        client.get("/no/such/path", cast_to=object)
    assert missing.value.code == "http.no_such_path"


def test_models_are_those_that_can_run_here(house: House) -> None:
    with client_of(house) as client:
        assert [model.id for model in client.models.list()] == ["rehearsal", "contrary"]
        assert client.models.retrieve("contrary").id == "contrary"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("sora-2")
