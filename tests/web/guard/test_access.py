"""web.guard.access: where a token is asked for, no address is left out, and only what is right opens it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import Message

from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.web.app import create_app
from i2v.web.guard import access
from i2v.web.guard.access import PER_ADDRESS, VISIT_SECONDS, Access
from i2v.web.page.gate import PageMount
from i2v.web.page.mount import mount_page
from tests.rehearsal import ENGINES, stage
from tests.web.api.test_published import client_a, client_b
from tests.web.house import HeldExecutor, House
from tests.web.pages import page_house

TOKEN = "correct-horse-battery-staple"
KEY = "what-cookies-are-signed-with"
NETWORK = {"server__host": "0.0.0.0", "security__token": TOKEN}
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The whole application, the page in it, as it is for a network."""
    settings = stage(tmp_path_factory.mktemp("app"), **NETWORK)
    store = JobStore(settings.database)
    service = Service(settings, store, HeldExecutor(settings, store), ENGINES)
    service.start()
    yield mount_page(create_app(service, settings, threading.Event()), settings)
    service.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with page_house(tmp_path_factory.mktemp("guarded"), picture, **NETWORK) as started:
        yield started


@pytest.fixture(autouse=True)
def _slow_forgiveness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgive a guess an hour: on a busy machine, ten of them take longer than the usual six seconds."""
    monkeypatch.setattr(access, "PER_ADDRESS", replace(PER_ADDRESS, seconds=3600))


# --- every route


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]


def ask(app: FastAPI, method: str, path: str, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Ask the application itself, without a server."""
    given = [(b"host", b"127.0.0.1"), *((name.encode(), value.encode()) for name, value in headers)]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": given,
        "client": ("192.0.2.1", 50_000), "server": ("127.0.0.1", 7860),
    }  # fmt: skip
    found: list[Answer] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            output = {name.decode(): value.decode() for name, value in message["headers"]}
            found.append(Answer(message["status"], output))

    async def run() -> None:
        await asyncio.wait_for(app(scope, receive, send), 60)

    asyncio.run(run())
    return found[0]


def places(app: FastAPI) -> dict[str, set[str]]:
    """Return every path that the application or Gradio, all of it, declares, and its methods."""
    mounted = [route.app for route in app.routes if isinstance(route, PageMount)]
    gradio = [gate._app for gate in mounted]
    found: dict[str, set[str]] = {}
    for declared in (app, *gradio):
        for route in iter_route_contexts(declared.routes):
            if route.path:
                found.setdefault(route.path.replace("{", "").replace("}", ""), set()).update(
                    route.methods or ()
                )
    return found


def doors(app: FastAPI, paths: Iterable[str]) -> set[tuple[str, str]]:
    """Return all that a stranger is not sent away from, program or browser."""
    found = set()
    for path in paths:
        for method in METHODS:
            program = ask(app, method, path)
            browser = ask(app, method, path, [("accept", "text/html,*/*;q=0.8")])
            to_login = browser.status == 303 and browser.headers["location"].partition("?")[0] == "/login"
            if program.status != 401 or not to_login:
                found.add((method, path))
    return found


OPEN = {(method, path) for method in ("GET", "HEAD") for path in ("/healthz", "/readyz", "/login")} | {
    ("POST", "/login")
}


def test_no_route_of_ours_or_of_gradio_answers_a_stranger(app: FastAPI) -> None:
    declared = places(app)
    assert {"/api/v1/jobs/job_id/events", "/generate", "/openapi.json"} <= set(declared)
    assert {"/gradio_api/queue/data", "/gradio_api/upload", "/gradio_api/file=path_or_url:path"} <= set(
        declared
    )
    assert sum(map(len, declared.values())) > 90
    assert set().union(*declared.values()) <= set(METHODS)
    one_time = {(method, "/once/secret") for method in ("GET", "HEAD", "PUT")}
    assert doors(app, declared) == OPEN | one_time


def test_a_route_that_were_let_through_would_be_noticed(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "OPEN", OPEN | {("GET", "/config"), ("POST", "/gradio_api/upload")})
    found = doors(app, ["/config", "/gradio_api/upload", "/docs"])
    assert found == {("GET", "/config"), ("POST", "/gradio_api/upload")}


@pytest.mark.parametrize(
    "path",
    [
        "/nothing", "", "//", "//healthz", "/healthz/", "/HEALTHZ", "/healthz/../api/v1/jobs", "/./healthz",
        "/once", "/once/", "/once/a/b", "/once/../generate", "/once/a%2e",
        "/login/", "/login/x", "/login;x", "/login\\", "/Login", "/api/v1/jobs/../../../healthz", "*",
        "login", "http://127.0.0.1/healthz", "/healthz\0", "/healthz?",
    ],
)  # fmt: skip
def test_what_only_looks_like_an_open_address_is_none(app: FastAPI, path: str) -> None:
    assert doors(app, [path]) == set()


