"""docs/proxy.md: its nginx, a real one, before a real server, and a browser that makes a clip there."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from i2v.core.settings_sources import ROOT
from tests.web.browser import WAIT, needs_chromium, open_browser
from tests.web.house import House, wait_for
from tests.web.pages import QUICK, page_house

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
TOKEN = "correct-horse-battery-staple"
GUIDES = [ROOT / "docs" / name for name in ("proxy.md", "proxy.zh-CN.md")]
pytestmark = pytest.mark.skipif(NGINX is None, reason="no program called nginx is installed")


def example() -> str:
    (found,) = re.findall(r"^```nginx\n(.*?)^```$", GUIDES[0].read_text("utf-8"), re.M | re.S)
    return str(found)


def test_both_guides_have_the_same_example() -> None:
    kept = [
        [
            re.sub(r" *#.*", "", line)
            for line in re.findall(r"^```\w+\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S)
        ]
        for path in GUIDES
    ]
    assert kept[0] == kept[1]


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[int]:
    """Run the example before `upstream`, where there is no certificate; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    body = (
        example().replace("443 ssl", f"127.0.0.1:{port}").replace("http://127.0.0.1:7860/;", f"{upstream};")
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; error_log stderr; pid {folder / 'nginx.pid'}; events {{}}\n"
        f"http {{ access_log off; {places}\n{body} }}\n"
    )
    command = [str(NGINX), "-p", str(folder), "-c", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: process.poll() is not None or answers(port), seconds=60)
        assert process.poll() is None, process.communicate()[1]
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=60)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["cut off", pytest.param("passed on", marks=pytest.mark.slow)])
def outside(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, picture: bytes
) -> Iterator[tuple[str, House]]:
    """Give the address below /i2v of a service with a token, and the service."""
    flags = {"security__token": TOKEN, "security__trusted_proxies": "127.0.0.1"}
    with page_house(tmp_path_factory.mktemp("proxied"), picture, **flags) as house, house.executor.working():
        upstream = f"{house.url}/" if request.param == "cut off" else house.url
        with nginx(tmp_path_factory.mktemp("nginx"), upstream) as port:
            yield f"http://127.0.0.1:{port}/i2v", house


@pytest.mark.slow
def test_a_program_follows_the_addresses_that_it_gets(outside: tuple[str, House]) -> None:
    url, house = outside
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        form = {"prompt": QUICK, "num_frames": 4, "num_inference_steps": 2}
        files = {"image": ("x.png", house.picture)}
        job = session.post(f"{url}/api/v1/jobs", data=form, files=files, timeout=60)
        where = job.headers["Location"]
        assert where.startswith(f"{url}/api/v1/jobs/")
        events = session.get(f"{where}/events", timeout=60).text
        assert "event: state" in events
        assert set(re.findall(r'"(?:video_)?url": ?"([^"]*)/api/v1', events)) == {url}
        video = session.get(session.get(where, timeout=30).json()["result"]["video_url"], timeout=30)
        assert (video.status_code, video.headers["Content-Type"]) == (200, "video/mp4")
        assert session.head(f"{where}/video", timeout=30).headers["Content-Length"] == str(len(video.content))
    assert requests.get(f"{url}/healthz", timeout=30).text == "ok"
    assert requests.get(f"{url}/docs", timeout=30).status_code == 401


@needs_chromium
@pytest.mark.slow
def test_a_person_logs_in_and_makes_a_clip(outside: tuple[str, House]) -> None:
    url, house = outside
    asked: list[str] = []
    faults: list[str] = []
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 900}, locale="en-US")
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda got: faults.append(got.url) if got.status >= 400 else None)
        page.on(
            "console",
            lambda line: faults.append(f"{line.text} {line.location}") if line.type == "error" else None,
        )
        page.goto(url)
        page.fill("#token", TOKEN)
        page.click("button")
        expect(page.locator("#i2v-plan")).to_contain_text(re.compile("No estimate|About"))
        upload = {"name": "photo.png", "mimeType": "image/png", "buffer": house.picture}
        page.set_input_files("#i2v-picture input[type=file]", upload)
        expect(page.locator("#i2v-picture img")).to_be_visible(timeout=WAIT)
        page.wait_for_function("document.querySelector('#i2v-picture img').naturalWidth === 96")
        page.fill("#i2v-prompt textarea", QUICK)
        page.click("#i2v-go")
        expect(page.locator("#i2v-status")).to_contain_text("Done.")
        page.wait_for_function("document.querySelector('#i2v-frame video').duration > 0.5")
        with page.expect_download():
            page.click("a.i2v-download")
        page.goto(f"{url}/docs")
        page.click("text=openapi.json")
        assert page.url == f"{url}/openapi.json"
    assert [one for one in asked if not one.startswith((f"{url}/", "data:", "blob:")) and one != url] == []
    of_others = f"{url.removesuffix('/i2v')}/favicon.ico"  # which a browser looks for by itself
    assert [fault for fault in faults if of_others not in fault] == []
