"""i2v.web.guard.forwarded: a proxy of the settings is believed, nobody else is, and paths come out right."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import requests
from starlette.types import Message, Receive, Scope, Send

from i2v.core.setting_values import OWN_SEGMENTS
from i2v.web.app import create_app
from i2v.web.guard.forwarded import Forwarded, path_of
from tests.web.guard.test_access import places
from tests.web.house import House
from tests.web.pages import page_house

PROXIES = ("10.0.0.0/8", "::1", "127.0.0.1")


def passed(
    headers: dict[str, str], peer: str = "127.0.0.1", path: str = "/docs", root: str = "", **more: object
) -> Scope:
    """Return what the application gets to see of a request from `peer`."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(message: Message | None = None) -> Message:
        return {}

    given = [(b"host", b"inner:7860"), *((name.encode(), value.encode()) for name, value in headers.items())]
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "scheme": "http", "headers": given, "client": (peer, 50_000), **more,
    }  # fmt: skip
    asyncio.run(Forwarded(app, root, PROXIES)(scope, nothing, nothing))
    (found,) = seen
    return found


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1", "192.0.2.1"),  # what stands before, the client may have written
        ("192.0.2.1, 10.1.2.3", "192.0.2.1"),  # by way of two proxies
        ("192.0.2.1:4711, 10.1.2.3:80", "192.0.2.1"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("192.0.2.1, unknown, 10.1.2.3", "10.1.2.3"),
        ("unknown", "127.0.0.1"),
        ("'; drop", "127.0.0.1"),
        (" , ", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(chain: str, client: str) -> None:
    assert passed({"x-forwarded-for": chain})["client"][0] == client


@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1", "::1", "10.255.0.1"])
def test_a_proxy_of_the_settings_is_believed(peer: str) -> None:
    said = {"x-forwarded-proto": "https", "x-forwarded-host": "studio.example", "x-forwarded-prefix": "/i2v/"}
    scope = passed(said, peer)
    assert (scope["scheme"], scope["root_path"], scope["path"]) == ("https", "/i2v", "/i2v/docs")
    assert scope["headers"] == [(b"host", b"studio.example")]


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "::2", "127.0.0.2", ""])
def test_nobody_else_is_and_nobody_within_sees_what_they_say(
    peer: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = {
        "x-forwarded-proto": "https", "x-forwarded-host": "evil.example", "x-forwarded-prefix": "/evil",
        "x-forwarded-for": "192.0.2.9", "forwarded": "for=192.0.2.9", "x-real-ip": "192.0.2.9",
        "x-gradio-server": "http://evil.example",
    }  # fmt: skip
    with caplog.at_level(logging.WARNING):
        scope = passed(said, peer)
    assert (scope["scheme"], scope["root_path"], scope["path"]) == ("http", "", "/docs")
    assert (scope["client"][0], scope["headers"]) == (peer, [(b"host", b"inner:7860")])
    assert "security.trusted_proxies" in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "key", "kept"),
    [
        ("x-forwarded-proto", "javascript", "scheme", "http"),
        ("x-forwarded-proto", "https, http", "scheme", "https"),
        ("x-forwarded-prefix", "//evil.example", "root_path", "/evil.example"),
        ("x-forwarded-prefix", "https://evil.example", "root_path", ""),
        ("x-forwarded-prefix", "/a b", "root_path", ""),
        ("x-forwarded-prefix", "/../x", "root_path", ""),
        ("x-forwarded-prefix", "/api", "root_path", ""),
        ("x-forwarded-prefix", "/sent/by/client, /i2v", "root_path", "/i2v"),
        ("x-forwarded-host", "sent.by.client, studio", "headers", [(b"host", b"studio")]),
    ],
)
def test_what_cannot_be_is_left_out(name: str, value: str, key: str, kept: object) -> None:
    assert passed({name: value})[key] == kept


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/docs", "/i2v/docs"),
        ("/i2v/docs", "/i2v/docs"),
        ("/i2vx", "/i2v/i2vx"),
        ("/", "/i2v/"),
        ("*", "/i2v*"),
    ],
)
def test_a_path_is_the_same_whether_the_proxy_cut_it_or_not(sent: str, path: str) -> None:
    scope = passed({}, "192.0.2.1", sent, root="/i2v")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/i2v", path, path.encode())
    assert path_of(scope) == path.removeprefix("/i2v")