def test_no_other_protocol_is_spoken_to_strangers(app: FastAPI) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/healthz", "headers": [(b"host", b"127.0.0.1")]}
    asyncio.run(app(scope, receive, send))
    assert sent == [{"type": "websocket.close"}]


def test_a_service_for_others_is_not_made_without_a_token(tmp_path: Path) -> None:
    settings = stage(tmp_path, server__host="0.0.0.0")
    store = JobStore(settings.database)
    service = Service(settings, store, HeldExecutor(settings, store), ENGINES)
    with pytest.raises(ValueError, match="needs a token"):
        create_app(service, settings, threading.Event())
    store.close()


# --- what a stranger is told


def test_a_program_is_told_the_header_in_one_line(guarded: House) -> None:
    response = requests.get(f"{guarded.api}/jobs", timeout=30)
    assert (response.status_code, response.json()["code"]) == (401, "http.no_token")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Authorization: Bearer TOKEN" in response.json()["detail"]


def test_the_published_clients_are_told_so_too(guarded: House, tmp_path: Path) -> None:
    """They print the text of whatever is not 200."""
    large = guarded.picture + bytes(20_000_000)
    (tmp_path / "large.png").write_bytes(large)
    for response in (client_a(guarded.url, large), client_b(guarded.url, tmp_path / "large.png")):
        assert response.status_code == 401
        assert len(response.text.splitlines()) == 1
        assert "Authorization: Bearer TOKEN" in response.text
    assert guarded.store.page(None, None, 1).jobs == ()


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", "/login"),
        ("/docs", "/login?next=%2Fdocs"),
        ("/?__theme=dark&x=ü", "/login?next=%2F%3F__theme%3Ddark%26x%3D%25C3%25BC"),
        ("//evil.example", "/login?next=%2F%2Fevil.example"),
    ],
)
def test_a_browser_is_sent_to_the_login_and_the_login_knows_where_from(
    guarded: House, path: str, location: str
) -> None:
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    response = requests.get(guarded.url + path, headers=headers, timeout=30, allow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (303, location)
    assert response.headers["Cache-Control"] == "no-store"


def test_a_probe_learns_whether_jobs_are_run_and_who_has_the_token_why_not(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(**NETWORK) as house:

        def ask(token: str = "") -> tuple[int, str]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            response = requests.get(f"{house.url}/readyz", headers=headers, timeout=30)
            return response.status_code, "ok" if response.ok else response.json()["code"]

        assert ask() == ask(TOKEN) == (200, "ok")
        house.executor.ready = False
        assert ask() == (503, "server.not_now")
        assert ask(TOKEN) == (503, "server.not_ready")
        for _ in range(10):  # it is no place to guess at, either
            assert ask("x" * 20) == (503, "server.not_now")
        assert ask(TOKEN) == (503, "server.not_now")
        assert house.get("/jobs", Authorization=f"Bearer {TOKEN}").status_code == 429


# --- the header


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_token_in_the_header_opens_everything(guarded: House, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    for path in ("/", "/docs", "/api/v1/jobs", "/config", "/readyz"):
        assert requests.get(guarded.url + path, headers=headers, timeout=30).status_code == 200


def test_the_page_works_behind_the_token(guarded: House) -> None:
    with requests.Session() as session:
        session.headers.update(RIGHT)
        files = {"files": ("x.png", guarded.picture)}
        (path,) = session.post(f"{guarded.url}/gradio_api/upload", files=files, timeout=30).json()
        assert session.get(f"{guarded.url}/gradio_api/file={path}", timeout=30).content == guarded.picture
        assert requests.get(f"{guarded.url}/gradio_api/file={path}", timeout=30).status_code == 401
        with session.get(f"{guarded.url}/gradio_api/heartbeat/tab", stream=True, timeout=30) as stream:
            assert "data: ALIVE" in next(line for line in stream.iter_lines(decode_unicode=True) if line)


WRONG = [
    "", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), f"{TOKEN},{TOKEN}", "ü" * 28, "\x7f" * 28, "x" * 60_000,
]  # fmt: skip


def test_a_wrong_token_is_refused_and_neither_is_echoed(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(**NETWORK) as house:
        for token in WRONG:
            headers = {"Authorization": f"Bearer {token}".encode("latin-1"), "Accept": "text/html"}
            response = requests.get(f"{house.api}/jobs", headers=headers, timeout=30)
            assert (response.status_code, response.json()["code"]) == (401, "http.wrong_token")
            assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert TOKEN not in response.text
            assert not token or token not in response.text


@pytest.mark.parametrize(
    "value", [TOKEN, f"Basic {TOKEN}", f"Bearer{TOKEN}", f"Token {TOKEN}", f"Bearer\t{TOKEN}"]
)
def test_another_scheme_is_no_token(guarded: House, value: str) -> None:
    response = requests.get(f"{guarded.api}/jobs", headers={"Authorization": value}, timeout=30)
    assert (response.status_code, response.json()["code"]) == (401, "http.no_token")


@pytest.mark.parametrize("place", ["?token={}", "?access_token={}", "?authorization=Bearer%20{}"])
def test_the_token_opens_nothing_from_the_address_which_is_logged(guarded: House, place: str) -> None:
    address = f"{guarded.api}/jobs{place.format(TOKEN)}"
    assert requests.get(address, timeout=30).status_code == 401


def test_two_headers_are_none(guarded: House) -> None:
    connection = http.client.HTTPConnection(guarded.url.partition("//")[2], timeout=30)
    connection.putrequest("GET", "/api/v1/jobs")
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.putheader("Authorization", "Bearer x")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_who_guesses_waits_and_browsers_that_are_logged_in_do_not(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(**NETWORK) as house:
        login = requests.post(f"{house.url}/login", data={"token": TOKEN}, timeout=30, allow_redirects=False)
        cookies = login.cookies.get_dict()
        wrong = {"Authorization": "Bearer wrong"}
        codes = [
            requests.get(f"{house.api}/jobs", headers=wrong, timeout=30).status_code
            for _ in range(PER_ADDRESS.burst + 1)
        ]
        assert codes == [401] * PER_ADDRESS.burst + [429]
        refused = requests.get(f"{house.api}/jobs", headers=wrong, timeout=30)
        assert refused.json()["code"] == "http.too_many_tokens"
        assert 1 <= int(refused.headers["Retry-After"]) <= access.PER_ADDRESS.seconds
        assert requests.get(f"{house.api}/jobs", timeout=30).status_code == 401
        guessed = requests.get(f"{house.api}/jobs", headers=RIGHT, timeout=30)
        assert guessed.status_code == 429  # or waiting would be worth nothing
        assert requests.post(f"{house.url}/login", data={"token": TOKEN}, timeout=30).status_code == 429
        assert requests.get(f"{house.api}/jobs", cookies=cookies, timeout=30).status_code == 200


# --- who waits


def code(refusal: object) -> str | None:
    return getattr(refusal, "code", None)


def test_only_the_address_that_guesses_waits() -> None:
    door = Access(TOKEN, KEY)
    for _ in range(PER_ADDRESS.burst):
        assert code(door.refusal(b"wrong", "2001:db8::1")) == "http.wrong_token"
    assert code(door.refusal(b"wrong", "2001:db8::2")) == "http.too_many_tokens"  # the same network
    assert code(door.refusal(TOKEN.encode(), "2001:db8::2")) == "http.too_many_tokens"  # a lucky guess
    assert door.refusal(TOKEN.encode(), "2001:db8:0:1::1") is None
    assert door.refusal(TOKEN.encode(), "192.0.2.1") is None


def test_a_right_token_between_wrong_ones_forgives_none_of_them() -> None:
    door = Access(TOKEN, KEY)
    for _ in range(PER_ADDRESS.burst):
        assert door.refusal(TOKEN.encode(), "192.0.2.1") is None
        assert code(door.refusal(b"wrong", "192.0.2.1")) == "http.wrong_token"
    assert code(door.refusal(b"wrong", "192.0.2.1")) == "http.too_many_tokens"


def test_guesses_from_everywhere_lock_nobody_else_out() -> None:
    door = Access(TOKEN, KEY)
    for number in range(10_000):
        door.refusal(b"wrong", f"10.0.{number // 256}.{number % 256}")
    assert door.refusal(TOKEN.encode(), "198.51.100.1") is None


def test_the_ways_to_guess_are_counted_together(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    with start_house(**NETWORK) as house:
        ways: list[Callable[[], requests.Response]] = [
            lambda: requests.get(f"{house.api}/jobs", headers=wrong, timeout=30),
            lambda: requests.head(f"{house.url}/", headers=wrong, timeout=30),
            lambda: requests.post(f"{house.url}/generate", headers=wrong, timeout=30),
            lambda: requests.options(f"{house.url}/nothing", headers=wrong, timeout=30),
            lambda: requests.post(f"{house.url}/login", data={"token": "wrong"}, timeout=30),
        ]
        codes = [ways[number % 5]().status_code for number in range(PER_ADDRESS.burst + 5)]
        assert codes == [401] * PER_ADDRESS.burst + [429] * 5


def test_who_guesses_through_a_proxy_waits_alone(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    """And without a proxy of the settings, the header that anybody can write changes nothing."""
    for proxies, last in (("127.0.0.1", 200), ("", 429)):
        with start_house(**NETWORK, security__trusted_proxies=proxies) as house:
            for number in range(PER_ADDRESS.burst + 1):
                guess = {
                    "Authorization": "Bearer wrong",
                    "X-Forwarded-For": f"192.0.2.{number if not proxies else 1}, 198.51.100.1",
                }
                refused = requests.get(f"{house.api}/jobs", headers=guess, timeout=30)
            assert refused.status_code == 429
            honest = {**RIGHT, "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
            assert requests.get(f"{house.api}/jobs", headers=honest, timeout=30).status_code == last


# --- the cookie


def sign(end: str, token: str = TOKEN, secret: str = KEY) -> str:
    key = hmac.digest(secret.encode(), token.encode(), "sha256")
    return hmac.new(key, f"i2v visit {end}".encode(), hashlib.sha256).hexdigest()


def test_a_cookie_is_no_way_to_try_a_token(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    """Who makes a cookie of the right token does not know what else it is signed with."""
    with start_house(**NETWORK) as house:
        guess = Access(TOKEN, "")
        cookies = {guess.cookie: guess.new_visit(), "i2v_00000000": f"{LATER}.{sign(LATER, secret='x')}"}
        assert requests.get(f"{house.api}/jobs", cookies=cookies, timeout=30).status_code == 401
        path = house.settings.service.data_dir / "cookie-secret"
        assert path.stat().st_mode & 0o777 == 0o600
        real = Access(TOKEN, path.read_text().strip())
        cookies = {real.cookie: real.new_visit()}  # as another start makes it
        assert requests.get(f"{house.api}/jobs", cookies=cookies, timeout=30).status_code == 200


def test_a_cookie_is_good_until_its_day_whoever_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = Access(TOKEN, KEY).new_visit()
    again = Access(TOKEN, KEY)
    assert TOKEN not in cookie
    assert again.is_visitor({again.cookie: cookie})
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + VISIT_SECONDS - 5)
    assert again.is_visitor({again.cookie: cookie})
    monkeypatch.setattr(time, "time", lambda: now + VISIT_SECONDS + 5)
    assert not again.is_visitor({again.cookie: cookie})


def test_another_token_ends_all_visits_and_asks_for_another_cookie() -> None:
    before, after = Access(TOKEN, KEY), Access(f"{TOKEN}2", KEY)
    assert before.cookie != after.cookie
    assert not after.is_visitor({after.cookie: before.new_visit(), before.cookie: before.new_visit()})


LATER = "4000000000"
LONG_AGO = "1700000000"


@pytest.mark.parametrize(
    "value",
    [
        "", TOKEN, LATER, f"{LATER}.", f"{LATER}.{'0' * 64}", f"{LATER}.{sign(LATER)[:-1]}",
        f"{LATER}0.{sign(LATER)}", f"{LATER}.{sign(LATER).upper()}", f"{LATER}.{sign(LATER, 'other' * 5)}",
        f"{LATER}.{sign(LATER, secret='other')}",
        f"{LONG_AGO}.{sign(LONG_AGO)}", f" {LATER}.{sign(LATER)}", f"{LATER}.{sign(LATER)}\n",
        f"name.{sign('name')}", f".{sign('')}", f"9{'9' * 5000}.{'0' * 64}", f"٣.{sign(LATER)}", "ü" * 70,
    ],
)  # fmt: skip
def test_a_cookie_that_was_not_given_opens_nothing(value: str) -> None:
    door = Access(TOKEN, KEY)
    assert door.is_visitor({door.cookie: f"{LATER}.{sign(LATER)}"})
    assert not door.is_visitor({door.cookie: value})


# --- this machine alone


def test_on_the_loopback_a_token_is_asked_for_if_the_settings_have_one(
    start_house: Callable[..., AbstractContextManager[House]], shared_house: House
) -> None:
    assert shared_house.get("/jobs").status_code == 200
    assert requests.get(f"{shared_house.url}/login", timeout=30).status_code == 404
    with start_house(security__token=TOKEN) as house:
        assert house.get("/jobs").status_code == 401
        assert house.get("/jobs", **RIGHT).status_code == 200
