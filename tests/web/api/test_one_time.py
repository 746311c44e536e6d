"""i2v.web.api.one_time: over a real socket, and without the token that all else needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from i2v.web.one_time import OneTime
from tests.web.house import House, running

TOKEN = "a-token-of-more-than-sixteen-letters"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("once"), picture, security__token=TOKEN) as started:
        started.session.headers["Authorization"] = f"Bearer {TOKEN}"
        yield started


@pytest.fixture
def once(house: House) -> OneTime:
    return house.context.once


def test_a_picture_is_sent_to_an_address_once(house: House, once: OneTime) -> None:
    secret, _ = once.offer_upload()
    url = f"{house.url}/once/{secret}"
    assert requests.put(url, data=house.picture, timeout=30).status_code == 204
    assert once.upload(secret) == house.picture
    again = requests.put(url, data=b"other", timeout=30)
    assert (again.status_code, again.json()["code"]) == (404, "once.unknown")
    assert requests.put(f"{house.url}/once/nothing", data=b"x", timeout=30).status_code == 404


def test_a_video_is_fetched_from_an_address_once(house: House, once: OneTime) -> None:
    job_id = house.submit_id()
    secret, _ = once.offer_download(job_id)
    url = f"{house.url}/once/{secret}"
    early = requests.get(url, timeout=30)
    assert (early.status_code, early.json()["code"]) == (404, "job.no_video")
    assert house.executor.run_next()
    head = requests.head(url, timeout=30)
    assert (head.status_code, head.content) == (200, b"")
    whole = requests.get(url, headers={"Range": "bytes=0-9"}, timeout=30)
    assert (whole.status_code, whole.content) == (200, house.get(f"/jobs/{job_id}/video").content)
    assert whole.headers["Cache-Control"] == "no-store"
    assert requests.get(url, timeout=30).status_code == 404


def test_who_hangs_up_may_try_again(house: House, once: OneTime) -> None:
    job_id = house.submit_id()
    assert house.executor.run_next()
    path = house.service.video(job_id)
    path.write_bytes(path.read_bytes() + bytes(50_000_000))  # more than a socket takes in
    secret, _ = once.offer_download(job_id)
    url = f"{house.url}/once/{secret}"
    with requests.get(url, stream=True, timeout=30) as started:
        next(started.iter_content(1000))
    for _ in range(100):
        again = requests.get(url, timeout=30)
        if again.status_code == 200:
            break
    assert again.status_code == 200
    assert len(again.content) == path.stat().st_size
    assert requests.get(url, timeout=30).status_code == 404


def test_all_else_needs_the_token(house: House) -> None:
    for path in ("/once", "/api/v1/jobs", "/once/../api/v1/jobs", "/once/%2e%2e/api/v1/jobs"):
        prepared = requests.Request("GET", house.url).prepare()
        prepared.url = house.url + path
        with requests.Session() as session:
            assert session.send(prepared, timeout=30).status_code in (401, 404), path
            if path.endswith("jobs"):
                assert "jobs" not in session.send(prepared, timeout=30).json()
