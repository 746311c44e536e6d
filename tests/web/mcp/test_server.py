"""The tools (server, tools, calls) over real HTTP, with the official client, in both eras of the protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import requests
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from i2v.media.video import probe
from tests.web.house import House, running

TOKEN = "a-token-of-more-than-sixteen-letters"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, folder: Path, picture: bytes) -> Iterator[House]:
    flags = {"security__token": TOKEN, "mcp__folders": str(folder)}
    with running(tmp_path_factory.mktemp("mcp"), picture, **flags) as started:
        yield started


@asynccontextmanager
async def connected(house: House, mode: str = "auto", token: str = TOKEN) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {token}"}
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=60))
        transport = streamable_http_client(f"{house.url}/mcp", http_client=http)
        yield await stack.enter_async_context(Client(transport, mode=mode))


def run(house: House, work: Callable[[Client], Awaitable[Any]], mode: str = "auto") -> Any:
    async def connect() -> Any:
        async with connected(house, mode) as client:
            return await work(client)

    return anyio.run(connect)


def call(house: House, tool: str, **arguments: object) -> CallToolResult:
    return run(house, lambda client: client.call_tool(tool, arguments))


def answer(house: House, tool: str, **arguments: object) -> dict[str, Any]:
    result = call(house, tool, **arguments)
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
    return result.structured_content


def in_base64(picture: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(picture).decode()}


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_the_tools_are_listed_and_a_video_is_made_with_progress(
    house: House, tmp_path: Path, mode: str
) -> None:
    reports: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async def work(client: Client) -> None:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert listed.keys() == {"generate", "plan", "status", "cancel", "fetch", "engines", "upload"}
        assert "num_inference_steps" in listed["generate"].input_schema["properties"]
        assert listed["plan"].annotations.read_only_hint
        asked = {"prompt": "waves", "num_inference_steps": 4, "seed": 7, "image": in_base64(house.picture)}
        made = await client.call_tool("generate", asked, progress_callback=note)
        assert made.structured_content["status"] == "succeeded", made.content
        clip = (
            await client.call_tool("fetch", {"job_id": made.structured_content["job_id"]})
        ).structured_content
        assert (clip["seed"], clip["prompt"], clip["engine"]) == (7, "waves", "rehearsal")
        file = tmp_path / "clip.mp4"
        fetched = await anyio.to_thread.run_sync(lambda: requests.get(clip["video_url"], timeout=30))
        file.write_bytes(fetched.content)
        assert (probe(file).width, probe(file).num_frames) == (clip["width"], clip["num_frames"])
        again = await anyio.to_thread.run_sync(lambda: requests.get(clip["video_url"], timeout=30))
        assert again.status_code == 404

    with house.executor.working():
        run(house, work, mode)
    assert reports[-1][:2] == (1.0, 1.0)
    assert [each[0] for each in reports] == sorted({each[0] for each in reports})


def test_a_picture_is_sent_by_itself_and_used_once(house: House) -> None:
    offered = answer(house, "upload")
    asked = {"prompt": "waves", "image": {"upload_id": offered["upload_id"]}, "wait_seconds": 0}
    early = call(house, "generate", **asked)
    assert (early.is_error, "once.no_upload" in early.content[0].text) == (True, True)  # type: ignore[union-attr]
    assert requests.put(offered["url"], data=house.picture, timeout=30).status_code == 204
    wrong = call(house, "generate", **asked, fps=0)
    assert "fps must be a whole number from 1 to 60" in wrong.content[0].text  # type: ignore[union-attr]
    made = answer(house, "generate", **asked)
    assert (made["status"], made["queue_position"]) == ("queued", 0)
    assert call(house, "generate", **asked).is_error, "it was used"
    assert answer(house, "status", job_id=made["job_id"]) == made
    assert answer(house, "cancel", job_id=made["job_id"])["status"] == "cancelled"
    unfinished = call(house, "fetch", job_id=made["job_id"])
    assert "job.no_video" in unfinished.content[0].text  # type: ignore[union-attr]


def test_a_path_is_read_in_a_folder_that_is_allowed(house: House, folder: Path, tmp_path: Path) -> None:
    (folder / "photo.png").write_bytes(house.picture)
    (tmp_path / "secret.png").write_bytes(house.picture)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    made = answer(house, "generate", prompt="x", image={"path": str(folder / "photo.png")}, wait_seconds=0)
    answer(house, "cancel", job_id=made["job_id"])
    for path, code in (
        (tmp_path / "secret.png", "mcp.no_folder"),
        (folder / "link.png", "mcp.no_folder"),
        (folder / ".." / tmp_path.name / "secret.png", "mcp.no_folder"),
        ("photo.png", "mcp.no_folder"),
        (tmp_path / "nothing.png", "mcp.no_folder"),
        (folder / "nothing.png", "mcp.not_read"),
        (folder, "mcp.not_read"),
    ):
        refused = call(house, "generate", prompt="x", image={"path": str(path)}, wait_seconds=0)
        assert refused.is_error
        assert f"({code})" in refused.content[0].text, path  # type: ignore[union-attr]


def test_who_waits_gets_the_end_or_what_there_is(house: House) -> None:
    image = in_base64(house.picture)
    made = answer(house, "generate", prompt="x", image=image, wait_seconds=0.3)
    assert made["status"] == "queued"
    with house.executor.working():
        assert answer(house, "status", job_id=made["job_id"], wait_seconds=60)["status"] == "succeeded"
        failed = answer(house, "generate", prompt="step 1: refuse", image=image)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "weights.missing_file")


def test_engines_and_plans_are_those_of_the_api(house: House) -> None:
    house.session.headers["Authorization"] = f"Bearer {TOKEN}"
    assert answer(house, "engines") == house.get("/engines").json()
    planned = answer(house, "plan", prompt="x", seed=7, picture_size=[640, 480])
    body = {"prompt": "x", "seed": 7, "picture_size": [640, 480]}
    expected = house.session.post(f"{house.api}/plan", json=body, timeout=30).json()
    assert planned["options"] == expected["options"]


@pytest.mark.parametrize(("tool", "arguments", "words"), [
    ("status", {}, "job_id"), ("status", {"job_id": "x"}, "job.unknown"),
    ("status", {"job_id": "x", "more": 1}, "more"), ("engines", {"x": 1}, "x must be left out"),
    ("generate", {"prompt": "x"}, "image"),
    ("generate", {"prompt": "x", "image": "/etc/passwd"}, "upload_id"),
    ("generate", {"prompt": "x", "image": {"data": "AAAA", "path": "/a"}}, "fields data, path"),
    ("generate", {"prompt": "x", "image": {"data": "AAAA"}, "wait_seconds": -1}, "wait_seconds"),
    ("generate", {"prompt": "x", "image": {"data": "AAAA"}, "promt": "x"}, "promt"),
    ("plan", {"prompt": "x", "picture_size": [0, 1]}, "picture_size"),
])  # fmt: skip
def test_what_is_wrong_is_an_answer_that_says_so(
    house: House, tool: str, arguments: dict[str, object], words: str
) -> None:
    result = call(house, tool, **arguments)
    assert result.is_error
    assert words in result.content[0].text  # type: ignore[union-attr]


def test_there_are_no_other_tools_and_no_way_in_without_the_token(house: House) -> None:
    async def ask(client: Client) -> None:
        with pytest.raises(MCPError, match="Known tools: generate"):
            await client.call_tool("shell", {})

    run(house, ask)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert requests.post(f"{house.url}/mcp", json=ping, headers=headers, timeout=30).status_code == 401
    headers["Authorization"] = f"Bearer {TOKEN}"
    evil = headers | {"Origin": "https://evil.example"}
    assert requests.post(f"{house.url}/mcp", json=ping, headers=evil, timeout=30).status_code == 403
    assert requests.get(f"{house.url}/mcp", headers=headers, timeout=30).status_code == 405
    assert requests.post(f"{house.url}/mcp", json=ping, headers=headers, timeout=30).status_code == 200
