"""web.guard.login: a browser comes in with the token, stays in and leaves; others and loose links do not."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

from i2v.web.guard import access
from i2v.web.guard.access import PER_ADDRESS, VISIT_SECONDS
from tests.web.browser import CHROMIUM, FLAGS, WAIT
from tests.web.house import House, running

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    flags = {"server__host": "0.0.0.0", "security__token": TOKEN, "security__trusted_proxies": "127.0.0.1"}
    with running(tmp_path_factory.mktemp("house"), picture, **flags) as started:
        yield started


@pytest.fixture
def visitor(house: House) -> Iterator[requests.Session]:
    """A browser, so far as cookies go."""
    with requests.Session() as session:
        session.headers["Accept"] = "text/html"
        yield session


def log_in(session: requests.Session, house: House, token: str = TOKEN, **more: str) -> requests.Response:
    form = {"token": token, **more}
    return session.post(f"{house.url}/login", data=form, timeout=30, allow_redirects=False)


@pytest.fixture(autouse=True)
def _slow_forgiveness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgive a guess an hour: on a busy machine, ten of them take longer than the usual six seconds."""
    monkeypatch.setattr(access, "PER_ADDRESS", replace(PER_ADDRESS, seconds=3600))


# --- the page


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Log in", "the file token in its data folder")),
        ("zh-CN", ("登录", "token 文件", "security.token")),
    ],
)
def test_the_page_says_where_the_token_is_found_in_the_browsers_language(
    visitor: requests.Session, house: House, language: str, words: tuple[str, ...]
) -> None:
    response = visitor.get(f"{house.url}/login", headers={"Accept-Language": language}, timeout=30)
    assert response.status_code == 200
    assert f'<html lang="{language}">' in response.text
    assert all(word in response.text for word in words)
    assert str(house.settings.service.data_dir) not in response.text


def test_the_page_runs_and_loads_nothing_and_stands_in_no_frame(
    visitor: requests.Session, house: House
) -> None:
    response = visitor.get(f"{house.url}/login", timeout=30)
    assert not re.search(r"<script|src=|http:|https:|@import|url\(", response.text)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["Cache-Control"] == "no-store"


# --- in


def test_who_logs_in_once_is_in_everywhere(visitor: requests.Session, house: House) -> None:
    assert "/login" in visitor.get(f"{house.api}/jobs", timeout=30).url
    assert log_in(visitor, house).status_code == 303
    assert visitor.get(f"{house.api}/jobs", timeout=30).json() == {"jobs": [], "next_cursor": None}
    assert visitor.get(f"{house.url}/docs", timeout=30).status_code == 200


def test_the_cookie_is_for_the_browser_alone_and_is_not_the_token(
    visitor: requests.Session, house: House
) -> None:
    value, *flags = log_in(visitor, house).headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={VISIT_SECONDS}"} == set(flags)
    assert TOKEN not in value


def test_the_cookie_is_kept_to_https_where_the_visit_is(visitor: requests.Session, house: House) -> None:
    """Of the scheme, a proxy of the settings knows."""
    visitor.headers["X-Forwarded-Proto"] = "https"
    visitor.headers["Origin"] = house.url.replace("http:", "https:")
    assert "Secure" in log_in(visitor, house).headers["Set-Cookie"].split("; ")


def test_below_a_path_all_of_the_login_is_there(visitor: requests.Session, house: House) -> None:
    visitor.headers["X-Forwarded-Prefix"] = "/i2v"
    page = visitor.get(f"{house.url}/docs", timeout=30, allow_redirects=False)
    assert page.headers["Location"] == "/i2v/login?next=%2Fdocs"
    form = visitor.get(f"{house.url}/i2v/login?next=%2Fdocs", timeout=30).text
    assert 'action="/i2v/login"' in form
    answer = log_in(visitor, house, next="/docs")
    assert answer.headers["Location"] == "/i2v/docs"
    assert "Path=/i2v" in answer.headers["Set-Cookie"].split("; ")
    inside = visitor.get(f"{house.url}/i2v/login", timeout=30).text
    assert 'action="/i2v/logout"' in inside
    assert 'href="/i2v/"' in inside
    left = visitor.post(f"{house.url}/i2v/logout", timeout=30, allow_redirects=False)
    assert left.headers["Location"] == "/i2v/login"
    assert "Path=/i2v" in left.headers["Set-Cookie"].split("; ")


def test_blanks_around_a_pasted_token_do_not_matter(visitor: requests.Session, house: House) -> None:
    assert log_in(visitor, house, f" {TOKEN}\n").status_code == 303