# --- a real server


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    """As it is behind a proxy on this machine."""
    flags = {"security__trusted_proxies": "127.0.0.1", "security__allowed_hosts": "studio.example"}
    with page_house(tmp_path_factory.mktemp("proxied"), picture, **flags) as started:
        yield started


SAID = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "studio.example",
    "X-Forwarded-Prefix": "/i2v",
    "Origin": "https://studio.example",
}
OUTSIDE = "https://studio.example/i2v"


@pytest.mark.parametrize("cut", [True, False])
def test_every_address_in_an_answer_is_the_clients(house: House, cut: bool) -> None:
    api = house.api if cut else f"{house.url}/i2v/api/v1"
    files = {"image": ("x.png", house.picture)}
    form = {"prompt": "x", "num_frames": 4, "num_inference_steps": 1}
    job = requests.post(f"{api}/jobs", data=form, files=files, headers=SAID, timeout=60)
    assert job.status_code == 202, job.text
    assert job.headers["Location"] == f"{OUTSIDE}/api/v1/jobs/{job.json()['id']}"
    assert house.executor.run_next()
    url = f"{api}/jobs/{job.json()['id']}"
    video = requests.get(url, headers=SAID, timeout=30).json()["result"]["video_url"]
    assert video == f"{OUTSIDE}/api/v1/jobs/{job.json()['id']}/video"
    events = requests.get(f"{url}/events", headers=SAID, timeout=30).text
    assert f'"video_url":"{video}"' in events
    assert requests.get(f"{url}/video", headers=SAID, timeout=30).headers["Content-Type"] == "video/mp4"


def test_gradio_gets_the_address_outside(house: House) -> None:
    for path in ("/config", "/i2v/config"):
        config = requests.get(house.url + path, headers=SAID, timeout=30).json()
        assert config["root"] == OUTSIDE
    page = requests.get(f"{house.url}/", headers=SAID, timeout=30).text
    roots = set(re.findall(r'"root":\s*"([^"]*)"', page))
    assert roots == {OUTSIDE}
    plain = requests.get(f"{house.url}/config", timeout=30).json()
    assert plain["root"] == house.url


def test_files_of_the_page_are_below_the_path_too(house: House) -> None:
    files = {"files": ("x.png", house.picture)}
    upload = requests.post(f"{house.url}/gradio_api/upload", files=files, headers=SAID, timeout=30)
    (path,) = upload.json()
    for root in ("", "/i2v"):
        got = requests.get(f"{house.url}{root}/gradio_api/file={path}", headers=SAID, timeout=30)
        assert got.content == house.picture


def test_the_path_without_its_slash_leads_to_the_page(house: House) -> None:
    answer = requests.get(f"{house.url}/i2v?x=1", headers=SAID, timeout=30, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/i2v/?x=1")


def test_the_description_names_the_path(house: House) -> None:
    described = requests.get(f"{house.url}/openapi.json", headers=SAID, timeout=30).json()
    assert described["servers"] == [{"url": "/i2v"}]
    docs = requests.get(f"{house.url}/i2v/docs", headers=SAID, timeout=30).text
    assert 'href="openapi.json"' in docs


def test_a_host_that_the_settings_lack_is_refused_from_a_proxy_too(house: House) -> None:
    said = {**SAID, "X-Forwarded-Host": "evil.example"}
    refused = requests.get(f"{house.url}/docs", headers=said, timeout=30)
    assert (refused.status_code, refused.json()["value"]) == (421, "evil.example")


def test_the_setting_alone_does_without_headers(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(server__root_path="/i2v") as house:
        for root in ("", "/i2v"):
            home = requests.get(f"{house.url}{root}/", timeout=30, allow_redirects=False)
            assert home.headers["Location"] == "/i2v/docs"
        job = house.submit()
        assert job.headers["Location"].startswith(f"{house.url}/i2v/api/v1/jobs/")
        assert requests.get(job.headers["Location"], timeout=30).json()["status"] == "queued"
        refused = requests.get(f"{house.url}/i2v/i2v/docs", timeout=30)
        assert refused.status_code == 404


def test_no_path_of_ours_can_be_taken_for_a_prefix(house: House) -> None:
    app = create_app(house.service, house.settings, house.closing)
    segments = {path.split("/")[1] for path in places(app) if path not in ("", "/")}
    assert segments <= OWN_SEGMENTS
    page = requests.get(f"{house.url}/", timeout=30).text
    own = {link.split("/")[0] for link in re.findall(r'(?:href|src)="(?:\./|/)([\w./-]+)', page)}
    assert own <= OWN_SEGMENTS, json.dumps(sorted(own))
