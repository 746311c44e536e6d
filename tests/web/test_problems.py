"""i2v.web.problems and intake: every bad input gets its status, and words that name field and value."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from i2v.core.errors import I2VError
from i2v.web.problems import MEDIA_TYPE
from tests.media.test_image import png
from tests.web.house import House, wait_for

Part = tuple[str, tuple[str | None, bytes | str]]


def problem(response: requests.Response, status: int) -> dict[str, Any]:
    """Return the problem that `response` is, after checking its form."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == MEDIA_TYPE
    reported: dict[str, Any] = response.json()
    assert reported.keys() == {"type", "title", "status", "code", "detail", "field", "value", "hint"}
    assert (reported["type"], reported["status"]) == ("about:blank", status)
    assert reported["detail"]
    assert "Traceback" not in response.text
    return reported


# --- fields: the same table as a form and as JSON

FIELDS: list[tuple[str, object, str]] = [
    ("fps", "0", "fps"),
    ("fps", 1.5, "fps"),
    ("fps", "", "fps"),
    ("num_frames", "1e999", "num_frames"),
    ("num_frames", "9" * 5000, "num_frames"),
    ("num_frames", "1_6", "num_frames"),
    ("num_inference_steps", -1, "num_inference_steps"),
    ("guidance_scale", "nan", "guidance_scale"),
    ("guidance_scale", "Infinity", "guidance_scale"),
    ("seed", 2**32, "seed"),
    ("height", 64, "height"),
    ("resolution", "500p", "resolution"),
    ("resolution", "512P\n", "resolution"),
    ("preset", "best", "preset"),
    ("fit", "", "fit"),
    ("engine", "../../etc", "engine"),
    ("engine", "x\0y", "engine"),
    ("prompt", "", "prompt"),
    ("prompt", " \t\n", "prompt"),
    ("prompt", "a\0b", "prompt"),
    ("prompt", "x" * 2001, "prompt"),
    ("negative_prompt", "x\0", "negative_prompt"),
    ("gradient_checkpointing", "perhaps", "gradient_checkpointing"),
    ("promt", "x", "promt"),
    ("image_path", "/etc/passwd", "image_path"),
    ("output", "/tmp/x.mp4", "output"),
    ("__class__", "x", "__class__"),
    ("", "x", "''"),
]


@pytest.mark.parametrize(("name", "value", "field"), FIELDS)
def test_a_bad_field_is_named_with_its_value(
    shared_house: House, name: str, value: object, field: str
) -> None:
    house = shared_house
    image = base64.b64encode(house.picture).decode()
    as_json = house.session.post(
        f"{house.api}/jobs", json={"image": image, "prompt": "x"} | {name: value}, timeout=30
    )
    as_form = house.session.post(
        f"{house.api}/jobs",
        data={"prompt": "x"} | {name: str(value)},
        files={"image": ("x.png", house.picture)},
        timeout=30,
    )
    for response in (as_json, as_form):
        body = problem(response, 422)
        assert body["field"] == field
        assert body["code"].startswith("request.")
        assert len(response.content) < 1500  # long values are shortened


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"fps": True}, "fps"),
        ({"fps": [8]}, "fps"),
        ({"fps": {"a": 1}}, "fps"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["x"]}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"\udfff": 1}, "\\udfff"),
        ({"gradient_checkpointing": 2}, "gradient_checkpointing"),
        ({"image": None}, "image"),
        ({"image": 7}, "image"),
        ({"image": {"path": "/etc/passwd"}}, "image"),
        ({"image": "/etc/passwd"}, "image"),
        ({"image": "http://127.0.0.1/x.png"}, "image"),
        ({"image": "file:///etc/passwd"}, "image"),
        ({"image": "data:image/png;base64,%%%"}, "image"),
        ({"image": "data:image/png,abcd"}, "image"),
        ({"image": "照片"}, "image"),
        ({"image": "\ud800"}, "image"),
    ],
)
def test_json_of_a_wrong_type_is_named(shared_house: House, body: dict[str, object], field: str) -> None:
    usual = {"image": base64.b64encode(shared_house.picture).decode(), "prompt": "x"}
    response = requests.post(
        f"{shared_house.api}/jobs",
        data=json.dumps(usual | body),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )
    assert problem(response, 422)["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b'{"prompt": "x"',
        b'{"prompt": NaN}',
        b'{"prompt": "x", "guidance_scale": Infinity}',
        b'{"prompt": "x", "guidance_scale": -Infinity}',
        b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}",
        b'{"prompt": "x", "prompt": "y"}',
        b'{"prompt": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xef\xbb\xbf{}",
        b"\x00",
    ],
    ids=lambda body: repr(body[:24]),
)
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/plan", "/api/predict"])
def test_json_that_is_none_is_refused(shared_house: House, path: str, body: bytes) -> None:
    response = requests.post(
        shared_house.url + path, data=body, headers={"Content-Type": "application/json"}, timeout=30
    )
    answer = problem(response, 422)
    assert "NaN" not in json.dumps(answer["value"])


