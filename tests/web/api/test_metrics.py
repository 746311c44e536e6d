"""/metrics: for who may use the API, by Bearer token too; and the port for this machine alone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import requests

from i2v.core.errors import I2VError
from i2v.web.api.metrics import metrics_port
from tests.web.house import House

TOKEN = "correct-horse-battery-staple"


def test_metrics_are_text_that_prometheus_reads(shared_house: House) -> None:
    answer = requests.get(f"{shared_house.url}/metrics", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\ni2v_queue_jobs 0.0\n" in answer.text


def test_where_there_is_a_token_metrics_ask_for_it(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(security__token=TOKEN) as house:
        url = f"{house.url}/metrics"
        assert requests.get(url, timeout=30).status_code == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.get(url, headers=bearer, timeout=30)
        assert answer.status_code == 200
        assert TOKEN not in answer.text


def test_a_strange_host_reads_no_metrics(shared_house: House) -> None:
    answer = requests.get(f"{shared_house.url}/metrics", headers={"Host": "evil.example"}, timeout=30)
    assert answer.status_code == 421


def test_the_port_of_its_own_has_metrics_and_nothing_else() -> None:
    with metrics_port(lambda: b"x 1\n", 0) as port:
        url = f"http://127.0.0.1:{port}"
        assert requests.get(f"{url}/metrics", timeout=30).content == b"x 1\n"
        assert requests.get(f"{url}/api/v1/jobs", timeout=30).status_code == 404
        strange = requests.get(f"{url}/metrics", headers={"Host": "evil.example"}, timeout=30)
        assert strange.status_code == 421
        assert requests.post(f"{url}/metrics", timeout=30).status_code == 501
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/metrics", timeout=30)


def test_what_cannot_be_measured_now_and_a_taken_port_are_said() -> None:
    def away() -> bytes:
        raise I2VError("server.not_ready")

    with metrics_port(away, 0) as port:
        assert requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).status_code == 503
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(I2VError) as caught, metrics_port(away, taken.getsockname()[1]):
            pass
        assert caught.value.code == "server.port_taken"