@pytest.mark.parametrize(
    ("onward", "location"),
    [
        ("/docs", "/docs"),
        ("/?x=1&y=/z", "/?x=1&y=/z"),
        ("/a/视频", "/a/%E8%A7%86%E9%A2%91"),
        ("", "/"),
        ("docs", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("\n//evil.example", "/"),
        (" //evil.example", "/"),
        ("///evil.example", "/"),
        ("http://evil.example", "/"),
        ("HTTPS:evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/\0", "/"),
    ],
)
def test_the_way_on_leads_nowhere_else(
    visitor: requests.Session, house: House, onward: str, location: str
) -> None:
    assert log_in(visitor, house, next=onward).headers["Location"] == location


def test_the_page_carries_the_way_on_as_text(visitor: requests.Session, house: House) -> None:
    asked = urlencode({"next": '/docs?"><script>alert(1)</script>'})
    page = visitor.get(f"{house.url}/login?{asked}", timeout=30).text
    assert 'value="/docs?&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in page


# --- not in


def test_a_wrong_token_gets_the_page_again_and_is_not_shown(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(security__token=TOKEN) as house, requests.Session() as session:
        for token in ("", "wrong", TOKEN[:-1], "中文"):
            response = log_in(session, house, token, next="/docs")
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert '<p role="alert">Wrong access token.' in response.text
            assert 'name="next" value="/docs"' in response.text
            assert not token or f'"{token}"' not in response.text
            assert "Set-Cookie" not in response.headers


def test_who_tries_too_often_waits_and_others_do_not(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(security__token=TOKEN) as house, requests.Session() as session:
        session.headers["Accept-Language"] = "zh-CN"
        tries = [log_in(session, house, "wrong").status_code for _ in range(PER_ADDRESS.burst)]
        assert tries == [401] * PER_ADDRESS.burst
        refused = log_in(session, house)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= access.PER_ADDRESS.seconds
        assert "秒后再试" in refused.text
        place = urlsplit(house.url)
        other = http.client.HTTPConnection(
            "127.0.0.1", place.port, timeout=30, source_address=("127.0.0.5", 0)
        )
        other.request("POST", "/login", urlencode({"token": TOKEN}))
        assert other.getresponse().status == 303
        other.close()


def test_another_page_logs_nobody_in_or_out(visitor: requests.Session, house: House) -> None:
    log_in(visitor, house)
    for path in ("/login", "/logout"):
        response = visitor.post(
            house.url + path, data={"token": TOKEN}, headers={"Origin": "http://evil.example"}, timeout=30
        )
        assert (response.status_code, response.json()["code"]) == (403, "http.foreign_origin")


@pytest.mark.parametrize("body", [b"x" * 9000, b"token=" + b"&a=b" * 3000])
def test_a_form_without_end_is_refused(house: House, body: bytes) -> None:
    response = requests.post(f"{house.url}/login", data=body, timeout=30)
    assert (response.status_code, response.json()["code"]) == (422, "http.malformed")


def test_a_form_without_end_is_refused_while_it_arrives(house: House) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(house.url).port or 0), timeout=30) as connection:
        connection.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        assert connection.recv(20).startswith(b"HTTP/1.1 422")


def test_no_form_breaks_the_page(start_house: Callable[..., AbstractContextManager[House]]) -> None:
    with start_house(security__token=TOKEN) as house:
        for body in (b"", b"\xff\xfe", b"%", b"token", b"token=%ff%00", b"=&=&=", b"{}"):
            assert requests.post(f"{house.url}/login", data=body, timeout=30).status_code == 401


# --- out


def test_who_is_in_finds_the_way_out_at_the_same_address(visitor: requests.Session, house: House) -> None:
    log_in(visitor, house)
    page = visitor.get(f"{house.url}/login?next=/docs", timeout=30).text
    assert 'action="/logout"' in page
    assert 'href="/docs"' in page
    response = visitor.post(f"{house.url}/logout", timeout=30, allow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (303, "/login")
    assert not visitor.cookies
    assert "/login" in visitor.get(f"{house.api}/jobs", timeout=30).url


# --- in a browser


@pytest.mark.skipif(CHROMIUM is None, reason="no program called chromium is installed")
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_person_comes_in_on_a_telephone_without_scripts(house: House, scheme: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(
            viewport={"width": 390, "height": 800}, java_script_enabled=False, color_scheme=scheme
        )
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(f"{house.url}/docs")
        expect(page.locator("h1")).to_have_text("i2v: log in")
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("[role=alert]")).to_contain_text("Wrong access token")
        boxes = [place.bounding_box() for place in page.locator("main *:visible").all()]
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
        assert len(boxes) > 5
        page.fill("#token", TOKEN)
        page.click("button")
        page.wait_for_url(f"{house.url}/docs")
        expect(page.locator("h1")).to_contain_text("API")
        browser.close()
