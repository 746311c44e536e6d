"""The page over HTTP, without a browser: what Gradio would open besides stays closed."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

import i2v.web.page.gate
import i2v.web.page.mount
import i2v.web.page.upload_folder
from tests.web.house import House, wait_for
from tests.web.pages import page_house

CLOSED = [
    ("GET", "/gradio_api/deep_link"),
    ("GET", "/gradio_api/proxy=http://127.0.0.1:1/x"),
    ("GET", "/gradio_api/file=http://127.0.0.1:1/x"),
    ("GET", "/gradio_api/runs"),
    ("GET", "/gradio_api/openapi.json"),
    ("GET", "/gradio_api/vibe-code/"),
    ("GET", "/monitoring"),
    ("GET", "/login_check"),
    ("POST", "/gradio_api/component_server"),
    ("POST", "/gradio_api/process_recording"),
    ("POST", "/gradio_api/vibe-edit/"),
    ("POST", "/gradio_api/run/generate"),
    ("POST", "/gradio_api/api/generate"),
    ("POST", "/gradio_api/call/generate"),
    ("POST", "/login"),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with page_house(tmp_path_factory.mktemp("page"), picture) as started:
        yield started


@pytest.fixture(scope="module")
def config(house: House) -> dict[str, Any]:
    found: dict[str, Any] = house.session.get(f"{house.url}/config", timeout=30).json()
    return found


def join(house: House, config: dict[str, Any], picture: object, **headers: str) -> requests.Response:
    """Press the button by hand, with `picture` as the uploaded file."""
    ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    pressed = [ids["i2v-go"], "click"]
    event = next(event for event in config["dependencies"] if pressed in event["targets"] and event["inputs"])
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    values |= {ids["i2v-picture"]: picture, ids["i2v-prompt"]: "left"}
    body = {
        "data": [values.get(number) for number in event["inputs"]],
        "fn_index": event["id"],
        "session_hash": "byhand",
    }
    return house.session.post(f"{house.url}/gradio_api/queue/join", json=body, headers=headers, timeout=30)


def outcome(house: House) -> dict[str, Any]:
    """Return what the queue says of the event when it has ended."""
    address = f"{house.url}/gradio_api/queue/data?session_hash=byhand"
    with house.session.get(address, stream=True, timeout=30) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data: ") and json.loads(line[6:])["msg"] == "process_completed":
                found: dict[str, Any] = json.loads(line[6:])
                return found
    raise AssertionError("the stream ended before the event did")


def test_a_windows_stream_stays_open_between_its_events(house: House, config: dict[str, Any]) -> None:
    """Gradio closes it when nothing is under way, and an event of that moment would never be answered."""

    def ask(event: dict[str, Any], *data: object) -> None:
        body = {"data": list(data), "fn_index": event["id"], "session_hash": "stays"}
        assert house.session.post(f"{house.url}/gradio_api/queue/join", json=body, timeout=30).ok

    events = config["dependencies"]
    live = next(event for event in events if event["api_name"] == "live")
    label = next(part["id"] for part in config["components"] if part["props"].get("value") == "Random")
    dice = next(event for event in events if [label, "click"] in event["targets"])
    ask(live, None)
    ask(dice)
    address = f"{house.url}/gradio_api/queue/data?session_hash=stays"
    answered = 0
    with requests.get(address, stream=True, timeout=30) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            if '"process_completed"' in line:
                answered += 1
                if answered == 3:
                    break
                time.sleep(0.5)  # with nothing else under way
                ask(dice)
    assert answered == 3


def test_the_page_is_at_the_root_and_the_api_beside_it(house: House) -> None:
    page = house.session.get(house.url, timeout=30)
    assert page.status_code == 200
    assert '"title":"i2v"' in page.text
    assert house.session.get(f"{house.url}/docs", timeout=30).status_code == 200
    assert house.get("/jobs").json() == {"jobs": [], "next_cursor": None}


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_what_the_page_does_not_need_is_not_there(house: House, method: str, path: str) -> None:
    response = house.session.request(method, house.url + path, json={"data": []}, timeout=30)
    assert response.status_code in (404, 405)
    assert response.headers["Content-Type"] == "application/problem+json"


def test_unknown_paths_and_wrong_methods_are_answered_as_without_a_page(house: House) -> None:
    assert house.session.get(f"{house.url}/nope", timeout=30).json()["code"] == "http.no_such_path"
    assert house.session.get(f"{house.url}/generate", timeout=30).json()["code"] == "http.bad_method"
    assert house.session.post(house.url, timeout=30).status_code == 405


def test_the_events_are_private_and_nothing_is_reported(config: dict[str, Any]) -> None:
    seen = [event for event in config["dependencies"] if event["inputs"]]
    assert len(seen) > 10
    public = {event["api_name"] for event in seen if event["api_visibility"] != "private"}
    assert public == {"generate"}
    assert not config["analytics_enabled"]


@pytest.mark.parametrize("path", ["/etc/passwd", "//etc/passwd", "{database}", "{picture}/../../jobs.db"])
def test_files_outside_the_pages_own_folder_are_not_served(house: House, path: str) -> None:
    place = path.format(database=house.settings.database, picture=house.settings.inputs)
    response = house.session.get(f"{house.url}/gradio_api/file={place}", timeout=30)
    assert response.status_code in (403, 404)


def test_no_event_reads_a_file_that_was_not_uploaded(house: House, config: dict[str, Any]) -> None:
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    assert join(house, config, file).status_code == 200
    assert outcome(house)["success"] is False
    copies = [path for path in (house.settings.service.data_dir / "page").rglob("*") if path.is_file()]
    assert not [path for path in copies if path.read_bytes() == Path("/etc/passwd").read_bytes()]
    assert house.get("/jobs").json()["jobs"] == []


def test_no_event_reads_a_file_that_is_not_even_called_one(
    house: House, config: dict[str, Any], tmp_path: Path
) -> None:
    """Without `meta`, Gradio takes a path for plain data, and would serve a copy of what is there."""
    secret = tmp_path / "secret.png"  # in the system's temporary folder, from where Gradio copies
    secret.write_bytes(house.picture)
    ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    takers = [event for event in config["dependencies"] if ids["i2v-picture"] in event["inputs"]]
    assert len(takers) > 5
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    values |= {ids["i2v-picture"]: {"path": str(secret)}, ids["i2v-prompt"]: "left"}
    for event in takers:
        data = [values.get(number) for number in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": "byhand"}
        assert house.session.post(f"{house.url}/gradio_api/queue/join", json=body, timeout=30).ok
        assert outcome(house)["success"] is False
    copies = [path for path in (house.settings.service.data_dir / "page").rglob("*") if path.is_file()]
    assert not [path for path in copies if path.read_bytes() == house.picture]
    assert house.get("/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x.png", "HTTPS://example.com/x.png", "file:///etc/hosts"]
)
def test_no_event_fetches_a_url(house: House, config: dict[str, Any], url: str) -> None:
    file = {"path": url, "meta": {"_type": "gradio.FileData"}}
    response = join(house, config, [{"deep": file}])
    assert response.status_code == 422
    assert response.json()["field"] == "path"


def test_an_uploaded_picture_becomes_a_job_as_it_was_sent(house: House, config: dict[str, Any]) -> None:
    uploaded = house.session.post(
        f"{house.url}/gradio_api/upload", files={"files": ("x.png", house.picture)}, timeout=30
    )
    (path,) = uploaded.json()
    assert join(house, config, {"path": path, "meta": {"_type": "gradio.FileData"}}).status_code == 200
    assert outcome(house)["success"] is True
    (job,) = house.get("/jobs").json()["jobs"]
    assert job["request"]["prompt"] == "left"
    assert job["status"] == "queued"
    # nobody has seen the form filled: the preset has the numbers
    assert "num_frames" not in job["request"]
    assert house.store.get(job["id"]).generation.num_frames == 8


def test_other_peoples_pages_may_not_press_the_button(house: House, config: dict[str, Any]) -> None:
    assert join(house, config, None, Origin="http://evil.example").status_code == 403


def test_uploads_lie_in_a_private_folder_that_is_empty_at_each_start(tmp_path: Path, picture: bytes) -> None:
    left = tmp_path / "data" / "page" / "left" / "over.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(picture)
    with page_house(tmp_path, picture) as house:
        folder = house.settings.service.data_dir / "page"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not left.exists()


def test_an_open_tab_does_not_hold_the_server_up(
    tmp_path: Path, picture: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    beats: list[str] = []

    def listen(url: str) -> None:
        with requests.get(f"{url}/gradio_api/heartbeat/tab", stream=True, timeout=60) as stream:
            beats.extend(stream.iter_lines(decode_unicode=True, chunk_size=1))
        beats.append("end")

    with page_house(tmp_path, picture) as house:
        thread = threading.Thread(target=listen, args=(house.url,))
        thread.start()
        wait_for(lambda: "data: ALIVE" in beats)
    thread.join(60)
    assert beats[-1:] == ["end"]
    assert "timeout graceful shutdown exceeded" not in caplog.text  # which uvicorn says when it gives up


# --- what one visitor may do


def post_event(house: House, body: bytes, content_type: str = "application/json") -> requests.Response:
    headers = {"Content-Type": content_type}
    address = f"{house.url}/gradio_api/queue/join"
    return house.session.post(address, data=body, headers=headers, timeout=60)


@pytest.mark.parametrize("size", [600_000, 24_000_000])
def test_an_event_of_the_page_is_small(house: House, size: int) -> None:
    response = post_event(house, b'{"data": ' + b"[" * size)
    assert (response.status_code, response.json()["code"]) == (413, "page.too_large")


def test_nested_lists_take_little_time(house: House) -> None:
    """Of this process, whatever else the machine does: parsing it took 16 s, in which nobody was answered."""
    began = time.process_time()
    body = b"[" * 12_000_000 + b"]" * 12_000_000
    for address in ("/gradio_api/queue/join", "/gradio_api/cancel", "/api/predict", "/api/v1/plan"):
        response = house.session.post(
            house.url + address, data=body, headers={"Content-Type": "application/json"}, timeout=60
        )
        assert response.status_code in (413, 422)
    assert time.process_time() - began < 16


def test_every_event_that_no_browser_sends_is_answered_with_4xx(
    house: House, config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The kinds of surprise that Gradio answers with status 500; `test_page_requests` has them all."""
    number = next(event["id"] for event in config["dependencies"] if event["api_name"] == "restore")
    right = {"data": [None, None, None], "fn_index": number, "session_hash": "odd"}
    wrong: list[dict[str, Any]] = [
        {"session_hash": ""}, {"session_hash": None}, {"session_hash": 5}, {"fn_index": 10**6},
        {"fn_index": "x"}, {"fn_index": None}, {"data": None}, {"data": "x"}, {"event_id": 5},
        {"trigger_id": "x"}, {"trigger_id": []}, {"batched": "x"},
    ]  # fmt: skip
    for change in wrong:
        response = post_event(house, json.dumps(right | change).encode())
        assert 400 <= response.status_code < 500, change
    get = [
        "queue/data",
        "queue/data?session_hash=",
        "queue/data?session_hash=unknown",
        "heartbeat/é",
        "upload_progress",
    ]
    for path in (*get, f"heartbeat/{'x' * 65}", "upload_progress?upload_id="):
        response = house.session.get(f"{house.url}/gradio_api/{path}", timeout=30)
        assert 400 <= response.status_code < 500, path
    for path in (f"static/{'x' * 300}", f"assets/{'x' * 300}", f"gradio_api/file={'x' * 300}"):
        assert house.session.get(f"{house.url}/{path}", timeout=30).status_code == 404
    assert "Traceback" not in caplog.text