def test_a_number_beyond_all_bounds_is_refused_and_not_echoed_as_a_number(shared_house: House) -> None:
    body = b'{"prompt": "x", "guidance_scale": 1e999}'
    response = requests.post(
        f"{shared_house.api}/plan", data=body, headers={"Content-Type": "application/json"}, timeout=30
    )
    answer = problem(response, 422)
    assert (answer["field"], answer["value"]) == ("guidance_scale", "inf")


# --- forms

IMAGE: Part = ("image", ("x.png", b"PICTURE"))
PROMPT: Part = ("prompt", (None, "x"))
FORMS: list[tuple[list[Part], str, str | None]] = [
    ([PROMPT], "request.missing_field", "image"),
    ([IMAGE], "request.missing_field", "prompt"),
    ([IMAGE, IMAGE, PROMPT], "http.repeated_field", "image"),
    ([IMAGE, PROMPT, PROMPT], "http.repeated_field", "prompt"),
    ([IMAGE, ("image", (None, "x")), PROMPT], "http.repeated_field", "image"),
    ([("image", (None, "/etc/passwd")), PROMPT], "request.invalid", "image"),
    ([IMAGE, ("prompt", ("prompt.txt", b"x"))], "request.invalid", "prompt"),
    ([IMAGE, PROMPT, *[(f"f{n}", (None, "")) for n in range(100)]], "http.malformed", None),
    ([IMAGE, ("prompt", (None, "x" * 2_000_000))], "http.malformed", None),
    ([*[(f"f{n}", ("f", b"")) for n in range(100)], PROMPT], "http.malformed", None),
]


@pytest.mark.parametrize(("parts", "code", "field"), FORMS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/generate"])
def test_a_bad_form_is_refused(
    shared_house: House, path: str, parts: list[Part], code: str, field: str | None
) -> None:
    filled = [
        (name, (file, shared_house.picture if data == b"PICTURE" else data)) for name, (file, data) in parts
    ]
    body = problem(requests.post(shared_house.url + path, files=filled, timeout=30), 422)
    assert (body["code"], body["field"]) == (code, field)


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b"no parts here"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"),
        ("multipart/form-data; boundary=" + "x" * 300, b"--x--"),
    ],
)
def test_a_form_that_is_none_is_refused(shared_house: House, media_type: str, body: bytes) -> None:
    headers = {"Content-Type": media_type}
    problem(requests.post(f"{shared_house.api}/jobs", data=body, headers=headers, timeout=30), 422)


@pytest.mark.parametrize(
    "media_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "é", "a/b;c"]
)
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/plan", "/api/predict", "/generate"])
def test_another_type_of_body_is_415(shared_house: House, path: str, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type.encode("latin-1")}
    body = problem(requests.post(shared_house.url + path, data=b"x", headers=headers, timeout=30), 415)
    assert body["field"] == "Content-Type"


# --- pictures: the table of what we answer


def encoded(size: tuple[int, int], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, form)
    return buffer.getvalue()


PICTURES: list[tuple[str, Callable[[], bytes], int, str]] = [
    ("empty", lambda: b"", 415, "image.empty"),
    ("text", lambda: b"hello", 415, "image.unknown_format"),
    ("svg", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "image.unknown_format"),
    ("truncated", lambda: encoded((64, 64))[:-40], 422, "image.damaged"),
    ("tiny", lambda: encoded((1, 1)), 422, "image.too_small"),
    ("long", lambda: encoded((3000, 20)), 422, "image.too_narrow"),
    ("many pixels", lambda: png(11_000, 11_000, 8, 2, b""), 413, "image.too_large"),
    ("many bytes", lambda: b"\x89PNG" + bytes(51_000_000), 413, "image.too_many_bytes"),
]


@pytest.mark.parametrize(("name", "data", "status", "code"), PICTURES, ids=[row[0] for row in PICTURES])
def test_a_bad_picture_is_refused(
    shared_house: House, name: str, data: Callable[[], bytes], status: int, code: str
) -> None:
    files = {"image": (f"{name}.png", data())}
    response = requests.post(f"{shared_house.api}/jobs", data={"prompt": "x"}, files=files, timeout=60)
    body = problem(response, status)
    assert (body["code"], body["field"]) == (code, "image")


