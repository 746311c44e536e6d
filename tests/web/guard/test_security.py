"""i2v.web.guard.security: strangers' pages, strangers' names, and bodies without end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import requests

from i2v.host.network import machine_names
from tests.web.house import House
from tests.web.pages import page_house

TOKEN = "correct-horse-battery-staple"
NETWORK = {"server__host": "0.0.0.0", "security__token": TOKEN}


def port_of(house: House) -> int:
    return int(house.url.rpartition(":")[2])


# --- Host: DNS rebinding


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_the_loopbacks_names_are_ours(shared_house: House, host: str) -> None:
    for value in (host, f"{host}:{port_of(shared_house)}", f"{host}:1"):
        response = requests.get(f"{shared_house.url}/docs", headers={"Host": value}, timeout=30)
        assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:7860",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "localhost:7860@evil.example",
        "localhost/evil.example",
        "localhost:",
        "localhost:x",
        "::1",
        "[::1",
        "0.0.0.0",
        "",
    ],
)
def test_another_name_is_refused_everywhere(shared_house: House, host: str) -> None:
    paths = ["/", "/api/v1/jobs", "/healthz/", "//healthz", "/healthz/../docs", "/nothing", "/openapi.json"]
    for path in paths:
        response = requests.get(
            shared_house.url + path, headers={"Host": host}, timeout=30, allow_redirects=False
        )
        assert (response.status_code, response.json()["field"]) == (421, "Host"), path


def test_a_page_that_lets_its_name_point_here_can_submit_nothing(shared_house: House) -> None:
    """DNS rebinding: to the browser, the attacker's page and this service are the same origin."""
    before = len(shared_house.get("/jobs").json()["jobs"])
    response = requests.post(
        f"{shared_house.api}/jobs",
        data={"prompt": "x"},
        files={"image": ("x.png", shared_house.picture)},
        headers={"Host": "evil.example:7860", "Origin": "http://evil.example:7860"},
        timeout=30,
    )
    assert response.status_code == 421
    assert len(shared_house.get("/jobs").json()["jobs"]) == before


def raw(house: House, request: str) -> bytes:
    """Return the whole answer to a request without a body, up to where the server closes."""
    with socket.create_connection(("127.0.0.1", port_of(house)), timeout=30) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("path", ["/", "/docs", "/api/v1/jobs", "/nothing", "/openapi.json"])
def test_two_hosts_or_none_are_refused(shared_house: House, path: str) -> None:
    for head in ("", "Host: localhost\nHost: evil.example\n"):
        answer = raw(shared_house, f"GET {path} HTTP/1.0\n{head}\n")
        assert answer.split()[1] in (b"421", b"400")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("head", ["", "Host: 10.0.0.7\n", "Host: evil.example\n", "Host: \n"])
def test_a_health_probe_is_answered_whatever_it_calls_us(shared_house: House, path: str, head: str) -> None:
    """As HAProxy's `option httpchk`, `wget --spider` and the load balancers of clouds send them."""
    got = raw(shared_house, f"GET {path} HTTP/1.0\n{head}\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\nok")
    asked = raw(shared_house, f"HEAD {path} HTTP/1.0\n{head}\n")
    assert asked.startswith(b"HTTP/1.1 200 ")
    assert asked.endswith(b"\r\n\r\n")
    assert raw(shared_house, f"POST {path} HTTP/1.0\n{head}\n").split()[1] == b"421"


def test_http_1_0_is_answered_where_the_host_is_named(shared_house: House) -> None:
    answer = raw(shared_house, "GET /api/v1/jobs HTTP/1.0\nHost: localhost\n\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"}")


@pytest.mark.parametrize("host", ["localhost.", "[0:0::1]", "[::0001]:80"])
def test_other_ways_to_write_our_names_are_ours(shared_house: House, host: str) -> None:
    response = requests.get(f"{shared_house.url}/docs", headers={"Host": host}, timeout=30)
    assert response.status_code == 200


def test_a_name_that_the_settings_allow_is_ours(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(security__allowed_hosts="i2v.example, Studio") as house:
        for host in ("i2v.example", "studio:80"):
            headers = {"Host": host, "Origin": f"https://{host}"}
            assert requests.get(f"{house.url}/docs", headers=headers, timeout=30).status_code == 200
            assert requests.post(f"{house.api}/jobs", headers=headers, timeout=30).status_code == 415
        headers = {"Origin": "https://i2v.example"}  # through a proxy that names us its own way
        assert requests.post(f"{house.api}/jobs", headers=headers, timeout=30).status_code == 415


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    """A house with the page, as it is for a network."""
    with page_house(tmp_path_factory.mktemp("open"), picture, **NETWORK) as started:
        yield started


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "192.168.1.7",
        "203.0.113.9:80",
        "[2001:db8::1]:7860",
        "0.0.0.0",
        *sorted(machine_names()),
    ],
)
def test_on_a_network_this_machines_names_and_every_address_are_ours(open_house: House, host: str) -> None:
    for value in (host, host.upper()):
        response = requests.get(f"{open_house.url}/login", headers={"Host": value}, timeout=30)
        assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "192.168.1.7.evil.example", "3232235783", "0x7f.1", "127.1", "[::1%25eth0]", "1.2.3.4.5",
     "xlocalhost", "local", ".local", f"{socket.gethostname()}.evil.example"],
)  # fmt: skip
def test_on_a_network_no_other_name_is(open_house: House, host: str) -> None:
    for path in ("/", "/docs", "/login"):
        headers = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
        response = requests.get(open_house.url + path, headers=headers, timeout=30)
        assert (response.status_code, response.json()["field"]) == (421, "Host")