@pytest.mark.slow
def test_an_upload_that_does_not_come_is_waited_for_in_vain(house: House) -> None:
    address = f"{house.url}/gradio_api/upload_progress?upload_id=unknown"
    assert 400 <= house.session.get(address, timeout=60).status_code < 500


@pytest.mark.parametrize(
    "charset", ["undefined", "punycode", "idna", "unicode_escape", "hex", "zip", "utf-7", "x"]
)
def test_encodings_that_are_none_are_refused(house: House, charset: str) -> None:
    files = b'--x\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\nx\r\n--x--\r\n'
    upload = house.session.post(
        f"{house.url}/gradio_api/upload",
        data=files,
        headers={"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"},
        timeout=30,
    )
    assert upload.status_code == 422
    assert post_event(house, b"{}", f"application/json; charset={charset}").status_code == 422


UPLOADS = [
    (b'name="files"', b"plain text", 400),
    (b'name="other"; filename="x.png"', b"x", 200),
    (b'name="files"; filename="\0"', b"x", 200),
    (b'name="files"; filename=".."', b"x", 200),
    (b'filename="x.png"', b"x", 400),
    (b'name="files"; filename="x.png"\r\nX-Long: ' + b"x" * 9000, b"x", 413),
]


@pytest.mark.parametrize(("disposition", "content", "status"), UPLOADS)
@pytest.mark.parametrize("query", ["", "?upload_id=abc"])
def test_odd_uploads_are_answered_and_leave_nothing_unfinished(
    house: House, disposition: bytes, content: bytes, status: int, query: str
) -> None:
    head = b"--x\r\nContent-Disposition: form-data; " + disposition
    response = house.session.post(
        f"{house.url}/gradio_api/upload{query}",
        data=head + b"\r\n\r\n" + content + b"\r\n--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=30,
    )
    assert response.status_code == status, response.text
    assert unfinished(house) == []


