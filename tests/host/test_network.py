"""host.network: names become addresses, sockets answer where they say, and loopback is told from the rest."""

from __future__ import annotations

import re
import socket

import pytest

from i2v.core.errors import I2VError, InvalidRequest
from i2v.host.network import addresses, is_loopback, listen, machine_names, resolve


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.7", "127.0.0.7"),
        ("0.0.0.0", "0.0.0.0"),
        ("0", "0.0.0.0"),
        ("::", "::"),
        ("::1", "::1"),
        ("192.168.1.7", "192.168.1.7"),
    ],
)
def test_a_host_becomes_an_address(host: str, address: str) -> None:
    assert resolve(host) == address


@pytest.mark.parametrize("host", ["", "no such host", "127.0.0.1:80", "x" * 300, "\udcff", "a..b"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest, match=r"0\.0\.0\.0 for the network") as caught:
        resolve(host)
    assert caught.value.code == "server.bad_host"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1"])
def test_the_loopback_is_this_machines_alone(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "192.168.1.7", "8.8.8.8", "fe80::1%eth0", "::ffff:10.0.0.1", "128.0.0.1"]
)
def test_others_can_reach_every_other_address(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("host", ["192.0.2.77", "2001:db8::77"])
def test_an_address_of_another_machine_is_told_from_a_port_that_is_taken(host: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        listen(host, 0)
    assert (caught.value.code, caught.value.params["host"]) == ("server.bad_host", host)
    with listen("127.0.0.1", 0) as first, pytest.raises(I2VError) as taken:
        listen("127.0.0.1", first.getsockname()[1])
    assert taken.value.code == "server.port_taken"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1"])
def test_a_listener_answers_at_each_address_that_it_names(host: str) -> None:
    with listen(host, 0) as listener:
        found = addresses(listener)
        for address in found:
            with socket.create_connection((address, listener.getsockname()[1]), timeout=60):
                listener.accept()[0].close()
    assert found[0] == ("::1" if host == "::1" else "127.0.0.1")
    assert len(set(found)) == len(found)
    assert (len(found) == 1) == is_loopback(host)


def test_this_machine_has_the_names_that_others_find_it_by() -> None:
    short = socket.gethostname().partition(".")[0].lower()
    assert {socket.gethostname().lower(), short, f"{short}.local"} <= machine_names()
    assert all(re.fullmatch(r"[^A-Z\s]+", name) for name in machine_names())