# --- queries, headers, addresses


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=%00", "limit"),
        ("status=done", "status"),
        ("status=", "status"),
        ("search=%00", "search"),
        ("search=" + "x" * 2001, "search"),
        ("cursor=abc", "cursor"),
        ("cursor=-1", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("stat=queued", "stat"),
    ],
)
def test_a_bad_query_is_named(shared_house: House, query: str, field: str) -> None:
    body = problem(shared_house.get(f"/jobs?{query}"), 422)
    assert body["field"] == field


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_bad_key_is_named(shared_house: House, key: str) -> None:
    response = requests.post(
        f"{shared_house.api}/jobs",
        data={"prompt": "x"},
        files={"image": ("x.png", shared_house.picture)},
        headers={"Idempotency-Key": key},
        timeout=30,
    )
    assert problem(response, 422)["field"] == "idempotency-key"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "http.no_such_path"),
        ("GET", "/api/v1", 404, "http.no_such_path"),
        ("GET", "/api/v1/jobs/", 404, "http.no_such_path"),
        ("GET", "/%2e%2e/etc/passwd", 404, "http.no_such_path"),
        ("GET", "/a\u202eb%0a%00", 404, "http.no_such_path"),
        ("PUT", "/api/v1/jobs", 405, "http.bad_method"),
        ("PATCH", "/api/v1/jobs/x/video", 405, "http.bad_method"),
        ("BREW", "/healthz", 405, "http.bad_method"),
        ("GET", "/api/predict", 405, "http.bad_method"),
        ("GET", "/generate/", 405, "http.bad_method"),
    ],
)
def test_a_wrong_address_or_method_is_reported(
    shared_house: House, method: str, path: str, status: int, code: str
) -> None:
    response = requests.request(method, shared_house.url + path, timeout=30)
    assert problem(response, status)["code"] == code
    if path == "/api/v1/jobs":
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    "size", [[], [1], [1, 2, 3], [0, 9], ["8", 9], [8.0, 9], [True, 9], "8x9", None, {}, [10**30, 9]]
)
def test_a_bad_size_of_the_picture_is_named(shared_house: House, size: object) -> None:
    response = requests.post(
        f"{shared_house.api}/plan", json={"prompt": "x", "picture_size": size}, timeout=30
    )
    assert problem(response, 422)["field"] == "picture_size"


# --- not our client's fault


def test_what_nobody_foresaw_is_a_problem_and_goes_to_the_log(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def boom(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(house.service, "get", boom)
    response = house.get("/jobs/x")
    body = problem(response, 500)
    assert (body["code"], "ZeroDivisionError" in body["detail"]) == ("http.internal", True)
    assert "secret" not in response.text

    def errors() -> list[str]:
        return [str(record.exc_info[1]) for record in caplog.records if record.exc_info]

    wait_for(lambda: errors() == ["secret"])  # it is written once the answer is out


def test_a_database_that_cannot_be_used_is_503(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(*_: object) -> None:
        raise I2VError("database.unusable", path="jobs.db", reason="disk I/O error")

    monkeypatch.setattr(house.service, "page", unusable)
    response = house.get("/jobs")
    assert problem(response, 503)["code"] == "database.unusable"
    assert int(response.headers["Retry-After"]) > 0


def test_a_folder_of_videos_that_is_none_is_503_and_keeps_nothing(
    start_house: Callable[..., AbstractContextManager[House]], tmp_path: Any
) -> None:
    (tmp_path / "file").write_text("")
    with start_house(output__directory=str(tmp_path / "file")) as house:
        assert problem(house.submit(), 503)["code"] == "output.not_a_folder"
        assert not list(house.settings.inputs.iterdir())


# --- schemathesis: what OpenAPI says, against what is answered


@pytest.mark.slow
def test_schemathesis_finds_nothing(house: House, tmp_path: Path) -> None:
    job_id = house.submit_id()
    assert house.executor.run_next()
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[parameters]\njob_id = "{job_id}"\n')
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"{house.url}/openapi.json", "--max-examples", "50"]
    command += ["--phases", "examples,coverage,fuzzing,stateful"]
    # what no schema can say: that a picture is one, that a prompt is not blank, which fields go together
    command += ["--seed", "1", "--checks", "all", "--exclude-checks", "positive_data_acceptance"]
    with house.executor.working():
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(r"Tested: \d\d", done.stdout)