def unfinished(house: House) -> list[Path]:
    return list((house.settings.service.data_dir / "page").glob("tmp*"))


def test_an_upload_that_breaks_off_leaves_nothing(house: House) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
    place = urlsplit(house.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as client:
        client.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {place.netloc}\r\n".encode()
            + b"Content-Length: 9000000\r\n"
            + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            + head
            + bytes(2_000_000)
        )
        wait_for(lambda: unfinished(house) != [])
    wait_for(lambda: unfinished(house) == [])


def test_an_upload_without_an_end_leaves_nothing(house: House) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    house.session.post(
        f"{house.url}/gradio_api/upload", data=head + bytes(99_999), headers=headers, timeout=30
    )
    assert unfinished(house) == []


def test_an_upload_beyond_the_limits_is_413_and_leaves_nothing(tmp_path: Path, picture: bytes) -> None:
    with page_house(
        tmp_path,
        picture,
        security__max_request_megabytes=1,
        image__max_megabytes=0.5,
        sound__max_megabytes=0.5,
    ) as house:
        for size in (700_000, 3_000_000):
            files = {"files": ("x.png", bytes(size))}
            response = house.session.post(f"{house.url}/gradio_api/upload", files=files, timeout=30)
            assert response.status_code == 413, response.text
            assert unfinished(house) == []


