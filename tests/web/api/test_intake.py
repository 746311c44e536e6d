"""web.api.intake, over a real socket: what is declared of a body, and bodies that are anything but one."""

from __future__ import annotations

import base64
import gzip
import json
import random
import socket
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from i2v.media.image import decode_picture
from tests.web.api.test_multipart import END, PART
from tests.web.api.test_waiting_place import LARGE
from tests.web.house import House
from tests.web.test_problems import problem

PROMPT = "镜头向左"
FORM_TYPE = "multipart/form-data; boundary=b"
LARGE_FORM = PART + b'"image"; filename="a"\r\n\r\n' + LARGE + b"\r\n" + PART + b'"prompt"\r\n\r\nx\r\n' + END
FORM_PATHS = ("/api/v1/jobs", "/generate")
JSON_PATHS = ("/api/v1/jobs", "/api/v1/plan", "/api/predict")


def form_of(picture: bytes, *parts: tuple[bytes, bytes]) -> bytes:
    lines = [b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + picture]
    lines += [
        b'--b\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + text for name, text in parts
    ]
    return b"\r\n".join([*lines, b"--b--\r\n"])


def post(house: House, path: str, body: bytes, content_type: str, **headers: str) -> requests.Response:
    given = {"Content-Type": content_type, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return house.session.post(house.url + path, data=body, headers=given, timeout=60)


# --- charsets


@pytest.mark.parametrize("path", FORM_PATHS)
@pytest.mark.parametrize("encoding", ["gbk", "big5", "latin-1"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_a_form_that_is_not_utf_8_makes_no_job(
    shared_house: House, path: str, encoding: str, is_declared: bool
) -> None:
    text = {"gbk": PROMPT, "big5": "鏡頭向左", "latin-1": "la cámara"}[encoding].encode(encoding)
    body = form_of(shared_house.picture, (b"prompt", text), (b"num_frames", b"4"))
    content_type = f"{FORM_TYPE}; charset={encoding}" if is_declared else FORM_TYPE
    before = shared_house.service.counts()
    answer = problem(post(shared_house, path, body, content_type), 422)
    assert answer["code"] in ("http.charset", "http.not_utf8")
    assert answer["field"] in ("prompt", "Content-Type")
    assert "UTF-8" in answer["detail"]
    assert shared_house.service.counts() == before


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("charset", ["gbk", "undefined", "punycode", "hex", "utf-7", "nothing"])
def test_json_in_another_charset_is_refused(shared_house: House, path: str, charset: str) -> None:
    body = problem(post(shared_house, path, b'{"prompt": "x"}', f"application/json; charset={charset}"), 422)
    assert (body["code"], body["field"]) == ("http.charset", "Content-Type")
    raw = json.dumps({"prompt": PROMPT}, ensure_ascii=False).encode("gbk")
    assert problem(post(shared_house, path, raw, "application/json"), 422)["code"] == "http.not_utf8"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("declared", ["", "; charset=utf-8", "; charset=UTF-16"])
def test_json_says_itself_which_unicode_it_is(shared_house: House, encoding: str, declared: str) -> None:
    raw = json.dumps({"prompt": PROMPT}, ensure_ascii=False).encode(encoding)
    response = post(shared_house, "/api/v1/plan", raw, f"application/json{declared}")
    assert response.status_code == 200, response.text
    assert response.json()["options"]["prompt"] == PROMPT


def test_a_search_that_is_not_utf_8_is_refused(shared_house: House) -> None:
    assert shared_house.get("/jobs?search=%E7%8C%AB").status_code == 200
    body = problem(shared_house.get("/jobs?search=%C3%A8%E8"), 422)
    assert (body["code"], body["field"]) == ("http.not_utf8", "search")


# --- headers


@pytest.mark.parametrize("path", sorted({*FORM_PATHS, *JSON_PATHS}))
def test_a_type_that_is_given_twice_and_a_compressed_body_are_refused(shared_house: House, path: str) -> None:
    host, _, port = shared_house.url.removeprefix("http://").partition(":")
    twice = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n"
    twice += f"Content-Type: {FORM_TYPE}\r\nContent-Type: application/json\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(twice.encode())
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 422")
    assert "http.repeated_field" in answer
    squeezed = post(shared_house, path, gzip.compress(b"{}"), "application/json", Content_Encoding="gzip")
    body = problem(squeezed, 415)
    assert (body["code"], body["field"], body["value"]) == (
        "http.content_encoding", "Content-Encoding", "gzip"
    )  # fmt: skip


@pytest.mark.parametrize("path", FORM_PATHS)
@pytest.mark.parametrize("missing", [1, 300])
def test_a_length_that_is_too_short_loses_nothing_in_silence(
    shared_house: House, path: str, missing: int
) -> None:
    body = form_of(b"x" * 300, (b"prompt", b"x"), (b"seed", b"7")).removesuffix(b"\r\n")
    host, _, port = shared_house.url.removeprefix("http://").partition(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body) - missing}\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Content-Type: {FORM_TYPE}\r\nConnection: close\r\n\r\n".encode() + body)
        assert connection.makefile("rb").readline().split()[1] == b"422"


# --- pictures


def test_a_picture_as_odd_base64_makes_the_same_job(shared_house: House) -> None:
    text = base64.urlsafe_b64encode(shared_house.picture).decode().rstrip("=")
    body = json.dumps({"image": f" data:image/png;base64,{text}", "prompt": "x"}).encode()
    assert post(shared_house, "/api/v1/jobs", body, "application/json").status_code == 202


def test_a_large_picture_needs_no_folder_for_temporary_files(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    body = problem(post(house, "/api/v1/jobs", LARGE_FORM, FORM_TYPE), 415)
    assert body["code"] == "image.unknown_format"  # it arrived


def test_a_data_folder_that_takes_no_picture_is_named(
    start_house: Callable[..., AbstractContextManager[House]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with start_house() as house:
        monkeypatch.setattr(tempfile, "_mkstemp_inner", is_full)
        monkeypatch.setattr(tempfile, "_O_TMPFILE_WORKS", False)
        as_json = json.dumps({"image": base64.b64encode(LARGE).decode(), "prompt": "x"}).encode()
        for path, body, kind in (
            ("/generate", LARGE_FORM, FORM_TYPE),
            ("/api/v1/jobs", as_json, "application/json"),
        ):
            response = post(house, path, body, kind)
            answer = problem(response, 507)
            assert answer["code"] == "image.no_space"
            assert str(house.settings.service.data_dir) in answer["detail"]
            assert int(response.headers["Retry-After"]) > 0


# --- seeds


def test_a_seed_of_minus_one_is_drawn_and_reported(house: House) -> None:
    body = {"image": base64.b64encode(house.picture).decode(), "prompt": "x", "seed": -1.0}
    as_json = house.session.post(f"{house.api}/jobs", json=body, timeout=60)
    ids = [house.submit_id(seed="-1"), as_json.json()["id"]]
    drawn = [house.store.get(job_id).generation.seed for job_id in ids]
    assert len(set(drawn)) == 2
    assert house.executor.run_next()
    assert house.get(f"/jobs/{ids[1]}").json()["result"]["seed"] == drawn[1]
    assert min(drawn) >= 0


# --- anything else


WORDS = (
    "prompt", "seed", "image", "fps", "data", "width", "height", "num_frames", "resolution", "engine", "",
    "_charset_", "zoom in", "-1", "1e999", "NaN", "null", "\0", "\ud800", "镜头", "x" * 3000, "512p", "quick",
    "data:image/png;base64,aGk=", "/etc/passwd", "{a|b}", "(x:1.2)", "[[", "\r\n", "--b--",
)  # fmt: skip
CHARSETS = ("", "utf-8", "gbk", "undefined", "punycode", "utf-16", "hex", "zip", "\0", "é")


def odd_value(chance: random.Random, depth: int = 0) -> object:
    kind = chance.randrange(9 if depth < 4 else 6)
    if kind < 2:
        return chance.choice(WORDS)
    if kind < 6:
        return chance.choice([None, True, -1, 0, 7, 2**40, 1.5, -0.0, 10**30])
    if kind == 6:
        return [odd_value(chance, depth + 1) for _ in range(chance.randrange(8))]
    return {chance.choice(WORDS): odd_value(chance, depth + 1) for _ in range(chance.randrange(5))}


def odd_json(chance: random.Random, picture: bytes) -> bytes:
    body: dict[str, object] = {"prompt": "x", "image": base64.b64encode(picture).decode()}
    body["data"] = [body["image"], "x", 256, 4, 8, 1, 1.0]
    body |= {chance.choice(WORDS): odd_value(chance) for _ in range(chance.randrange(1, 4))}
    raw = json.dumps(body).encode(chance.choice(["utf-8", "utf-16", "utf-32", "utf-8-sig"]))
    return damaged(chance, raw) if chance.random() < 0.3 else raw


def odd_form(chance: random.Random, picture: bytes) -> bytes:
    parts = [(b"prompt", b"x")]
    for _ in range(chance.randrange(4)):
        name, text = (chance.choice(WORDS).encode("utf-8", "surrogatepass") for _ in range(2))
        parts.append((name, text if chance.random() < 0.7 else chance.randbytes(20)))
    raw = form_of(picture, *parts)
    return damaged(chance, raw) if chance.random() < 0.5 else raw


def damaged(chance: random.Random, raw: bytes) -> bytes:
    start = chance.randrange(len(raw))
    end = min(len(raw), start + chance.randrange(40))
    return chance.choice(
        [raw[:start], raw[:start] + raw[end:], raw[:start] + chance.randbytes(9) + raw[end:]]
    )


def odd_request(chance: random.Random, picture: bytes) -> tuple[str, bytes, bytes]:
    """Return (path, Content-Type, body)."""
    path = chance.choice(sorted({*FORM_PATHS, *JSON_PATHS}))
    is_form = chance.random() < (0.1 if path in ("/api/v1/plan", "/api/predict") else 0.7)
    boundary = chance.choice(["b"] * 8 + ["", "x", "b" * 300, '"b"'])
    declared = f"multipart/form-data; boundary={boundary}" if is_form else "application/json"
    if charset := chance.choice([""] * 12 + list(CHARSETS)):
        declared += f"; charset={charset}".replace("\0", "\x7f")
    body = odd_form(chance, picture) if is_form else odd_json(chance, picture)
    return path, declared.encode("latin-1"), body


@pytest.mark.parametrize("number", [20, pytest.param(4000, marks=pytest.mark.slow)])
def test_whatever_is_sent_is_answered_and_never_with_500(
    start_house: Callable[..., AbstractContextManager[House]], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No picture is one: nothing becomes a job, and a process for each would take most of the time."""
    monkeypatch.setattr(
        "i2v.service.inputs.decode_to_file", lambda data, limits, file: decode_picture(data, limits)
    )
    chance = random.Random(16)
    with start_house() as house:
        for _ in range(number):
            path, declared, body = odd_request(
                chance, b"\xff\xd8\xff\xe0" + chance.randbytes(chance.randrange(99))
            )
            answer = house.session.post(
                house.url + path, data=body, headers={"Content-Type": declared}, timeout=60
            )
            assert answer.status_code < 500, (path, declared, body, answer.text)
            if answer.status_code != 200:  # of a plan
                problem(answer, answer.status_code)
                assert answer.status_code >= 400
