"""i2v.web.guard.answer_headers: what other web pages may do is what the settings say, on every answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import sync_playwright

from tests.web.browser import CHROMIUM, FLAGS, needs_chromium
from tests.web.house import House, running

TOKEN = "correct-horse-battery-staple"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
APP = "https://app.example"
PATHS = ("/", "/login", "/docs", "/healthz", "/api/v1/jobs", "/nothing")


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    """A house that another page may use and show."""
    flags = {
        "security__token": TOKEN,
        "security__cors_origins": f"{APP}, http://localhost:5173",
        "security__frame_ancestors": "https://portal.example",
    }
    with running(tmp_path_factory.mktemp("neighbours"), picture, **flags) as started:
        yield started


def cors(response: requests.Response) -> set[str]:
    return {name.lower() for name in response.headers if name.lower().startswith("access-control")}


# --- frames


@pytest.mark.parametrize("path", PATHS)
def test_no_other_page_may_show_this_one(shared_house: House, path: str) -> None:
    headers = requests.get(shared_house.url + path, timeout=30, allow_redirects=False).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "microphone=()" in headers["Permissions-Policy"]


def test_a_refusal_has_them_too(shared_house: House) -> None:
    headers = requests.get(shared_house.url, headers={"Host": "evil.example"}, timeout=30).headers
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_the_settings_may(neighbours: House, path: str) -> None:
    response = requests.get(neighbours.url + path, headers=RIGHT, timeout=30, allow_redirects=False)
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://portal.example" in policy
    assert "'none'" not in policy.partition("frame-ancestors")[2]
    assert "X-Frame-Options" not in response.headers  # it knows no list


@needs_chromium
@pytest.mark.slow
def test_a_browser_shows_it_in_no_frame(shared_house: House, tmp_path: Path) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe src="{shared_house.url}/docs"></iframe>')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        with page.expect_event("console", lambda message: "frame-ancestors" in message.text):
            page.goto(frame.as_uri())
        browser.close()


# --- other pages that may use the API


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("origin", [APP, "http://localhost:5173"])
def test_a_preflight_from_there_is_answered_without_a_token(
    neighbours: House, method: str, origin: str
) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    response = requests.options(f"{neighbours.api}/jobs", headers=asked, timeout=30)
    assert (response.status_code, response.content) == (204, b"")
    headers = response.headers
    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert method in headers["Access-Control-Allow-Methods"].split(", ")
    allowed = headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "idempotency-key"} <= set(allowed)
    assert "Origin" in headers["Vary"]


def test_requests_from_there_are_answered_readably_and_need_the_token(neighbours: House) -> None:
    headers = {"Origin": APP, **RIGHT}
    job = requests.post(
        f"{neighbours.api}/jobs",
        data={"prompt": "x"},
        files={"image": neighbours.picture},
        headers=headers,
        timeout=30,
    )
    assert job.status_code == 202
    assert job.headers["Access-Control-Allow-Origin"] == APP
    assert "Location" in job.headers["Access-Control-Expose-Headers"].split(", ")
    refused = requests.get(f"{neighbours.api}/jobs", headers={"Origin": APP}, timeout=30)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, APP)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example", "https://app.example:8443", "https://app.example.evil",
     "https://x.app.example", "https://app.example/", "HTTPS://APP.EXAMPLE", "null", "*", ""],
)  # fmt: skip
def test_no_other_page_gets_anything(neighbours: House, origin: str) -> None:
    headers = {"Origin": origin, **RIGHT}
    read = requests.get(f"{neighbours.api}/jobs", headers=headers, timeout=30)
    assert (read.status_code, cors(read), read.headers["Vary"]) == (200, set(), "Origin")
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = requests.options(f"{neighbours.api}/jobs", headers=asked, timeout=30)
    assert (preflight.status_code, cors(preflight)) == (403, set())
    assert requests.post(f"{neighbours.api}/jobs", headers=headers, timeout=30).status_code == 403


def test_two_origins_are_none(neighbours: House) -> None:
    headers = {"Origin": f"{APP}, https://evil.example", **RIGHT}
    assert requests.post(f"{neighbours.api}/jobs", headers=headers, timeout=30).status_code == 403