@pytest.mark.parametrize("host", ["192.168.1.7", "127.0.0.2", "[::2]"])
def test_on_the_loopback_no_other_address_is(shared_house: House, host: str) -> None:
    response = requests.get(f"{shared_house.url}/docs", headers={"Host": host}, timeout=30)
    assert response.status_code == 421


# --- Origin: other pages


ORIGINS = [
    "http://evil.example",
    "https://localhost.evil.example",
    "http://localhost:1",
    "http://127.0.0.1",
    "null",
    "file://",
    "",
    "http://[::1",
    "http://127.0.0.1:{port}@evil.example",
    "http://127.0.0.1:{port}.evil.example",
    "http://evil.example/http://127.0.0.1:{port}",
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_another_page_may_change_nothing(shared_house: House, origin: str) -> None:
    headers = {"Origin": origin.format(port=port_of(shared_house))}
    for method, path in (
        ("POST", "/api/v1/jobs"),
        ("DELETE", "/api/v1/jobs/x"),
        ("POST", "/api/v1/jobs/x/retry"),
        ("POST", "/api/v1/plan"),
        ("POST", "/api/predict"),
        ("POST", "/generate"),
        ("PUT", "/"),
    ):
        response = requests.request(method, shared_house.url + path, headers=headers, timeout=30)
        assert (response.status_code, response.json()["field"]) == (403, "Origin"), path
        assert not any(name.lower().startswith("access-control") for name in response.headers)


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
def test_our_own_page_and_programs_may(shared_house: House, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin.format(port=port_of(shared_house))}
    response = requests.post(
        f"{shared_house.api}/jobs",
        data={"prompt": "x"},
        files={"image": ("x.png", shared_house.picture)},
        headers=headers,
        timeout=30,
    )
    assert response.status_code == 202


def test_another_page_may_not_read_either(shared_house: House) -> None:
    """The browser forbids it unless we allow it, which no header of ours does."""
    headers = {"Origin": "http://evil.example"}
    response = requests.get(f"{shared_house.api}/jobs", headers=headers, timeout=30)
    assert not any(name.lower().startswith("access-control") for name in response.headers)
    asked = {**headers, "Access-Control-Request-Method": "POST"}
    preflight = requests.options(f"{shared_house.api}/jobs", headers=asked, timeout=30)
    assert (preflight.status_code, preflight.json()["field"]) == (403, "Origin")
    assert not any(name.lower().startswith("access-control") for name in preflight.headers)


@pytest.mark.parametrize(
    "path", ["/", "/config", "/gradio_api/info", "/gradio_api/heartbeat/x", "/theme.css"]
)
def test_another_page_may_not_read_gradios_answers_with_the_visitors_cookie(
    open_house: House, path: str
) -> None:
    """The cookie goes to every port of a host, and Gradio lets all pages read where it is not localhost."""
    headers = {
        "Host": "192.168.1.7:7860",
        "Origin": "http://192.168.1.7:8080",
        "Authorization": f"Bearer {TOKEN}",
    }
    with requests.get(open_house.url + path, headers=headers, stream=True, timeout=30) as response:
        assert response.status_code == 200
        assert not any(name.lower().startswith("access-control") for name in response.headers)
    refused = requests.post(f"{open_house.url}/gradio_api/queue/join", headers=headers, timeout=30)
    assert refused.status_code == 403


# --- bodies


@pytest.fixture
def narrow(start_house: Callable[..., AbstractContextManager[House]]) -> Iterator[House]:
    """A house that takes bodies of one megabyte."""
    with start_house(security__max_request_megabytes=1) as house:
        yield house


JSON, FORM = "application/json", "multipart/form-data; boundary=x"
FORM_HEAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/api/v1/jobs", JSON),
        ("/api/v1/jobs", FORM),
        ("/api/v1/plan", JSON),
        ("/api/predict", JSON),
        ("/generate", FORM),
    ],
)
def test_a_body_that_is_too_large_is_413_wherever_it_goes(narrow: House, path: str, media_type: str) -> None:
    body = (FORM_HEAD if media_type == FORM else b'"') + b"a" * 100_000_000
    headers = {"Content-Type": media_type}
    response = requests.post(narrow.url + path, data=body, headers=headers, timeout=60)
    assert (response.status_code, response.json()["code"]) == (413, "http.too_large")


def test_a_body_of_the_greatest_size_passes(narrow: House) -> None:
    body = b'{"prompt": "x"' + b" " * (1_000_000 - 15) + b"}"
    headers = {"Content-Type": "application/json"}
    assert requests.post(f"{narrow.api}/plan", data=body, headers=headers, timeout=30).status_code == 200
    response = requests.post(f"{narrow.api}/plan", data=body + b" ", headers=headers, timeout=30)
    assert response.status_code == 413


def test_chunks_are_counted_as_they_come_and_refused_before_they_end(narrow: House) -> None:
    with socket.create_connection(("127.0.0.1", port_of(narrow)), timeout=30) as connection:
        connection.sendall(
            b"POST /api/v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(11):
            connection.sendall(b"186A0\r\n" + b" " * 100_000 + b"\r\n")
        assert connection.recv(20).startswith(b"HTTP/1.1 413")


def test_a_slow_body_blocks_nobody(shared_house: House) -> None:
    with socket.create_connection(("127.0.0.1", port_of(shared_house))) as slow:
        slow.sendall(
            b"POST /api/v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        assert shared_house.get("/jobs").status_code == 200  # while the other one is not complete


# --- headers of answers


def test_nothing_is_guessed_from_its_content(shared_house: House) -> None:
    for path in ("/healthz", "/docs", "/nothing", "/openapi.json", "/api/v1/jobs", "/api/v1/engines"):
        response = requests.get(shared_house.url + path, timeout=30)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    refused = requests.get(shared_house.url, headers={"Host": "evil.example"}, timeout=30)
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
