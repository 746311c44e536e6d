"""i2v.cli.batch_makers: a server that is away, lies or leads elsewhere. What works: `test_batch`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from i2v.cli import batch_makers
from i2v.cli.batch_makers import RemoteMaker
from i2v.core.errors import I2VError, InvalidRequest, QueueFull

LISTED = (200, json.dumps({"batches": []}))


class Liar(HTTPServer):
    """Gives its answers, one after the other, and the last one for ever; remembers who sent which token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = [LISTED]
        self.asked: list[tuple[str, str | None]] = []
        self.extra: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Liar)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.asked.append((self.path, self.headers.get("Authorization")))
        status, body = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        self.send_response(status)
        for name, value in server.extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_makers, "_PAUSE", 0.01)


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def problem(status: int, code: str) -> tuple[int, str]:
    return status, json.dumps({"code": code, "detail": "its words"})


def test_the_token_is_sent_and_goes_nowhere_else(liar: Liar) -> None:
    RemoteMaker(f"{liar.url}/", "secret", "key")
    assert liar.asked == [("/api/v1/batches?limit=1", "Bearer secret")]
    liar.answers = [(302, "")]
    liar.extra = {"Location": f"{liar.url}/elsewhere"}
    with pytest.raises(I2VError) as caught:
        RemoteMaker(liar.url, "secret", "key")
    assert caught.value.code == "batch.server_away"
    assert len(liar.asked) == 2


def test_a_restart_is_waited_for(liar: Liar) -> None:
    maker = RemoteMaker(liar.url, "", "key")
    liar.answers = [(503, ""), (502, "no words"), (200, json.dumps({"id": "b"})), LISTED]
    maker.begin()
    assert len(liar.asked) == 4


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (problem(429, "job.queue_full"), QueueFull, "batch.server_full"),
        (problem(422, "image.damaged"), InvalidRequest, "batch.refused"),
        (problem(409, "weights.missing"), I2VError, "batch.server_away"),
        (problem(500, "http.internal"), I2VError, "batch.server_away"),
        (problem(401, "http.unauthorized"), InvalidRequest, "batch.bad_token"),
        ((404, "<html>"), I2VError, "batch.server_away"),
        ((200, "<html>"), I2VError, "batch.server_away"),
        ((200, '{"id": 7}'), I2VError, "batch.server_away"),
    ],
)
def test_an_answer_is_about_the_row_or_ends_the_batch(
    liar: Liar, answer: tuple[int, str], kind: type[I2VError], code: str
) -> None:
    maker = RemoteMaker(liar.url, "", "key")
    liar.answers = [answer]
    with pytest.raises(I2VError) as caught:
        maker.submit("a.png", {}, b"x", "row")
    assert type(caught.value) is kind
    assert caught.value.code == code


def test_a_video_that_is_cut_off_is_no_video(liar: Liar, tmp_path: Path) -> None:
    maker = RemoteMaker(liar.url, "", "key")
    liar.answers, liar.extra = [(200, "half")], {"Content-Length": "8"}
    with pytest.raises(I2VError) as caught:
        maker.copy_video("job", tmp_path / "part")
    assert caught.value.code == "batch.server_away"