def test_a_batch_may_be_larger_than_any_other_request(tmp_path: Path, picture: bytes) -> None:
    with page_house(
        tmp_path,
        picture,
        security__max_request_megabytes=1,
        image__max_megabytes=0.5,
        sound__max_megabytes=0.5,
    ) as house:
        files = [("files", (f"{number}.png", bytes([number]) * 400_000)) for number in range(10)]
        response = house.session.post(f"{house.url}/gradio_api/upload", files=files, timeout=30)
        assert (response.status_code, len(response.json())) == (200, 10)


def test_a_batch_ends_where_there_is_no_room_for_more(
    tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i2v.web.page.mount, "MAX_UPLOAD_BYTES", 2e6)
    monkeypatch.setattr(i2v.web.page.gate, "LOOK_BYTES", 100_000)
    monkeypatch.setattr(i2v.web.page.upload_folder, "LOOK_SECONDS", -1.0)
    with page_house(tmp_path, picture, image__max_megabytes=0.3, sound__max_megabytes=0.3) as house:
        address = f"{house.url}/gradio_api/upload"
        first = [("files", (f"{number}.png", bytes([number]) * 290_000)) for number in range(5)]
        assert house.session.post(address, files=first, timeout=30).status_code == 200
        response = house.session.post(address, files=first[:4], timeout=30)
        assert (response.status_code, response.json()["code"]) == (503, "page.uploads_full")
        assert unfinished(house) == []


def test_no_more_is_uploaded_than_there_is_room_for(
    tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i2v.web.page.mount, "MAX_UPLOAD_BYTES", 1e6)
    monkeypatch.setattr(i2v.web.page.upload_folder, "LOOK_SECONDS", -1.0)
    with page_house(tmp_path, picture, image__max_megabytes=0.3, sound__max_megabytes=0.3) as house:
        answers = [
            house.session.post(
                f"{house.url}/gradio_api/upload", files={"files": ("x", bytes([n]) * 299_999)}, timeout=30
            ).status_code
            for n in range(8)
        ]
    assert answers[:4] == [200] * 4
    assert answers[-1] == 503
