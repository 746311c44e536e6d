"""web.guard.heads and the methods of every address: HEAD as GET, OPTIONS, and 405 with what is allowed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.web.house import House
from tests.web.pages import page_house

READ = [
    "/", "/docs", "/openapi.json", "/healthz", "/readyz", "/api/v1/jobs", "/api/v1/engines",
    "/api/v1/presets", "/api/v1/models", "/config", "/theme.css", "/gradio_api/info",
]  # fmt: skip
OF_A_JOB = ["", "/events", "/thumbnail", "/picture", "/video", "/poster", "/last-frame", "/preview"]
MOVING = {"date", "content-length", "transfer-encoding", "connection", "keep-alive"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with page_house(tmp_path_factory.mktemp("heads"), picture) as started:
        yield started


@pytest.fixture(scope="module")
def finished(house: House) -> str:
    job_id = house.submit_id(num_frames=4, num_inference_steps=1)
    assert house.executor.run_next()
    return job_id


def same(house: House, path: str) -> int:
    """Return the status of HEAD, whose headers must be those of GET, and its body empty."""
    get = requests.get(house.url + path, timeout=30, stream=True, allow_redirects=False)
    head = requests.head(house.url + path, timeout=30)
    assert head.content == b""
    assert head.status_code == get.status_code
    assert head.headers.keys() - MOVING == get.headers.keys() - MOVING
    for name in ("Content-Type", "Content-Length", "Cache-Control"):
        assert head.headers.get(name) == get.headers.get(name)
    get.close()
    return get.status_code


@pytest.mark.parametrize("path", READ)
def test_head_is_answered_as_get_is(house: House, path: str) -> None:
    assert same(house, path) == 200


@pytest.mark.parametrize("what", OF_A_JOB)
def test_head_is_answered_for_all_that_a_job_has(house: House, finished: str, what: str) -> None:
    assert same(house, f"/api/v1/jobs/{finished}{what}") == (404 if what == "/preview" else 200)


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/jobs/x", "/healthz/", "//healthz", "/api/v1/jobs/"])
def test_what_get_does_not_find_head_does_not_find(house: House, path: str) -> None:
    assert same(house, path) == 404


def test_the_events_of_a_waiting_job_end_at_their_headers(house: House) -> None:
    job_id = house.submit_id()
    head = requests.head(f"{house.api}/jobs/{job_id}/events", timeout=30)
    assert (head.status_code, head.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
    requests.delete(f"{house.api}/jobs/{job_id}", timeout=30)


def test_ranges_are_of_get_alone(house: House, finished: str) -> None:
    url = f"{house.api}/jobs/{finished}/video"
    head = requests.head(url, headers={"Range": "bytes=0-9"}, timeout=30)
    assert (head.status_code, head.headers["Accept-Ranges"]) == (200, "bytes")
    assert int(head.headers["Content-Length"]) == len(requests.get(url, timeout=30).content)


ALLOWED = [
    ("/", "GET, HEAD, OPTIONS"),
    ("/healthz", "GET, HEAD, OPTIONS"),
    ("/docs", "GET, HEAD, OPTIONS"),
    ("/api/v1/jobs", "GET, HEAD, OPTIONS, POST"),
    ("/api/v1/jobs/x", "DELETE, GET, HEAD, OPTIONS, PATCH"),
    ("/api/v1/jobs/x/video", "GET, HEAD, OPTIONS"),
    ("/api/v1/jobs/x/events", "GET, HEAD, OPTIONS"),
    ("/api/v1/plan", "OPTIONS, POST"),
    ("/generate", "OPTIONS, POST"),
    ("/config", "GET, HEAD, OPTIONS"),
    ("/gradio_api/upload", "OPTIONS, POST"),
]


@pytest.mark.parametrize(("path", "allowed"), ALLOWED)
def test_options_and_405_say_what_is_allowed(house: House, path: str, allowed: str) -> None:
    options = requests.options(house.url + path, timeout=30)
    assert (options.status_code, options.content, options.headers["Allow"]) == (204, b"", allowed)
    for method in {"PUT", "PATCH", "TRACE", "PROPFIND", "HEAD", "DELETE"} - set(allowed.split(", ")):
        refused = requests.request(method, house.url + path, timeout=30)
        assert (refused.status_code, refused.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/nothing", "/healthz/", "//docs"])
def test_where_there_is_nothing_nothing_is_allowed(house: House, path: str) -> None:
    for method in ("OPTIONS", "PUT", "DELETE"):
        refused = requests.request(method, house.url + path, timeout=30)
        assert refused.status_code == 404
        assert "Allow" not in refused.headers
