"""i2v mcp over real stdio, with the official client: of a server that runs, and of one of its own."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
import requests
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from i2v.host.service_lock import find_holder
from tests.cli.running import command, run_here
from tests.rehearsal import picture as make_picture
from tests.web.house import House, running

TOKEN = "a-token-of-more-than-sixteen-letters"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running(tmp_path / "server", make_picture(), security__token=TOKEN) as started:
        yield started


def with_client(
    environment: dict[str, str], work: Callable[[Client], Awaitable[Any]], *words: str, mode: str = "auto"
) -> Any:
    program, *arguments = command("mcp", *words)
    parameters = StdioServerParameters(command=program, args=arguments, env=environment)

    async def connect() -> Any:
        async with Client(stdio_client(parameters), mode=mode) as client:
            return await work(client)

    return anyio.run(connect)


@pytest.mark.parametrize("mode", ["auto", pytest.param("legacy", marks=pytest.mark.slow)])
def test_the_tools_of_a_running_server_are_passed_on(
    environment: dict[str, str], house: House, mode: str
) -> None:
    reports: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append(progress)

    async def work(client: Client) -> tuple[set[str], Any, Any]:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        image = {"data": base64.b64encode(house.picture).decode()}
        asked = {"prompt": "waves", "num_inference_steps": 3, "image": image}
        made = await client.call_tool("generate", asked, progress_callback=note)
        clip = await client.call_tool("fetch", {"job_id": made.structured_content["job_id"]})
        wrong = await client.call_tool("status", {"job_id": "nothing"})
        assert wrong.is_error
        return tools, made.structured_content, clip.structured_content

    words = ("--server", house.url)
    with house.executor.working():
        tools, made, clip = with_client(environment | {"I2V_SECURITY__TOKEN": TOKEN}, work, *words, mode=mode)
    assert {"generate", "plan", "status", "cancel", "fetch", "engines", "upload"} == tools
    assert (made["status"], reports[-1]) == ("succeeded", 1.0)
    assert clip["video_url"].startswith(f"{house.url}/once/")
    assert requests.get(clip["video_url"], timeout=30).headers["content-type"] == "video/mp4"


@pytest.mark.slow
def test_where_no_server_runs_one_is_started_and_ended(environment: dict[str, str]) -> None:
    data = Path(environment["I2V_DATA_DIR"])
    environment["I2V_SERVER__PAGE"] = "false"  # Gradio takes seconds to load

    async def work(client: Client) -> tuple[int, dict[str, Any]]:
        offered = (await client.call_tool("upload")).structured_content
        sent = await anyio.to_thread.run_sync(
            lambda: requests.put(offered["url"], data=make_picture(), timeout=30)
        )
        assert sent.status_code == 204
        asked = {
            "prompt": "zoom in", "engine": "camera-move", "num_frames": 24, "resolution": "256p",
            "image": {"upload_id": offered["upload_id"]}, "wait_seconds": 120,
        }  # fmt: skip
        made = await client.call_tool("generate", asked)
        holder = find_holder(data)
        assert holder is not None
        return holder.pid, made.structured_content or {"error": made.content}

    pid, made = with_client(environment, work)
    assert made.get("status") == "succeeded", made
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(60)
    assert find_holder(data) is None


@pytest.mark.parametrize(("token", "words"), [("", "token"), ("x" * 30, "token")])
def test_what_is_wrong_with_the_server_is_said_at_once(
    environment: dict[str, str], house: House, token: str, words: str
) -> None:
    done = run_here(environment | {"I2V_SECURITY__TOKEN": token}, "mcp", "--server", house.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_without_the_tools_or_a_machine_without_the_package_is_said(
    environment: dict[str, str], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.cli.mcp.find_spec", lambda name: None)
    done = run_here(environment, "mcp", "--server", house.url)
    assert (done.returncode, "setup.sh mcp" in done.stderr) == (1, True)
