"""Requests to addresses that strangers choose: nowhere but the internet, to what was checked, and in time."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.host.outgoing import Destinations, is_public, post
from tests.receivers import (
    Answer,
    drip,
    endless_headers,
    hang_up,
    huge_body,
    nonsense,
    receiving,
    stall,
    status,
)

LOCAL = Destinations(["127.0.0.0/8"])
Addresses = dict[str, list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    """What the name server says; each question is counted under `?`."""
    known: Addresses = {"?": []}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: object, **more: object) -> object:
        known["?"].append(host)
        if host not in known:
            return real(host, port, *rest, **more)  # type: ignore[arg-type]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in known[host]
        ]

    monkeypatch.setattr("i2v.host.outgoing.socket.getaddrinfo", look_up)
    return known


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A receiver that speaks TLS as hooks.example: its port, and a context that trusts it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=DNS:hooks.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    with receiving(tls=server) as receiver:
        yield receiver.port, ssl.create_default_context(cafile=str(certificate))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8", "169.254.169.254",
        "172.16.0.1", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
        "255.255.255.255", "168.63.129.16", "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254",
        "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001:0:1::1", "100::1",
        "3fff::1", "5f00::1",
    ],
)  # fmt: skip
def test_what_is_not_on_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111"])
def test_what_is_on_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::a9fe:a9fe]", "localhost",
        "api.localhost", "169.254.169.254", "[fd00:ec2::254]",
    ],
)  # fmt: skip
def test_a_private_host_is_refused_before_anything_is_asked(host: str, names: Addresses) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Destinations().check(f"https://{host}/")
    assert caught.value.code == "webhook.private"
    assert names["?"] == []


@pytest.mark.parametrize("host", ["0x7f000001", "inside.example", "mixed.example", "mapped.example"])
def test_a_name_is_refused_for_any_private_address_that_it_has(host: str, names: Addresses) -> None:
    names |= {
        "0x7f000001": ["127.0.0.1"],  # what libc makes of it
        "inside.example": ["10.0.0.7"],
        "mixed.example": ["1.1.1.1", "169.254.169.254"],
        "mapped.example": ["::ffff:192.168.0.1"],
    }
    with pytest.raises(InvalidRequest) as caught:
        Destinations().resolve(f"https://{host}/")
    assert (caught.value.code, caught.value.params["host"]) == ("webhook.private", host)


def test_ports_of_other_protocols_are_closed_but_where_the_settings_open_the_host() -> None:
    for url in ("http://1.1.1.1:22/", "http://smtp.example:25/"):
        with pytest.raises(InvalidRequest) as caught:
            Destinations().check(url)
        assert caught.value.code == "webhook.port"
    for url in ("http://1.1.1.1:8080/", "https://1.1.1.1/", "https://hooks.example/"):
        Destinations().check(url)
    Destinations(["smtp.example"]).check("http://smtp.example:25/")


def test_the_settings_open_names_addresses_and_networks(names: Addresses) -> None:
    names |= {"n8n.lan": ["192.168.1.5"], "other.lan": ["192.168.1.6"]}
    assert Destinations(["n8n.lan"]).resolve("http://n8n.lan/") == ["192.168.1.5"]
    assert Destinations(["192.168.1.0/24"]).resolve("http://other.lan/") == ["192.168.1.6"]
    Destinations(["fd00::/8"]).check("http://[fd00::7]/")
    with pytest.raises(InvalidRequest):
        Destinations(["n8n.lan"]).resolve("http://other.lan/")
    with pytest.raises(InvalidRequest):
        Destinations(["192.168.1.5"]).resolve("http://other.lan/")


def test_a_name_is_resolved_once_and_what_was_checked_is_what_is_connected_to(names: Addresses) -> None:
    """A name server that answers a second question otherwise is not asked one."""
    with receiving() as receiver:
        names["rebound.example"] = ["127.0.0.1"]
        url = f"http://rebound.example:{receiver.port}/a/b?c=d"
        assert post(url, b"{}", {"X-Own": "1"}, LOCAL, 5) == 204
        assert names["?"].count("rebound.example") == 1
        (request,) = receiver.received
        assert (request.path, request.body) == ("/a/b?c=d", b"{}")
        assert request.headers["host"] == f"rebound.example:{receiver.port}"
        assert request.headers["x-own"] == "1"


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert post(receiver.url, b"", {}, LOCAL, 5) == 204
        assert (len(proxy.received), len(receiver.received)) == (0, 1)


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with receiving() as other, receiving(status(302, Location=other.url)) as receiver:
        assert post(receiver.url, b"", {}, LOCAL, 5) == 302
        assert other.received == []


def test_a_body_of_gigabytes_is_not_read() -> None:
    with receiving(huge_body) as receiver:
        assert post(receiver.url, b"", {}, LOCAL, 60) == 200


@pytest.mark.parametrize(("answer", "reason"), [
    (endless_headers, ""), (nonsense, ""), (hang_up, ""), (stall(30), "0.4 s"), (drip, "0.4 s"),
])  # fmt: skip
def test_whatever_a_receiver_does_it_ends_in_time(answer: Answer, reason: str) -> None:
    with receiving(answer) as receiver:
        started = time.monotonic()
        with pytest.raises(I2VError) as caught:
            post(receiver.url, b"", {}, LOCAL, 0.4)
        assert time.monotonic() - started < 20, "the others stop after 30"
        assert caught.value.code == "webhook.no_answer"
        assert reason in str(caught.value.params["reason"])


def test_who_does_not_listen_and_who_has_no_address_is_said(names: Addresses) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(I2VError) as caught:
        post(f"http://127.0.0.1:{port}/", b"", {}, LOCAL, 5)
    assert caught.value.params["reason"] == "Connection refused"
    with pytest.raises(I2VError) as caught:
        post("http://nowhere.invalid/", b"", {}, LOCAL, 5)
    assert caught.value.code == "webhook.no_address"


def test_the_next_address_is_tried_where_one_refuses(names: Addresses) -> None:
    with receiving() as receiver:
        names["two.example"] = ["127.0.0.2", "127.0.0.1"]
        assert post(f"http://two.example:{receiver.port}/", b"", {}, LOCAL, 5) == 204


def test_tls_is_held_to_the_name_and_not_to_the_address(
    names: Addresses, tls_server: tuple[int, ssl.SSLContext]
) -> None:
    port, trusting = tls_server
    names |= {"hooks.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}
    assert post(f"https://hooks.example:{port}/", b"", {}, LOCAL, 5, trusting) == 204
    for url, tls in (
        (f"https://other.example:{port}/", trusting),
        (f"https://127.0.0.1:{port}/", trusting),
        (f"https://hooks.example:{port}/", None),  # nobody vouches for it
    ):
        with pytest.raises(I2VError) as caught:
            post(url, b"", {}, LOCAL, 5, tls)
        assert "certificate" in str(caught.value.params["reason"]).lower()
