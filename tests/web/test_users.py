"""Several users over real sockets: each family of addresses, the published clients, OpenAI's, the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
import requests
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp.types import CallToolResult

from i2v.web.guard.access import PER_ADDRESS
from tests.receivers import receiving
from tests.web.api.test_published import PROMPT
from tests.web.house import House, running, wait_for
from tests.web.mcp.test_server import connected, in_base64
from tests.web.pages import page_house

OWN = "the-token-of-the-service-itself"
USERS = {"eye": "view", "alice": "make", "bob": "make", "greedy": "make", "chief": "administer"}
SETTINGS = {
    "security__token": OWN,
    "security__users": [
        {"name": name, "role": role, "token": f"the-token-of-{name}-{name}"} for name, role in USERS.items()
    ],
    "webhooks__allowed_hosts": "127.0.0.1",
}
SETTINGS["security__users"][3] |= {"max_queued": 2, "max_per_day": 3}  # type: ignore[index,operator]


def token(name: str) -> str:
    return f"the-token-of-{name}-{name}" if name else OWN


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with page_house(tmp_path_factory.mktemp("users"), picture, **SETTINGS) as started:
        yield started
        while OPEN:
            OPEN.popitem()[1].close()


OPEN: dict[str, requests.Session] = {}


def as_user(house: House, name: str) -> House:
    session = OPEN.setdefault(name, requests.Session())
    session.headers["Authorization"] = f"Bearer {token(name)}"
    return replace(house, session=session)


def ask(house: House, name: str, method: str, path: str, **given: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token(name)}"}
    return requests.request(method, f"{house.url}{path}", headers=headers, timeout=60, **given)


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_job_says_whose_it_is_and_can_be_found_by_that(house: House) -> None:
    job = as_user(house, "alice").submit_id()
    unowned = as_user(house, "").submit_id()
    eye = as_user(house, "eye")
    assert eye.get(f"/jobs/{job}").json()["owner"] == "alice"
    assert eye.get(f"/jobs/{unowned}").json()["owner"] is None
    listed = eye.get("/jobs?owner=alice").json()["jobs"]
    assert {each["owner"] for each in listed} == {"alice"}
    assert job in [each["id"] for each in listed]
    assert eye.get("/jobs?owner=nobody%0A").json()["jobs"] == []


def test_roles_hold_at_every_address(house: House) -> None:
    job = as_user(house, "alice").submit_id()
    batch = ask(house, "alice", "POST", "/api/v1/batches", json={}).json()
    assert batch["owner"] == "alice"
    form = {"data": {"prompt": "pan left"}, "files": {"image": ("a.png", house.picture)}}
    requests_of: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/v1/jobs", form),
        ("POST", f"/api/v1/jobs/{job}/retry", {}),
        ("POST", f"/api/v1/jobs/{job}/rerun", {}),
        ("POST", f"/api/v1/jobs/{job}/restore", {}),
        ("DELETE", f"/api/v1/jobs/{job}", {}),
        ("DELETE", f"/api/v1/jobs/{job}?trash=true", {}),
        ("DELETE", f"/api/v1/jobs/{job}?purge=true", {}),
        ("PATCH", f"/api/v1/jobs/{job}", {"json": {"starred": True}}),
        ("PATCH", f"/api/v1/jobs/{job}", {"json": {"queue_position": 0}}),
        ("PATCH", "/api/v1/queue", {"json": {"paused": True}}),
        ("POST", "/api/v1/batches", {"json": {}}),
        ("POST", f"/api/v1/batches/{batch['id']}/jobs", form),
        ("POST", f"/api/v1/batches/{batch['id']}/cancel", {}),
        ("POST", f"/api/v1/batches/{batch['id']}/retry", {}),
        ("DELETE", f"/api/v1/batches/{batch['id']}", {}),
        ("POST", "/generate", form),
    ]
    for method, path, given in requests_of:
        assert code(ask(house, "eye", method, path, **given)) == (403, "security.role"), path
    not_bobs = [each for each in requests_of if job in each[1] or batch["id"] in each[1]]
    for method, path, given in not_bobs:
        wanted = "security.role" if "queue_position" in str(given) else "security.not_owner"
        assert code(ask(house, "bob", method, path, **given)) == (403, wanted), path
    assert house.service.get(job).status == "queued"
    for name in ("eye", "alice"):
        assert code(ask(house, name, "PATCH", "/api/v1/queue", json={"paused": True}))[1] == "security.role"
    assert ask(house, "chief", "PATCH", "/api/v1/queue", json={"paused": True}).json()["paused"]
    assert not ask(house, "", "PATCH", "/api/v1/queue", json={"paused": False}).json()["paused"]
    assert ask(house, "alice", "PATCH", f"/api/v1/jobs/{job}", json={"starred": True}).json()["starred"]
    assert ask(house, "chief", "DELETE", f"/api/v1/jobs/{job}").json()["status"] == "cancelled"
    for path in ("/api/v1/jobs", "/api/v1/queue", "/api/v1/batches", "/api/v1/models", "/metrics", "/docs"):
        assert ask(house, "eye", "GET", path).status_code == 200
    assert ask(house, "eye", "POST", "/api/v1/plan", json={"prompt": "pan left"}).status_code == 200


def test_quotas_are_429_with_the_time_to_wait(house: House) -> None:
    greedy = as_user(house, "greedy")
    jobs = [greedy.submit_id() for _ in range(2)]
    answer = greedy.submit()
    assert (code(answer), answer.headers["Retry-After"]) == ((429, "security.too_many_waiting"), "30")
    ask(house, "greedy", "DELETE", f"/api/v1/jobs/{jobs[0]}")
    ask(house, "greedy", "DELETE", f"/api/v1/jobs/{jobs[0]}?purge=true")
    ask(house, "greedy", "DELETE", f"/api/v1/jobs/{greedy.submit_id()}")
    answer = greedy.submit()
    assert code(answer) == (429, "security.too_many_today")
    assert 86_000 < int(answer.headers["Retry-After"]) <= 86_400
    as_user(house, "alice").submit_id()


def test_an_agent_acts_for_its_user(house: House) -> None:
    asked = {"prompt": "x", "image": in_base64(house.picture), "wait_seconds": 0}

    def generate(name: str) -> CallToolResult:
        async def work() -> CallToolResult:
            async with connected(house, token=token(name)) as client:
                return await client.call_tool("generate", asked)

        return anyio.run(work)

    async def offered() -> CallToolResult:
        async with connected(house, token=token("eye")) as client:
            return await client.call_tool("upload", {})

    for refused in (generate("eye"), anyio.run(offered)):
        assert refused.is_error
        assert "(security.role)" in refused.content[0].text  # type: ignore[union-attr]
    made = generate("alice").structured_content
    assert made is not None
    assert house.store.get(made["job_id"]).user == "alice"
    house.service.cancel(made["job_id"])


def test_an_id_of_a_prediction_is_its_user_s(house: House) -> None:
    image = f"data:image/png;base64,{base64.b64encode(house.picture).decode()}"
    body = {"input": {"prompt": "x", "image": image}}
    asked = {"json": body, "allow_redirects": False}
    with house.executor.working():
        alice, bob = (
            ask(house, name, "PUT", "/predictions/mine", **asked).json() for name in ("alice", "bob")
        )
    assert alice["id"] == bob["id"] == "mine"
    assert alice["output"] != bob["output"]
    assert ask(house, "alice", "GET", "/predictions/mine").json()["output"] == alice["output"]
    assert ask(house, "eye", "GET", "/predictions/mine").status_code == 404
    job = as_user(house, "alice").submit_id()
    for name, refused in (("bob", "security.not_owner"), ("eye", "security.role")):
        assert code(ask(house, name, "POST", f"/predictions/{job}/cancel")) == (403, refused)
    assert ask(house, "alice", "POST", f"/predictions/{job}/cancel").json()["status"] == "canceled"


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_openais_client_is_told_in_its_own_words(house: House) -> None:
    reference = ("a.png", house.picture, "image/png")

    clients = {
        name: openai.OpenAI(base_url=f"{house.url}/v1", api_key=token(name), max_retries=0) for name in USERS
    }

    def client(name: str) -> Any:
        return clients[name].videos

    with pytest.raises(openai.PermissionDeniedError) as caught:
        client("eye").create(prompt="pan left", input_reference=reference)
    assert (caught.value.code, caught.value.type) == ("security.role", "permission_error")
    video = client("alice").create(prompt="pan left", input_reference=reference)
    assert client("bob").retrieve(video.id).status == "queued"
    for call in (lambda: client("bob").delete(video.id), lambda: client("bob").remix(video.id, prompt="x")):
        with pytest.raises(openai.PermissionDeniedError) as caught:
            call()
        assert caught.value.code == "security.not_owner"

    def use_up_the_day() -> None:  # of whose three jobs an earlier test may have used some
        for _ in range(4):
            made = client("greedy").create(prompt="pan left", input_reference=reference)
            client("greedy").delete(made.id)

    with pytest.raises(openai.RateLimitError) as limited:
        use_up_the_day()
    assert limited.value.code == "security.too_many_today"
    assert client("alice").delete(video.id).deleted
    for each in clients.values():
        each.close()


def test_the_published_clients_make_clips_for_their_user(house: House) -> None:
    data = {
        "prompt": PROMPT,
        "num_frames": 16,
        "fps": 8,
        "resolution": "512p",
        "steps": 2,
        "guidance_scale": 9,
    }
    with house.executor.working():
        answer = ask(house, "bob", "POST", "/generate", data=data, files={"image": house.picture})
    assert answer.status_code == 200, answer.text
    assert house.service.get(answer.json()["job_id"]).user == "bob"


def test_messages_are_seen_and_sent_again_by_who_asked_for_them(house: House) -> None:
    with receiving() as receiver:
        webhook = json.dumps({"url": receiver.url, "events": ["job.submitted"]})
        job = as_user(house, "alice").submit_id(webhook=webhook)
        wait_for(lambda: len(receiver.received) == 1)
        [delivery] = as_user(house, "alice").get("/webhooks/deliveries").json()["deliveries"]
        assert delivery["job_id"] == job
        for name, count in (("bob", 0), ("eye", 0), ("chief", 1), ("", 1)):
            assert len(as_user(house, name).get("/webhooks/deliveries").json()["deliveries"]) == count
        again = f"/api/v1/webhooks/deliveries/{delivery['id']}/redeliver"
        assert code(ask(house, "bob", "POST", again)) == (403, "security.not_owner")
        assert code(ask(house, "chief", "POST", again.replace("msg_", "msg_0"))) == (404, "webhook.unknown")
        assert ask(house, "alice", "POST", again).status_code == 202
        wait_for(lambda: len(receiver.received) == 2)


def test_a_browser_is_one_user_at_a_time(house: House) -> None:
    with requests.Session() as browser:
        for name in ("eye", "alice"):
            answer = browser.post(f"{house.url}/login", data={"token": token(name)}, timeout=60)
            assert answer.status_code == 200
            assert len(browser.cookies) == 1
            answer = browser.post(
                f"{house.api}/jobs",
                data={"prompt": "pan left"},
                files={"image": ("a.png", house.picture)},
                timeout=60,
            )
            assert answer.status_code == (403 if name == "eye" else 202)
        assert answer.json()["owner"] == "alice"
        browser.post(f"{house.url}/logout", timeout=60)
        assert browser.get(f"{house.api}/jobs", timeout=60).status_code == 401


def test_guesses_are_counted_over_all_tokens(tmp_path: Path, picture: bytes) -> None:
    with running(tmp_path, picture, **SETTINGS) as house:
        guesses = [
            requests.get(
                f"{house.api}/jobs", headers={"Authorization": f"Bearer guess-{number}"}, timeout=60
            ).status_code
            for number in range(PER_ADDRESS.burst + 1)
        ]
        assert guesses == [401] * PER_ADDRESS.burst + [429]
        assert ask(house, "alice", "GET", "/api/v1/jobs").status_code == 429


def test_the_page_acts_for_who_sent_the_event(house: House, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(house.picture)

    def generate(name: str, *words: str) -> None:
        headers = {"Authorization": f"Bearer {token(name)}"}
        client = Client(house.url, headers=headers, verbose=False, download_files=str(tmp_path))
        try:
            client.predict(handle_file(str(file)), *words, api_name="/generate")
        finally:
            client.close()

    with pytest.raises(AppError, match="has the role view"):
        generate("eye", "pan left")
    with house.executor.working():
        generate("bob", "by bob", "quick")
    assert house.service.page(search="by bob").jobs[0].user == "bob"
